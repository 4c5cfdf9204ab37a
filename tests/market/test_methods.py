from pathlib import Path

import numpy as np
import pytest

from market.errors import Infeasible
from market.files.case_file import read_case
from market.methods import solve
from market.model.response import supply_curves
from market.solver.clearing import clear, member_curves

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize(
    ("method", "within"),
    [("exact", 0.0), ("curve", 1e-6), ("slope", 1e-3), ("plain", 1e-3), ("monolithic", 1e-3)],
)
def test_every_method_ends_at_the_same_equilibrium(method, within):
    if method == "monolithic":
        pytest.importorskip("cvxpy")
    case = read_case(CASES / "rows-binding.json")
    exact, found = clear(case), solve(case, method).outcome
    assert found.trade_kw == pytest.approx(exact.trade_kw, abs=within, rel=0)
    assert found.price == pytest.approx(exact.price, abs=1e-5)
    assert found.wam.price == pytest.approx(exact.wam.price, abs=1e-5)
    assert found.social_cost == pytest.approx(exact.social_cost, abs=1e-3)
    supplied = np.bincount(case.resources.owner, found.output_kw, minlength=case.demand_kw.size)
    assert supplied + found.trade_kw == pytest.approx(case.demand_kw, abs=1e-6)


@pytest.mark.parametrize("method", ["exact", "curve", "slope", "plain"])
def test_every_method_refuses_what_cannot_be_met(method):
    with pytest.raises(Infeasible, match="power balance"):
        solve(read_case(CASES / "infeasible-balance.json"), method)


def test_only_bids_take_rounds():
    case = read_case(CASES / "two-lams.json")
    assert solve(case, "exact").tally is None
    curve, slope, plain = (solve(case, method).tally for method in ("curve", "slope", "plain"))
    assert (curve.wam, curve.lam) == (1, 1)
    assert 1 < slope.lam < plain.lam
    assert curve.messages < slope.messages < plain.messages


def test_whole_curves_are_counted_by_their_vertices():
    case = read_case(CASES / "two-lams.json")
    n, lams = case.demand_kw.size, len(case.lam_id)
    vertices = member_curves(case, supply_curves(case.demand_kw, case.resources)).price.size
    tally = solve(case, "curve").tally
    # Members' and LAMs' bids, the WAM's prices, and awards.
    assert tally.messages == n + lams + 1 + n
    carried = tally.bytes // 8 - 2 * lams - 2 * n
    # A LAM's curve bends where a member's does; vertices at one price may fall together.
    assert 2 * vertices < carried <= 4 * vertices


def test_each_way_of_bidding_tells_its_rounds():
    case = read_case(CASES / "two-lams.json")
    for method, loop in (("curve", "nested"), ("slope", "single"), ("plain", "nested")):
        seen = []
        tally = solve(case, method, loop=loop, on_round=seen.append).tally
        assert [state.lam for state in seen] == list(range(1, tally.lam + 1))
