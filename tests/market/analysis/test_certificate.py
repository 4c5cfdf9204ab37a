from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from market.analysis.certificate import certify
from market.analysis.reference import optimum
from market.files.case_file import read_case
from market.model.case import Resources
from market.model.curves import from_points
from market.model.response import disaggregate, supply_curves
from market.model.rule import DemandFunctionBidding
from market.solver.clearing import clear
from market.solver.wam import clear_wam

CASES = Path(__file__).parents[1] / "cases"


def solved(name):
    case = read_case(CASES / f"{name}.json")
    return case, clear(case)


def certificate(case, outcome, **changes):
    wam = outcome.wam
    arguments = {
        "trade_kw": outcome.trade_kw,
        "output_kw": outcome.output_kw,
        "price": outcome.price,
        "net_kw": wam.net_kw,
        "grid_kw": wam.grid_kw,
        "energy_price": wam.energy_price,
        "row_dual": wam.row_dual,
    }
    return certify(case, **(arguments | changes))


def test_an_equilibrium_has_nothing_to_report():
    proof = certificate(*solved("rows-binding"))
    assert proof.balance_kw < 1e-10
    assert proof.row_violation < 1e-10
    assert proof.complementarity < 1e-10
    assert abs(proof.duality_gap) < 1e-10
    assert proof.exploitability < 1e-10


def gain_by_search(case, outcome, prosumer):
    """Gain of the best other trade of one prosumer, its price following by the others' fixed bids."""
    lam, now = case.lam_of[prosumer], outcome.trade_kw[prosumer]
    own = np.flatnonzero(case.resources.owner == prosumer)
    limits = case.demand_kw[prosumer] - np.array(
        [case.resources.max_kw[own].sum(), case.resources.min_kw[own].sum()]
    )
    trades = np.concatenate([[now], np.linspace(*limits, 2001)])
    # As many copies of the prosumer as trades to try.
    columns = {key: np.tile(values[own], trades.size) for key, values in vars(case.resources).items()}
    columns["owner"] = np.repeat(np.arange(trades.size), own.size)
    copies = Resources(**columns)
    output = disaggregate(supply_curves(np.full(trades.size, case.demand_kw[prosumer]), copies), trades)
    cost = np.bincount(copies.owner, copies.cost(output), minlength=trades.size)
    price = outcome.price[lam] + case.slope[lam] * (trades - now)
    total = cost + price * trades + case.fee[lam] * np.abs(trades)
    return total[0] - total.min()


def test_the_gain_is_what_a_search_for_deviations_finds():
    """At prices and trades of the social optimum members can gain, and the certificate says how much."""
    case, outcome = solved("weak-sensitivity")
    best = optimum(case)
    price = np.full_like(outcome.price, 0.14)
    off = replace(outcome, trade_kw=best.trade_kw, output_kw=best.output_kw, price=price)
    proof = certificate(case, off, net_kw=best.net_kw, grid_kw=best.grid_kw)
    found = max(
        gain_by_search(case, off, j) for j in range(len(case.prosumer_id)) if case.members[case.lam_of[j]] > 1
    )
    assert proof.prosumer_gain == pytest.approx(found, rel=1e-3)
    assert proof.prosumer_gain > 0.01


def test_a_lone_member_has_no_gain_by_convention():
    case, outcome = solved("one-lam")
    alone = replace(
        case,
        prosumer_id=("only",),
        lam_of=np.zeros(1, dtype=int),
        demand_kw=np.array([3.0]),
        resources=replace(case.resources, owner=np.zeros_like(case.resources.owner)),
    )
    assert certificate(alone, clear(alone)).prosumer_gain == 0.0
    assert outcome.trade_kw.size == 9


