import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.model.case import Resources
from market.model.curves import respond, respond_range, shift
from market.model.inverse import price_range
from market.model.response import disaggregate, supply_curves

SEEDS = st.integers(0, 2**32 - 1)


def population(seed, n=5):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 4 * n))
    owner = rng.integers(0, n, count)
    low = rng.uniform(-2.0, 0.5, count)
    high = low + rng.uniform(0.0, 3.0, count) * (rng.random(count) > 0.2)
    linear = rng.choice([0.0, 0.1, 0.15, 0.2], count)
    quadratic = rng.choice([0.0, 1e-14, 1e-6, 0.05, 0.2], count)
    return rng.uniform(-4.0, 4.0, n), Resources(owner, low, high, linear, quadratic)


def brute_force(demand, resources, price, slope, fee):
    """Best trade of one prosumer by a fine search over trades, resources filled in order of marginal cost."""
    least = demand - resources.max_kw.sum()
    most = demand - resources.min_kw.sum()
    trades = np.linspace(least, most, 20001)
    nu = np.linspace(-3.0, 3.0, 6001)[:, None]
    ramp = (nu - resources.cost_linear) / np.maximum(resources.cost_quadratic, 1e-9)
    outputs = np.clip(ramp, resources.min_kw, resources.max_kw)
    cost = np.interp(demand - trades, outputs.sum(axis=1), resources.cost(outputs).sum(axis=1))
    total = cost + price * trades + fee * np.abs(trades) + 0.5 * slope * trades**2
    return trades[np.argmin(total)], total.min()


@given(SEEDS, st.floats(0.01, 0.3), st.sampled_from([0.0, 0.01, 0.05]), st.floats(0.02, 1.0))
def test_response_is_the_best_reply(seed, price, fee, slope):
    demand, resources = population(seed)
    demand = demand[:1]
    keep = resources.owner == 0
    own = Resources(resources.owner[keep], *(getattr(resources, c)[keep] for c in list(vars(resources))[1:]))
    supply = supply_curves(demand, own)
    trade = respond(shift(supply.curves, slope, fee), np.array([price]))
    output = disaggregate(supply, trade)
    cost = own.cost(output).sum() + price * trade[0] + fee * abs(trade[0]) + 0.5 * slope * trade[0] ** 2
    best_trade, best = brute_force(demand[0], own, price, slope, fee)
    assert cost <= best + 1e-6
    assert trade[0] == pytest.approx(best_trade, abs=5e-3 / slope**0.5)


@given(SEEDS)
def test_trades_and_outputs_balance_exactly(seed):
    demand, resources = population(seed)
    supply = supply_curves(demand, resources)
    rng = np.random.default_rng(seed)
    low, high = supply.curves.lowest_kw, supply.curves.highest_kw
    trade = low + rng.random(demand.size) * (high - low)
    output = disaggregate(supply, trade)
    assert (output >= resources.min_kw - 1e-14).all()
    assert (output <= resources.max_kw + 1e-14).all()
    supplied = np.bincount(resources.owner, output, minlength=demand.size)
    assert supplied + trade == pytest.approx(demand, abs=1e-13)


@given(SEEDS)
def test_ramps_that_were_kept_give_the_same_outputs(seed):
    demand, resources = population(seed)
    kept = supply_curves(demand, resources, keeps_ramps=True)
    rng = np.random.default_rng(seed)
    low, high = kept.curves.lowest_kw, kept.curves.highest_kw
    trade = low + rng.random(demand.size) * (high - low)
    assert all(group.ramps is not None for group in kept.groups)
    anew = supply_curves(demand, resources)
    assert all(group.ramps is None for group in anew.groups)
    expected = disaggregate(anew, trade)
    assert (disaggregate(kept.without_curves(), trade) == expected).all()


@given(SEEDS)
def test_outputs_are_the_cheapest_for_their_trade(seed):
    """Every resource's marginal cost meets one marginal value per prosumer, unless a limit stops it."""
    demand, resources = population(seed)
    supply = supply_curves(demand, resources)
    rng = np.random.default_rng(seed)
    low, high = supply.curves.lowest_kw, supply.curves.highest_kw
    trade = low + rng.random(demand.size) * (high - low)
    output = disaggregate(supply, trade)
    nu_low, nu_high = price_range(supply.curves, trade)
    marginal = resources.cost_linear + resources.cost_quadratic * output
    can_rise = output < resources.max_kw - 1e-9
    can_fall = output > resources.min_kw + 1e-9
    assert (marginal[can_rise] >= nu_low[resources.owner][can_rise] - 1e-8).all()
    assert (marginal[can_fall] <= nu_high[resources.owner][can_fall] + 1e-8).all()


def test_steps_at_one_value_share_in_proportion_to_their_ranges():
    resources = Resources(
        np.array([0, 0]), np.array([0.0, -1.0]), np.array([1.0, 2.0]), np.full(2, 0.1), np.zeros(2)
    )
    supply = supply_curves(np.array([5.0]), resources)
    output = disaggregate(supply, np.array([4.0]))
    assert output == pytest.approx([0.5, 0.5])
    low, high = respond_range(supply.curves, np.array([0.1]))
    assert (low[0], high[0]) == (2.0, 6.0)


def test_a_ramp_narrower_than_rounding_is_a_step():
    resources = Resources(np.zeros(1, int), np.zeros(1), np.ones(1), np.full(1, 0.1), np.full(1, 1e-15))
    curves = supply_curves(np.zeros(1), resources).curves
    assert curves.price[0] == curves.price[1]
    assert disaggregate(supply_curves(np.zeros(1), resources), np.array([-0.25]))[0] == 0.25


def test_a_prosumer_without_resources_is_constant():
    none = np.zeros(0)
    supply = supply_curves(np.array([2.5]), Resources(np.zeros(0, dtype=int), none, none, none, none))
    assert respond(shift(supply.curves, 0.1, 0.01), np.array([9.0]))[0] == 2.5
    assert disaggregate(supply, np.array([2.5])).size == 0


def test_a_prosumer_with_many_resources_beside_others():
    rng = np.random.default_rng(5)
    owner = np.concatenate([np.zeros(300, int), [1, 2]])
    low, high = -rng.random(302), rng.random(302)
    resources = Resources(owner, low, high, rng.random(302), rng.random(302))
    supply = supply_curves(np.zeros(3), resources)
    assert supply.curves.lowest_kw == pytest.approx(-np.bincount(owner, high))
    assert supply.curves.highest_kw == pytest.approx(-np.bincount(owner, low))
