import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.errors import Infeasible
from market.model.case import Resources
from market.model.curves import from_points, respond, respond_range, shift, take
from market.model.response import supply_curves
from market.solver.aggregation import aggregate
from market.solver.lam import clear_lams

SEEDS = st.integers(0, 2**32 - 1)


def members(seed, n=14, lams=4, slope=None, fee=0.01):
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, n, 3 * n)
    low = -rng.uniform(0.0, 2.0, owner.size)
    high = rng.uniform(0.0, 2.0, owner.size)
    quadratic = rng.choice([0.0, 1e-9, 0.05, 0.2], owner.size)
    supply = supply_curves(
        rng.uniform(-4.0, 4.0, n),
        Resources(owner, low, high, rng.choice([0.0, 0.1, 0.2], owner.size), quadratic),
    )
    k = 10.0 ** rng.uniform(-5.0, 0.0, n) if slope is None else np.full(n, slope)
    group = rng.permutation(np.concatenate([np.arange(lams), rng.integers(0, lams, n - lams)]))
    return shift(supply.curves, k, fee), group


@given(SEEDS, st.floats(-0.5, 0.8))
def test_the_sum_of_responses_is_the_response_of_the_sum(seed, price):
    curves, group = members(seed)
    total = aggregate(curves, group, 4)
    expected = np.bincount(group, respond(curves, np.full(group.size, price)), minlength=4)
    # A price next to a narrow step may fall on either side of it by rounding.
    around = [respond(total, np.full(4, price + d)) for d in (-1e-12, 1e-12)]
    assert (expected <= around[0] + 1e-7).all()
    assert (expected >= around[1] - 1e-7).all()


@given(SEEDS)
def test_the_sum_is_monotone_and_ends_where_its_members_end(seed):
    curves, group = members(seed)
    total = aggregate(curves, group, 4)
    inner = np.ones(total.price.size - 1, dtype=bool)
    inner[total.start[1:-1] - 1] = False
    assert (np.diff(total.price)[inner] >= 0).all()
    assert (np.diff(total.kw)[inner] <= 0).all()
    assert total.highest_kw == pytest.approx(np.bincount(group, curves.highest_kw, minlength=4))
    assert total.lowest_kw == pytest.approx(np.bincount(group, curves.lowest_kw, minlength=4), abs=1e-6)


@given(SEEDS)
def test_a_lam_has_the_same_bits_alone_and_among_many(seed):
    curves, group = members(seed)
    total = aggregate(curves, group, 4)
    net = total.lowest_kw + 0.3 * (total.highest_kw - total.lowest_kw)
    near = np.full(4, 0.13)
    together = clear_lams(curves, group, total, net, near)
    for i in range(4):
        own = np.flatnonzero(group == i)
        alone_curves, alone_group = take(curves, own), np.zeros(own.size, dtype=int)
        alone = aggregate(alone_curves, alone_group, 1)
        place = slice(total.start[i], total.start[i + 1])
        assert np.array_equal(alone.price, total.price[place])
        assert np.array_equal(alone.kw, total.kw[place])
        outcome = clear_lams(alone_curves, alone_group, alone, net[i : i + 1], near[:1])
        assert outcome.price[0] == together.price[i]
        assert np.array_equal(outcome.trade_kw, together.trade_kw[own])


@given(SEEDS, st.floats(0.0, 1.0))
def test_trades_add_up_and_are_best_replies(seed, part):
    curves, group = members(seed)
    total = aggregate(curves, group, 4)
    net = total.lowest_kw + part * (total.highest_kw - total.lowest_kw)
    outcome = clear_lams(curves, group, total, net, np.full(4, 0.13))
    turnover = np.bincount(group, np.maximum(abs(curves.highest_kw), abs(curves.lowest_kw)), minlength=4)
    assert (abs(np.bincount(group, outcome.trade_kw, minlength=4) - net) <= 1e-11 * (1 + turnover)).all()
    crowd = np.bincount(group, minlength=4)[group] > 1
    low, _ = respond_range(curves, outcome.price[group] + 1e-9)
    _, high = respond_range(curves, outcome.price[group] - 1e-9)
    assert (outcome.trade_kw >= low - 1e-9)[crowd].all()
    assert (outcome.trade_kw <= high + 1e-9)[crowd].all()


@pytest.mark.parametrize(("near", "price"), [(0.0, 0.2), (0.25, 0.25), (0.5, 0.3)])
def test_a_range_of_prices_is_settled_next_to_the_wide_area_price(near, price):
    points = np.array([0.1, 0.2, 0.3, 0.4]), np.array([3.0, 1.0, 1.0, 0.0])
    curves = from_points([points, points])
    group = np.zeros(2, dtype=int)
    outcome = clear_lams(curves, group, aggregate(curves, group, 1), np.array([2.0]), np.array([near]))
    assert outcome.price[0] == pytest.approx(price)
    assert outcome.trade_kw == pytest.approx([1.0, 1.0])


def test_members_that_jump_together_share_in_proportion():
    curves = from_points(
        [(np.array([0.1, 0.1]), np.array([3.0, 0.0])), (np.array([0.1, 0.1]), np.array([1.0, 0.0]))]
    )
    group = np.zeros(2, dtype=int)
    outcome = clear_lams(curves, group, aggregate(curves, group, 1), np.array([2.0]), np.array([0.3]))
    assert outcome.price[0] == 0.1
    assert outcome.trade_kw == pytest.approx([1.5, 0.5])


def test_a_lone_member_trades_all_of_it():
    curves = from_points([(np.array([0.1, 0.1]), np.array([3.0, -1.0]))])
    group = np.zeros(1, dtype=int)
    outcome = clear_lams(curves, group, aggregate(curves, group, 1), np.array([0.7]), np.array([0.2]))
    assert outcome.trade_kw[0] == 0.7


def test_a_lam_without_members_is_zero():
    curves = from_points([(np.array([0.1, 0.2]), np.array([3.0, -1.0]))])
    total = aggregate(curves, np.array([1]), 3)
    assert respond(total, np.full(3, 0.1)).tolist() == [0.0, 3.0, 0.0]


def test_more_than_the_members_can_take_is_refused_by_name():
    curves = from_points([(np.array([0.1, 0.2]), np.array([3.0, -1.0]))] * 2)
    group = np.array([0, 1])
    total = aggregate(curves, group, 2)
    with pytest.raises(Infeasible, match=r"LAM south .* 1.5 kW") as refused:
        clear_lams(curves, group, total, np.array([0.0, 4.5]), np.zeros(2), ("north", "south"))
    assert refused.value.index == 1
    assert refused.value.amount == pytest.approx(1.5)


@given(SEEDS)
def test_slopes_of_very_different_size_do_not_blur_each_other(seed):
    """A ramp of a million kW per $/kWh leaves no more behind its end than the unit in which it is counted."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0.0, 0.1)
    steep = (np.array([start, start + 1e-6]), np.array([1.0, 0.0]))
    gentle = (np.array([0.0, 1.0]), np.array([1e-3, 0.0]))
    curves = from_points([steep, gentle])
    total = aggregate(curves, np.zeros(2, dtype=int), 1)
    prices = np.linspace(start + 1e-5, 1.0, 7)
    answers = np.array([respond(total, np.array([p]))[0] for p in prices])
    assert answers == pytest.approx(1e-3 * (1.0 - prices), abs=2.0**-40)
