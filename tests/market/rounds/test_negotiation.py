"""Rounds of plain and slope bids end where the exact clearing does, or say that they did not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from market.errors import Infeasible, NotConverged
from market.files.case_file import read_case
from market.model.case import Case, Grid, Resources, Tariff
from market.model.response import supply_curves
from market.rounds import CurveResponse, negotiate
from market.solver.clearing import clear, member_curves

OWN = Path(__file__).parents[1] / "cases"
SHARED = Path(__file__).parents[4] / "shared" / "cases"
WAYS = [(form, loop) for form in ("plain", "slope") for loop in ("nested", "single")]


def names(folder):
    return sorted(p.stem for p in folder.glob("*.json") if not p.stem.endswith(".solution"))


def members_of(case):
    return CurveResponse(member_curves(case, supply_curves(case.demand_kw, case.resources)))


def assert_same_outcome(case, found):
    exact = clear(case)
    assert found.trade_kw == pytest.approx(exact.trade_kw, abs=1e-3)
    assert found.price == pytest.approx(exact.price, abs=1e-5)
    assert found.wam.net_kw == pytest.approx(exact.wam.net_kw, abs=1e-3)
    assert found.wam.price == pytest.approx(exact.wam.price, abs=1e-5)
    assert case.net_kw(found.trade_kw) == pytest.approx(found.wam.net_kw, abs=1e-9)
    response = members_of(case)
    assert (found.trade_kw <= response.highest_kw + 1e-12).all()
    assert (found.trade_kw >= response.lowest_kw - 1e-12).all()


def assert_all_ways(case):
    response = members_of(case)
    try:
        clear(case)
    except Infeasible as refused:
        for form, loop in WAYS:
            with pytest.raises(Infeasible, match=f"^{refused.what} cannot be met"):
                negotiate(case, form, response, loop=loop)
        return
    for form, loop in WAYS:
        assert_same_outcome(case, negotiate(case, form, response, loop=loop))


@pytest.mark.parametrize("name", names(OWN))
def test_own_cases_end_at_the_exact_equilibrium(name):
    assert_all_ways(read_case(OWN / f"{name}.json"))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize("name", names(SHARED))
def test_shared_cases_end_at_the_exact_equilibrium(name):
    assert_all_ways(read_case(SHARED / f"{name}.json"))


@pytest.mark.parametrize("seed", range(12))
def test_random_cases_end_at_the_exact_equilibrium(seed):
    make_cases = pytest.importorskip("scripts.make_cases")
    rng = np.random.default_rng(seed)
    members = tuple(int(n) for n in rng.integers(1, 12, int(rng.integers(1, 7))))
    case = make_cases.random_case(
        rng,
        members,
        int(rng.integers(0, 4)),
        step_share=float(rng.choice([0.0, 0.5, 1.0])),
        fee=float(rng.choice([0.0, 0.01])),
        sensitivity=float(rng.choice([1.0, 10.0, 100.0])),
        wam_sensitivity=float(rng.choice([20.0, 200.0, 2000.0])),
    )
    assert_all_ways(case)


def midday(members: int, sensitivity: float) -> Case:
    """One LAM at noon, cut off from the grid, with more sun than its load of 2 kW a roof needs."""
    n = members
    return Case(
        prosumer_id=tuple(f"roof{j}" for j in range(n)),
        lam_id=("street",),
        lam_of=np.zeros(n, dtype=np.intp),
        demand_kw=np.linspace(0.5, 1.5, n),
        resources=Resources(np.arange(n), np.zeros(n), np.full(n, 5.0), np.zeros(n), np.zeros(n)),
        sensitivity=np.array([sensitivity]),
        fee=np.zeros(1),
        wam_sensitivity=200.0,
        wam_fee=np.zeros(1),
        balance=np.ones(1),
        offset_kw=2.0 * n,
        network=None,
        grid=Grid(0.25, 0.05, 0.0, 0.0),
        tariff=Tariff(0.30, 0.04),
    )


@pytest.mark.parametrize("sensitivity", [0.1, 1.0, 10.0, 100.0])
def test_midday_curtailment_cycles_with_plain_bids_unless_slopes_are_seen(sensitivity):
    case = midday(8, sensitivity)
    response = members_of(case)
    exact = clear(case)
    curtailed = case.resources.max_kw - exact.output_kw
    assert (curtailed > 0.1).all()

    prices = []
    with pytest.raises(NotConverged, match="not converged after 200 iterations"):
        negotiate(
            case,
            "plain",
            response,
            loop="single",
            secants=False,
            wam_rounds=200,
            on_round=lambda state: prices.append(state.price[0]),
        )
    late, later = np.ptp(prices[-100:-50]), np.ptp(prices[-50:])
    assert later == pytest.approx(late, rel=1e-6)
    assert later > 1e-3 * abs(exact.price[0])

    for loop in ("nested", "single"):
        found = negotiate(case, "plain", response, loop=loop)
        assert_same_outcome(case, found)


def test_midday_curtailment_of_two_settles_without_that():
    case = midday(2, 10.0)
    found = negotiate(case, "plain", members_of(case), loop="single", secants=False)
    assert_same_outcome(case, found)


def test_slope_bids_never_take_more_rounds_than_plain_ones():
    case = midday(20, 10.0)
    response = members_of(case)
    plain, slope = (negotiate(case, form, response).tally for form in ("plain", "slope"))
    assert slope.lam < plain.lam


class Asked:
    """Members that answer and count; nothing else of them can be seen."""

    def __init__(self, case):
        self._members = members_of(case)
        self.lowest_kw, self.highest_kw = self._members.lowest_kw, self._members.highest_kw
        self.prices = []

    def at(self, price):
        self.prices.append(price.copy())
        return self._members.at(price)


@pytest.mark.parametrize(("form", "loop"), WAYS)
def test_the_outcome_comes_out_of_answers_alone(form, loop, monkeypatch):
    """With the members' resources taken out of the case, the rounds find the same trades."""
    case = read_case(OWN / "rows-binding.json")
    none = np.zeros(0)
    blind = replace(
        case,
        demand_kw=np.zeros(case.demand_kw.size),
        resources=Resources(np.zeros(0, dtype=np.intp), none, none, none, none),
    )
    members = Asked(case)
    found = negotiate(blind, form, members, loop=loop)
    assert_same_outcome(case, found)
    assert len(members.prices) == found.tally.lam


