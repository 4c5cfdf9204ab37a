"""Members whose costs are written in cvxpy bid beside the built-in ones, and the outcome is the same."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from market.files.case_file import read_case
from market.model.curves import join, shift, take
from market.model.response import supply_curves
from market.rounds import CurveResponse, negotiate
from market.rounds.mixed import Mixed
from market.solver.aggregation import aggregate
from market.solver.clearing import clear, member_curves
from market.solver.wam import clear_wam

cp = pytest.importorskip("cvxpy")
from market.oracles.convex import ConvexResponse  # noqa: E402 - it needs cvxpy

CASE = read_case(Path(__file__).parents[1] / "cases" / "two-lams.json")
CURVES = member_curves(CASE, supply_curves(CASE.demand_kw, CASE.resources))
CONVEX = np.arange(0, CASE.demand_kw.size, 3)
OTHERS = np.setdiff1d(np.arange(CASE.demand_kw.size), CONVEX)


def own_resources(prosumer, trade):
    """Cost of the prosumer's own resources, with their outputs as inner variables."""
    resources = CASE.resources
    mine = resources.owner == prosumer
    if not mine.any():
        return cp.Constant(0.0), [trade == CASE.demand_kw[prosumer]]
    x = cp.Variable(int(mine.sum()))
    cost = 0.5 * cp.sum(cp.multiply(resources.cost_quadratic[mine], cp.square(x)))
    cost += resources.cost_linear[mine] @ x
    limits = [x >= resources.min_kw[mine], x <= resources.max_kw[mine]]
    return cost, [*limits, cp.sum(x) + trade == CASE.demand_kw[prosumer]]


def convex(costs):
    lam = CASE.lam_of[CONVEX]
    return ConvexResponse(costs, CASE.slope[lam], CASE.fee[lam])


@pytest.mark.parametrize("form", ["plain", "slope"])
def test_the_same_costs_in_cvxpy_end_at_the_exact_equilibrium(form):
    own = convex([partial(own_resources, prosumer) for prosumer in CONVEX])
    response = Mixed([(CONVEX, own), (OTHERS, CurveResponse(take(CURVES, OTHERS)))])
    found = negotiate(CASE, form, response, tolerance_kw=1e-4)
    exact = clear(CASE)
    assert found.trade_kw == pytest.approx(exact.trade_kw, abs=1e-3)
    assert found.price == pytest.approx(exact.price, abs=1e-5)


def test_sampled_curves_clear_to_what_rounds_of_bids_find():
    """Exponential costs: told whole as sampled curves, or round by round, members trade the same."""

    def tiring(trade):
        return 0.08 * cp.exp(-0.7 * trade), [trade >= -2.0, trade <= 2.0]

    own = convex([tiring] * CONVEX.size)
    mixed = Mixed([(CONVEX, own), (OTHERS, CurveResponse(take(CURVES, OTHERS)))])
    found = negotiate(CASE, "slope", mixed, tolerance_kw=1e-4)

    order = np.argsort(np.concatenate([CONVEX, OTHERS]))
    told = take(join([own.curves(1e-4), take(CURVES, OTHERS)]), order)
    lams = shift(aggregate(told, CASE.lam_of, 2), CASE.wam_slope, CASE.wam_fee)
    cleared = clear_wam(lams, CASE.network, CASE.grid, CASE.balance, CASE.offset_kw)
    assert found.wam.net_kw == pytest.approx(cleared.net_kw, abs=2e-3)
    assert found.wam.price == pytest.approx(cleared.price, abs=1e-4)