def test_each_fault_shows_in_its_own_number():
    case, outcome = solved("rows-binding")
    wam = outcome.wam
    moved = outcome.trade_kw.copy()
    moved[0] += 0.5
    assert certificate(case, outcome, trade_kw=moved).balance_kw == pytest.approx(0.5)
    beyond = outcome.output_kw.copy()
    beyond[0] = case.resources.max_kw[0] + 2.0
    assert certificate(case, outcome, output_kw=beyond).balance_kw >= 2.0
    assert certificate(case, outcome, grid_kw=wam.grid_kw + 3.0).balance_kw == pytest.approx(3.0)
    tight = replace(case.network, upper=wam.row_value - 0.1, lower=wam.row_value - 9.0)
    assert certificate(replace(case, network=tight), outcome).row_violation == pytest.approx(0.1)
    slack = replace(case.network, upper=wam.row_value + 2.0, lower=wam.row_value - 2.0)
    dual = np.zeros_like(wam.row_dual)
    dual[0] = -0.3
    loose = certificate(replace(case, network=slack), outcome, row_dual=dual)
    assert loose.complementarity == pytest.approx(0.6)


def test_wrong_prices_open_the_duality_gap():
    case, outcome = solved("islanded")
    proof = certificate(case, outcome, energy_price=outcome.wam.energy_price + 0.02)
    assert proof.duality_gap > 1e-4
    assert proof.lam_gain > 1e-6


def test_an_unequal_split_between_lams_shows_as_a_gap():
    case, outcome = solved("rows-binding")
    price_taking = replace(case, rule=DemandFunctionBidding("price-taking"))
    other = clear(price_taking)
    assert certificate(price_taking, other).duality_gap == pytest.approx(0.0, abs=1e-10)
    assert certificate(case, other).duality_gap > 1e-9
    assert not np.allclose(other.wam.net_kw, outcome.wam.net_kw, atol=1e-6)


def test_lams_that_bid_plain_demand_are_cleared_by_the_same_solver():
    """One operator's round: given bids B, prices are (B - Q) / A and the clearing is their convex program."""
    case, outcome = solved("two-lams")
    bids = outcome.wam.net_kw + case.wam_sensitivity * outcome.wam.price
    wide = 50.0
    ends = np.array([wide, -wide])
    lines = [((bid - ends) / case.wam_sensitivity, ends) for bid in bids]
    again = clear_wam(from_points(lines), case.network, case.grid, case.balance, case.offset_kw)
    assert again.net_kw == pytest.approx(outcome.wam.net_kw, abs=1e-9)
    assert again.price == pytest.approx(outcome.wam.price, abs=1e-9)


def test_a_lam_that_hardly_trades_still_reckons_with_its_effect():
    """With a weak WAM sensitivity a trade too small to count moves the price by more than the tolerance."""
    case, _ = solved("two-lams")
    case = replace(
        case, wam_sensitivity=1e-3, wam_fee=np.zeros(2), grid=replace(case.grid, export_price=0.25)
    )
    nothing = np.zeros(0, dtype=int)
    resources = Resources(nothing, *(np.zeros(0) for _ in range(4)))
    demand_kw = np.zeros(case.demand_kw.size)
    demand_kw[np.flatnonzero(case.lam_of == 0)[0]] = 5e-7
    case = replace(case, resources=resources, demand_kw=demand_kw, offset_kw=0.0)
    outcome = clear(case)
    assert outcome.price[0] - outcome.wam.price[0] == pytest.approx(5e-4)
    assert certificate(case, outcome).price_error < 1e-9


def test_what_rounding_makes_of_large_sums_is_no_fault():
    case, _ = solved("weak-sensitivity")
    large = 1e8
    resources = replace(
        case.resources,
        min_kw=case.resources.min_kw * large,
        max_kw=case.resources.max_kw * large,
        cost_quadratic=case.resources.cost_quadratic / large,
    )
    grid = replace(case.grid, import_limit_kw=1e9, export_limit_kw=1e9)
    case = replace(case, demand_kw=case.demand_kw * large, resources=resources, grid=grid, network=None)
    outcome = clear(case)
    proof = certificate(case, outcome)
    assert np.abs(outcome.price).max() > 1e6
    assert (proof.balance_kw, proof.price_error, proof.exploitability) == (0.0, 0.0, 0.0)
    moved = outcome.trade_kw.copy()
    moved[0] += 1e-3
    assert certificate(case, outcome, trade_kw=moved).balance_kw == pytest.approx(1e-3, rel=1e-2)
