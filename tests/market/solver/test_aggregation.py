import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.model.curves import Curves, join, part, starts
from market.solver.aggregation import AT_ONCE, _sorted_within, aggregate

SEEDS = st.integers(0, 2**32 - 1)


def in_order(values, start):
    """What a stable sort of each run says."""
    run = np.repeat(np.arange(start.size - 1), np.diff(start))
    return np.lexsort((values, run))


@given(SEEDS, st.sampled_from([1, 3, 40]))
def test_each_run_is_sorted_by_itself_and_equal_values_stay_as_they_stand(seed, runs):
    rng = np.random.default_rng(seed)
    start = starts(rng.integers(1, 30, runs))
    values = rng.choice([-0.25, 0.0, 0.1, rng.normal(), rng.normal()], start[-1])
    order, ordered = _sorted_within(values, start)
    assert np.array_equal(order, in_order(values, start))
    assert np.array_equal(ordered, values[order])


@pytest.mark.parametrize("longest", [5, 60, AT_ONCE, 5 * AT_ONCE])
def test_runs_shorter_and_longer_than_what_is_sorted_at_once_are_sorted_alike(longest):
    rng = np.random.default_rng(longest)
    start = starts(rng.integers(1, longest + 1, 300))
    values = rng.normal(size=start[-1])
    order, ordered = _sorted_within(values, start)
    assert np.array_equal(order, in_order(values, start))
    assert np.array_equal(ordered, values[order])


@given(SEEDS)
def test_values_that_differ_by_their_last_bits_are_sorted_beside_far_ones(seed):
    rng = np.random.default_rng(seed)
    start = starts(np.array([50, 1, 200]))
    values = 0.1 + rng.integers(0, 9, start[-1]) * 2.0**-56
    values[rng.integers(0, values.size, 3)] = rng.choice([-1e9, 1e9, 1e300], 3)
    order, ordered = _sorted_within(values, start)
    assert np.array_equal(order, in_order(values, start))
    assert np.array_equal(ordered, values[order])


@pytest.mark.parametrize("value", [0.0, -3.5, 1e-300])
def test_values_that_are_all_the_same_stay_as_they_stand(value):
    order, _ = _sorted_within(np.full(5, value), np.array([0, 2, 5]))
    assert order.tolist() == [0, 1, 2, 3, 4]


@given(SEEDS)
def test_a_lam_beside_one_whose_members_jump_has_the_bits_that_it_has_alone(seed):
    rng = np.random.default_rng(seed)
    size, members = 8, int(rng.integers(1, 40))
    price = np.sort(rng.uniform(0.0, 0.3, (members, size)), axis=1)
    kw = -np.sort(rng.normal(size=(members, size)), axis=1)
    jump = Curves(np.full(2, 0.1), np.array([1.0, -1.0]), np.array([0, 2]))
    alone = Curves(price.ravel(), kw.ravel(), size * np.arange(members + 1))
    both = join([alone, jump])
    own = aggregate(alone, np.zeros(members, dtype=np.intp), 1)
    beside = aggregate(both, np.append(np.zeros(members, dtype=np.intp), 1), 2)
    found = part(beside, 0, 1)
    assert np.array_equal(found.price, own.price)
    assert np.array_equal(found.kw, own.kw)
