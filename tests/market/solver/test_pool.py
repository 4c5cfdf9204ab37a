"""The closed pool, exact: certified, the members' own best replies, and what its prices are."""

from dataclasses import replace

import numpy as np
import pytest

from market.analysis.certify_outcome import certify_outcome
from market.analysis.tolerance import exceeds
from market.errors import Infeasible
from market.model.case import Grid, Network, Resources, Tariff
from market.model.curves import respond, shift
from market.model.response import supply_curves
from market.solver.clearing import clear, pool_members
from market.solver.pool_answers import PoolAnswers
from tests.market.quantity import quantity_case

GROUPS, CASES_PER_GROUP = 4, 25


@pytest.mark.parametrize("group", range(GROUPS))
def test_every_case_is_certified(group):
    binding = 0
    for seed in range(group * CASES_PER_GROUP, (group + 1) * CASES_PER_GROUP):
        case = quantity_case(seed)
        outcome = clear(case)
        assert exceeds(certify_outcome(case, outcome), case) == [], f"seed {seed}"
        binding += np.count_nonzero(outcome.wam.row_dual)
    assert binding > 2


def with_the_utility_as_resources(case, charge):
    """Members' trades over marginal value, with two resources each that buy and sell: no clip anywhere."""
    n, resources = case.demand_kw.size, case.resources
    reach = np.bincount(resources.owner, np.abs(resources.min_kw) + np.abs(resources.max_kw), minlength=n)
    cap = np.abs(case.demand_kw) + reach
    every, zero, of_member = np.arange(n), np.zeros(n), charge[case.lam_of]
    columns = zip(
        (
            resources.owner,
            resources.min_kw,
            resources.max_kw,
            resources.cost_linear,
            resources.cost_quadratic,
        ),
        (every, zero, cap, case.tariff.retail + of_member, zero),
        (every, -cap, zero, case.tariff.feed_in + of_member, zero),
        strict=True,
    )
    return supply_curves(case.demand_kw, Resources(*(np.concatenate(column) for column in columns))).curves


def best_replies(case, outcome, sweeps=20_000):
    """Nash equilibrium of every LAM at its intercept, by members' best replies one after the other."""
    members = with_the_utility_as_resources(case, outcome.wam.charge)
    double = shift(members, 2.0 * case.slope[case.lam_of])
    intercept = outcome.price - case.slope * outcome.wam.net_kw
    trade_kw = np.zeros(case.demand_kw.size)
    for _ in range(sweeps):
        before = trade_kw.copy()
        for j, lam in enumerate(case.lam_of):
            others = trade_kw[case.lam_of == lam].sum() - trade_kw[j]
            price = np.full(trade_kw.size, intercept[lam] + case.slope[lam] * others)
            trade_kw[j] = respond(double, price)[j]
        if np.abs(trade_kw - before).max() < 1e-11:
            return trade_kw
    raise AssertionError("best replies did not settle")


@pytest.mark.parametrize("seed", range(300, 320))
def test_trades_are_where_best_replies_end(seed):
    case = quantity_case(seed)
    outcome = clear(case)
    np.testing.assert_allclose(best_replies(case, outcome), outcome.trade_kw, atol=1e-6)


def test_nobody_buys_and_sells_at_once_or_trades_against_its_flow():
    """Prop. 1, and that there is no arbitrage between the pool and the utility."""
    traded = 0
    for seed in range(60):
        case = quantity_case(seed)
        outcome = clear(case)
        q, u = outcome.trade_kw, outcome.utility_kw
        assert np.minimum(np.abs(q), np.abs(u))[q * u < 0].max(initial=0.0) <= 1e-6
        traded += np.count_nonzero(np.abs(u) > 1e-3)
    assert traded > 50


def test_prices_stand_in_their_order():
    """Local prices and members' marginal values lie between the utility's prices."""
    for seed in range(60):
        case = quantity_case(seed, rows=0, losses=False)
        outcome = clear(case)
        price, slope = outcome.price[case.lam_of], case.slope[case.lam_of]
        value = price + slope * outcome.trade_kw
        low, high = case.tariff.feed_in - 1e-12, case.tariff.retail + 1e-12
        assert ((low <= outcome.price) & (outcome.price <= high)).all()
        assert ((low <= value) & (value <= high)).all()


