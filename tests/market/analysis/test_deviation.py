"""LAMs' true gains, against bids tried one after the other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from market.analysis.deviation import best_deviations
from market.files.case_file import read_case
from market.model.case import Resources
from market.model.curves import from_points
from market.model.response import disaggregate, supply_curves
from market.solver.aggregation import aggregate
from market.solver.clearing import clear, member_curves
from market.solver.lam import clear_lams
from market.solver.wam import clear_wam

CASES = Path(__file__).parents[1] / "cases"


def solved(name):
    case = read_case(CASES / f"{name}.json")
    return case, clear(case)


def cost_of_members(case, lam, net_kw):
    """V_i by its definition (2.5): the members' costs, fees and strategic terms at their own equilibrium."""
    supply = supply_curves(case.demand_kw, case.resources)
    members = member_curves(case, supply)
    total = aggregate(members, case.lam_of, len(case.lam_id))
    nets = np.clip(0.0, total.lowest_kw, total.highest_kw)
    nets[lam] = net_kw
    trade_kw = clear_lams(members, case.lam_of, total, nets, np.zeros(nets.size)).trade_kw
    mine = np.flatnonzero(case.lam_of == lam)
    output_kw = disaggregate(supply, trade_kw)
    own = np.bincount(case.resources.owner, case.resources.cost(output_kw), minlength=trade_kw.size)
    fees = case.fee[lam] * np.abs(trade_kw) + 0.5 * case.slope[lam] * trade_kw**2
    return float((own + fees)[mine].sum())


def costs_by_bid(case, outcome, lam, bids):
    """What a LAM's members pay in all when it bids each of ``bids`` and everyone else stays."""
    others = outcome.wam.net_kw + case.wam_sensitivity * outcome.wam.price
    ends = np.array([-10.0, 10.0])
    costs = []
    for bid in bids:
        intercepts = others.copy()
        intercepts[lam] = bid
        lines = [(ends, intercept - case.wam_sensitivity * ends) for intercept in intercepts]
        wam = clear_wam(from_points(lines), case.network, case.grid, case.balance, case.offset_kw)
        net_kw, price = wam.net_kw[lam], wam.price[lam]
        costs.append(cost_of_members(case, lam, net_kw) + price * net_kw + case.wam_fee[lam] * abs(net_kw))
    return np.array(costs)


@pytest.mark.parametrize(("name", "lam"), [("two-lams", 0), ("no-fees", 1), ("rows-binding", 4)])
def test_the_gain_is_what_trying_bids_finds(name, lam):
    case, outcome = solved(name)
    (found,) = best_deviations(case, outcome, [lam])
    now = outcome.wam.net_kw[lam] + case.wam_sensitivity * outcome.wam.price[lam]
    there = found.net_kw + case.wam_sensitivity * found.price
    reach = 2.0 * abs(there - now)
    bids = np.concatenate([[now, there], np.linspace(now - reach, now + reach, 41)])
    costs = costs_by_bid(case, outcome, lam, bids)
    assert found.gain > 1e-5
    assert costs[0] - costs[1] == pytest.approx(found.gain, rel=1e-6)
    assert costs.min() >= costs[1] - 1e-9


def test_nobody_gains_where_the_conjecture_is_exact():
    """On an island without binding rows or losses the true slope (3.4) is K, so there is no better bid."""
    case, _ = solved("islanded")
    case = replace(case, balance=np.ones(3))
    deviations = best_deviations(case, clear(case))
    assert [each.lam for each in deviations] == [0, 1, 2]
    assert max(each.gain for each in deviations) < 1e-9


def test_rows_that_cut_a_lam_off_give_it_power_that_the_conjecture_does_not_see():
    case, outcome = solved("rows-binding")
    gains = [each.gain for each in best_deviations(case, outcome)]
    assert max(gains) > 0.1
    assert np.median(gains) < 1e-3


def test_bids_that_nobody_can_clear_are_no_deviation():
    """A LAM that alone can feed an island: not even taking nothing is a bid that the others could meet."""
    case, _ = solved("islanded")
    lam_of = case.lam_of
    first = int(np.flatnonzero(lam_of == 0)[0])
    demand_kw = np.where(lam_of == 0, 0.0, 1.0)
    resources = Resources(
        np.array([first]), np.array([-40.0]), np.array([40.0]), np.array([0.1]), np.array([0.01])
    )
    case = replace(case, demand_kw=demand_kw, resources=resources, wam_sensitivity=0.01, balance=np.ones(3))
    outcome = clear(case)
    assert outcome.wam.net_kw[0] == pytest.approx(-demand_kw.sum())
    (found,) = best_deviations(case, outcome, [0])
    assert np.isfinite([found.gain, found.net_kw, found.price]).all()
    assert found.gain == pytest.approx(0.0, abs=1e-6)