def test_messages_are_counted_as_they_travel():
    case = read_case(OWN / "two-lams.json")
    n, lams = case.demand_kw.size, len(case.lam_id)
    for form, numbers in (("plain", 1), ("slope", 2)):
        tally = negotiate(case, form, members_of(case), loop="single").tally
        # In the single loop every member and LAM speaks in every round; the last WAM round awards.
        asked = tally.lam * (lams + n)
        forwarded = tally.wam * (lams + 1)
        assert tally.messages == asked + forwarded + n
        carried = tally.lam * (lams + numbers * n) + tally.wam * (numbers * lams + 2 * lams) + 2 * n
        ranges = 2 * (n + lams)
        assert tally.bytes == 8 * (carried + ranges)


@pytest.mark.parametrize("loop", ["nested", "single"])
def test_too_few_rounds_are_no_outcome(loop):
    case = read_case(OWN / "rows-binding.json")
    with pytest.raises(NotConverged) as given_up:
        negotiate(case, "plain", members_of(case), loop=loop, wam_rounds=2)
    assert given_up.value.iterations == 2
    assert given_up.value.residual_kw > 1e-3


def test_the_same_negotiation_gives_the_same_bits():
    case = read_case(OWN / "rows-binding.json")
    first, second = (negotiate(case, "plain", members_of(case)) for _ in range(2))
    assert np.array_equal(first.trade_kw, second.trade_kw)
    assert np.array_equal(first.price, second.price)
    assert first.tally == second.tally