def sums(answers, pool, charge):
    """Net purchases and flows at a price of shared energy and charges, and slopes of the three variables."""
    kw, slope = answers.at(np.concatenate([pool + charge, pool + 0.0 * charge, charge]))
    own, traded, drawn = np.split(kw, 3)
    return own + traded, own + drawn, np.split(slope, 3)


def test_answers_fall_as_their_slopes_say():
    """The Jacobian over the three variables of each LAM, by differences."""
    compared, h = 0, 1e-9
    for seed in range(40):
        case = quantity_case(seed, rows=0)
        supply = supply_curves(case.demand_kw, case.resources)
        members = pool_members(case, supply)
        answers = PoolAnswers(members, shift(supply.curves, 1e-3), np.zeros(members.lams))
        rng = np.random.default_rng(seed)
        pool = rng.uniform(case.tariff.feed_in, case.tariff.retail)
        charge = rng.normal(0.0, 0.05, members.lams)
        net, flow, slopes = sums(answers, pool, charge)
        net_p, flow_p, slopes_p = sums(answers, pool + h, charge)
        net_r, flow_r, slopes_r = sums(answers, pool, charge + h)
        own, traded, drawn = slopes
        smooth = np.logical_and.reduce([x == y for x, y in zip(slopes * 2, slopes_p + slopes_r, strict=True)])
        pairs = [(net - net_p, own + traded), (flow - flow_p, own)]
        pairs += [(net - net_r, own), (flow - flow_r, own + drawn)]
        for found, said in pairs:
            np.testing.assert_allclose((found / h)[smooth], said[smooth], rtol=1e-4, atol=1e-3)
        compared += np.count_nonzero(smooth)
    assert compared > 60


def test_losses_cost_what_the_grid_takes_for_the_last_kwh():
    seen = set()
    for seed in range(400, 460):
        case = quantity_case(seed, rows=0, losses=True)
        wam = clear(case).wam
        if abs(wam.grid_kw) > 1e-6:
            expected = case.grid.import_price if wam.grid_kw > 0 else case.grid.export_price
            assert wam.energy_price == expected
        else:
            assert case.grid.export_price <= wam.energy_price <= case.grid.import_price
        seen.add(int(np.sign(np.round(wam.grid_kw, 6))))
    assert seen == {-1, 0, 1}


def test_a_limit_at_the_head_has_a_price_that_all_flows_pay():
    case = quantity_case(3, rows=0, losses=False)
    free = clear(case).wam
    limit = 0.5 * abs(free.grid_kw)
    outcome = clear(replace(case, grid=Grid(case.grid.import_price, case.grid.export_price, limit, limit)))
    assert abs(abs(outcome.wam.grid_kw) - limit) < 1e-9
    head = case.grid.limit_price(outcome.wam.energy_price)
    assert head * np.sign(free.grid_kw) > 1e-4
    np.testing.assert_allclose(outcome.wam.charge, head, atol=1e-12)


def test_without_a_spread_of_the_utility_nothing_is_shared():
    case = quantity_case(5, rows=0, losses=False)
    narrow = replace(case, tariff=Tariff(0.2 + 1e-9, 0.2))
    np.testing.assert_allclose(clear(narrow).trade_kw, 0.0, atol=1e-5)


def test_a_row_that_no_flow_can_keep_is_named():
    case = quantity_case(3, rows=0)
    lams = len(case.lam_id)
    row = Network(np.ones((1, lams)), np.zeros(1), np.array([1e5]), np.array([2e5]), name=("feeder",))
    with pytest.raises(Infeasible, match="network row feeder with its lower limit"):
        clear(replace(case, network=row))


def test_a_start_from_prices_of_rows_changes_nothing_else():
    case = quantity_case(11, rows=3)
    outcome = clear(case)
    again = clear(case, start=outcome.wam.limit_prices)
    np.testing.assert_allclose(again.trade_kw, outcome.trade_kw, atol=1e-9)
