import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from market.model.bisection import Places, last_not_above, last_not_below
from market.model.curves import starts

SEEDS = st.integers(0, 2**32 - 1)


def runs(rng):
    """Runs of ascending values with ties, some far out, and where they start."""
    start = starts(rng.integers(1, 12, 7))
    values = rng.choice([*rng.normal(size=6), 0.0, rng.choice([1e-9, 1e9])], start[-1])
    return np.concatenate([np.sort(each) for each in np.split(values, start[1:-1])]), start


@given(SEEDS)
def test_the_last_place_not_above_a_target_by_counting(seed):
    rng = np.random.default_rng(seed)
    values, start = runs(rng)
    target = rng.choice([*values, -1e12, 1e12, *rng.normal(size=6)], 7)
    due = [
        first + max(np.count_nonzero(each <= aim) - 1, 0)
        for first, each, aim in zip(start, np.split(values, start[1:-1]), target, strict=False)
    ]
    assert last_not_above(values, start, target).tolist() == due
    assert Places(values, start).last_not_above(target).tolist() == due
    assert last_not_below(-values, start[:-1], np.diff(start), -target).tolist() == due


def test_places_are_right_where_lifting_rounds_values_together():
    values = np.concatenate([0.1 + 1e-16 * np.arange(50), [5.0], 0.1 + 1e-16 * np.arange(50), [1e8]])
    start = np.array([0, 51, 102])
    target = values[[20, 71]]
    assert (
        Places(values, start).last_not_above(target).tolist()
        == last_not_above(values, start, target).tolist()
    )
