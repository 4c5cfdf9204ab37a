"""Ties among a prosumer's resources: a plan decides, within limits, and nothing else changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.model.case import Resources
from market.model.ties import TIED, settle_ties

NAN = np.nan


def resources(*rows):
    """Resources told as owner, least and most output, cost, and rise of the cost."""
    columns = [np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)]
    return Resources(columns[0].astype(np.intp), *columns[1:])


@pytest.mark.parametrize(
    ("made_kw", "wanted_kw", "settled_kw"),
    [
        # Two batteries charge 3 kW together: as planned.
        ([-1.5, -1.5, 0.0], [-1.0, -2.0, NAN], [-1.0, -2.0, 0.0]),
        # Less is left than planned: both give way by the same part of what they could.
        ([-1.0, -1.0, 0.0], [-1.0, -2.0, NAN], [-2.0 / 3.0, -4.0 / 3.0, 0.0]),
        # More is to be charged than planned.
        ([-2.0, -2.0, 0.0], [-1.0, -2.0, NAN], [-2.0 + 0.5, -2.0 - 0.5, 0.0]),
        # Nothing is planned.
        ([-1.0, -1.5, 0.0], [NAN, NAN, NAN], [-1.0, -1.5, 0.0]),
        # A plan beyond a limit goes as far as that.
        ([-2.0, -1.0, 0.0], [-9.0, 0.0, NAN], [-2.0 - 0.0, -1.0, 0.0]),
    ],
)
def test_two_stores_of_one_member_share_as_planned(made_kw, wanted_kw, settled_kw):
    stores = resources((0, -2.0, 0.0, 0.1, 0), (0, -3.0, 0.0, 0.1, 0), (0, 0.0, 4.0, 0.2, 0))
    assert settle_ties(stores, np.array(made_kw), np.array(wanted_kw)) == pytest.approx(settled_kw)


def test_sun_takes_what_a_planned_store_leaves():
    """At a worth of nothing a battery could charge what is curtailed: only the plan says how much."""
    home = resources((0, 0.0, 6.0, 0.0, 0), (0, -4.0, 0.0, 0.0, 0))
    assert settle_ties(home, np.array([4.0, -2.0]), np.array([NAN, -3.0])) == pytest.approx([5.0, -3.0])
    # Where the sun cannot, the store does.
    assert settle_ties(home, np.array([6.0, -2.0]), np.array([NAN, -3.0])) == pytest.approx([6.0, -2.0])
    assert settle_ties(home, np.array([0.0, -2.0]), np.array([NAN, -1.0])) == pytest.approx([0.0, -2.0])


def test_only_what_costs_the_same_to_one_owner_is_tied():
    apart = resources(
        (0, -2.0, 0.0, 0.1, 0),
        (1, -2.0, 0.0, 0.1, 0),
        (1, -2.0, 0.0, 0.1 + 2 * TIED, 0),
        (1, 0.0, 2.0, 0.1, 1.0),
    )
    made_kw = np.array([-1.0, -1.0, -0.5, 0.5])
    assert (settle_ties(apart, made_kw, np.array([-2.0, 0.0, 0.0, 0.0])) == made_kw).all()


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_sums_and_limits_hold_and_what_fits_is_as_planned(seed):
    rng = np.random.default_rng(seed)
    r = int(rng.integers(1, 12))
    some = Resources(
        owner=np.sort(rng.integers(0, 3, r)),
        min_kw=-rng.uniform(0.0, 3.0, r) * (rng.random(r) < 0.6),
        max_kw=rng.uniform(0.0, 3.0, r) * (rng.random(r) < 0.6),
        cost_linear=rng.choice([0.0, 0.1, 0.1 + 1e-9], r),
        cost_quadratic=rng.choice([0.0, 0.0, 0.5], r),
    )
    made_kw = some.min_kw + rng.random(r) * (some.max_kw - some.min_kw)
    wanted_kw = np.where(rng.random(r) < 0.3, np.nan, rng.uniform(-4.0, 4.0, r))
    settled_kw = settle_ties(some, made_kw, wanted_kw)
    assert (settled_kw >= some.min_kw).all()
    assert (settled_kw <= some.max_kw).all()
    key = some.owner * 10 + np.round(some.cost_linear * 10)
    is_flat = some.cost_quadratic * (some.max_kw - some.min_kw) <= 0.0
    assert (settled_kw[~is_flat] == made_kw[~is_flat]).all()
    for group in np.unique(key[is_flat]):
        mine = is_flat & (key == group)
        assert settled_kw[mine].sum() == pytest.approx(made_kw[mine].sum(), abs=1e-12)
        # Planned by what was settled, it stays.
    again = settle_ties(some, made_kw, settled_kw)
    assert again == pytest.approx(settled_kw, abs=1e-12)
