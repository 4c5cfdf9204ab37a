"""The clearing over a horizon: today's where nothing couples, and what it does with what cannot be met."""

import re
from dataclasses import replace

import numpy as np
import pytest

from market.errors import CaseError, Infeasible, NotConverged
from market.horizon import clearing
from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.horizon.feeder import FeederLimits
from market.horizon.lams import Lams
from market.horizon.members import Members, price_size
from market.horizon.newton import Newton
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.start import Near, later
from market.horizon.stores import no_stores, within_reach
from market.oracles.horizon import solve_horizon
from market.solver.clearing import clear
from tests.market.horizon.objective import objective
from tests.market.horizon.town import battery, town


@pytest.mark.parametrize("seed", range(6))
def test_without_stores_every_interval_is_cleared_as_today(seed):
    case = town(seed, T=3, lams=3, members=4, rows=2, stores=0.0)
    bare = HorizonCase(case.intervals, no_stores(3), 1.0)
    try:
        todays = [clear(one) for one in case.intervals]
    except Infeasible as refusal:
        with pytest.raises(Infeasible, match=re.escape(refusal.what)):
            clear_horizon(bare)
        return
    for today, outcome in zip(todays, clear_horizon(bare).intervals, strict=True):
        assert outcome.trade_kw == pytest.approx(today.trade_kw, abs=1e-8)
        assert outcome.output_kw == pytest.approx(today.output_kw, abs=1e-8)
        assert outcome.price == pytest.approx(today.price, abs=1e-9)
        assert outcome.wam.price == pytest.approx(today.wam.price, abs=1e-9)
        assert outcome.social_cost == pytest.approx(today.social_cost, abs=1e-9)
        assert outcome.wam.grid_kw == pytest.approx(today.wam.grid_kw, abs=1e-8)


def test_a_battery_that_can_do_nothing_changes_nothing():
    case = town(2, T=1, stores=0.0)
    idle = battery(1, kw=0.0)
    found = clear_horizon(HorizonCase(case.intervals, idle, 1.0)).intervals[0]
    assert found.trade_kw == pytest.approx(clear(case.first).trade_kw, abs=1e-8)


def test_resources_at_their_limits_are_there_to_the_last_bits():
    case = town(0, T=8, lams=2, members=300)
    for one, found in zip(case.intervals, clear_horizon(case).intervals, strict=True):
        low, high = one.resources.min_kw, one.resources.max_kw
        off = np.minimum(np.abs(found.output_kw - low), np.abs(high - found.output_kw))
        assert off[off < 1e-9].max() < 4e-15


def test_a_start_saves_steps_and_changes_nothing():
    case = town(5, T=12, lams=3, members=6, rows=2)
    cold = clear_horizon(case)
    warm = clear_horizon(case, [Near.of(outcome) for outcome in cold.intervals])
    assert warm.iterations <= 2 < cold.iterations
    assert warm.trade_kw == pytest.approx(cold.trade_kw, abs=1e-8)
    shifted = clear_horizon(case, later(cold.intervals))
    assert shifted.trade_kw == pytest.approx(cold.trade_kw, abs=1e-8)


@pytest.mark.parametrize("seed", [3, 5, 8])
def test_a_start_that_knew_no_limits_comes_to_the_same(seed):
    case = town(seed, T=12, lams=3, members=6, rows=2)
    free = replace(case, intervals=tuple(replace(one, network=None) for one in case.intervals))
    before = [Near.of(outcome) for outcome in clear_horizon(free).intervals]
    cold, warm = clear_horizon(case), clear_horizon(case, before)
    assert warm.trade_kw == pytest.approx(cold.trade_kw, abs=1e-8)
    assert warm.price == pytest.approx(cold.price, abs=1e-9)


def test_one_vehicle_that_cannot_be_charged_in_time_makes_nobody_else_infeasible():
    case = town(4, T=6, stores=0.0)
    store = battery(6, kwh=20.0, kw=1.0, initial=0.0, efficiency=1.0)
    lower = store.lower_kwh.copy()
    lower[0, 6] = 10.0
    late = replace(store, lower_kwh=lower, discharge_kw=np.zeros((1, 6)))
    outcome = clear_horizon(HorizonCase(case.intervals, late, 1.0))
    assert outcome.shortfall_kwh[0, 6] == pytest.approx(4.0)
    assert outcome.power_kw[0] == pytest.approx(-np.ones(6))


def test_a_limit_that_cannot_be_met_names_its_interval():
    case = town(1, T=4, rows=1)
    network = case.intervals[2].network
    strict = replace(network, lower=network.base - 1e-6, upper=network.base + 1e9)
    load = replace(case.intervals[2], network=strict, demand_kw=case.intervals[2].demand_kw + 50.0)
    intervals = (*case.intervals[:2], load, case.intervals[3])
    with pytest.raises(Infeasible, match="interval 2: network row v0 with its lower limit"):
        clear_horizon(replace(case, intervals=intervals))


@pytest.mark.parametrize("seed", range(8))
def test_negative_prices_leave_an_equilibrium(seed):
    case = town(seed, T=5, lams=2, members=3)
    paid = tuple(
        replace(one, grid=replace(one.grid, import_price=-0.2, export_price=-0.25)) for one in case.intervals
    )
    case = replace(case, intervals=paid, stores=within_reach(case.stores, 1.0)[0])
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []
    assert objective(case, outcome) == pytest.approx(solve_horizon(case).objective, rel=1e-7, abs=1e-8)


def jumping(seed):
    """Lone members, whose answers jump: whether a plain search finds where is chance."""
    case = town(seed, T=10, lams=5, members=1, rows=2, stores=1.0, hours=0.25)
    steep = tuple(replace(one, fee=np.zeros(5), wam_fee=np.full(5, 0.001)) for one in case.intervals)
    return replace(case, intervals=steep, stores=within_reach(case.stores, case.hours)[0])


def gives_up(*_, **__):
    raise NotConverged(80, 1.0, "")


def test_answers_that_jump_are_found_by_proximal_steps(monkeypatch):
    case = jumping(5013)
    plain = clear_horizon(case)
    monkeypatch.setattr(clearing, "_from_few", gives_up)
    for outcome in (plain, clear_horizon(case)):
        assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []
        assert objective(case, outcome) == pytest.approx(solve_horizon(case).objective, rel=1e-7, abs=1e-8)


def test_limits_that_jumping_answers_cannot_meet_are_named_where_prices_do_not_settle(monkeypatch):
    worst = {5016: 4, 5028: 3, 5043: 1, 5053: 4, 5061: 4}
    cases = [jumping(seed) for seed in worst]
    for case, t in zip(cases, worst.values(), strict=True):
        with pytest.raises(
            Infeasible, match=rf"interval {t}: network row v\d with its lower limit .* cannot be met"
        ):
            clear_horizon(case)
    # Which of them a plain search does not end at depends on last digits; that there are some does not.
    monkeypatch.setattr(clearing, "proximal", gives_up)
    ends = []
    for case in cases:
        with pytest.raises((Infeasible, NotConverged)) as refusal:
            clear_horizon(case)
        ends.append(refusal.type)
    assert NotConverged in ends


def test_energy_is_burnt_where_prices_pay_for_it():
    case = town(6, T=3, lams=1, members=3, stores=0.0)
    paid = tuple(
        replace(one, grid=replace(one.grid, import_price=-2.0, export_price=-2.5)) for one in case.intervals
    )
    store = battery(3, kwh=1.0, kw=2.0, initial=1.0, efficiency=0.8)
    burning = HorizonCase(paid, store, 1.0)
    outcome = clear_horizon(burning)
    assert outcome.spilled_kwh.sum() > 1.0
    assert beyond_tolerance(certify_horizon(burning, outcome.claim(burning)), burning) == []


def test_a_start_of_another_length_is_refused():
    case = town(1, T=3)
    outcome = clear_horizon(case)
    with pytest.raises(CaseError, match="start: 2 of them for 3 intervals; give one for each"):
        clear_horizon(case, outcome.intervals[:2])


def test_a_beginning_with_few_stores_changes_nothing(monkeypatch):
    case = town(7, T=12, lams=2, members=60, rows=2, stores=0.9)
    asked = []
    at = Lams.at

    def counted(self, *where):
        asked.append(self._members.stores)
        return at(self, *where)

    monkeypatch.setattr(Lams, "at", counted)
    found = clear_horizon(case)
    few = [count for count in asked if count < len(case.stores)]
    assert few
    assert max(few) <= 2 * max(clearing.FEW)
    monkeypatch.setattr(clearing, "FEW", ())
    other = clear_horizon(case)
    assert found.trade_kw == pytest.approx(other.trade_kw, abs=1e-7)
    assert found.price == pytest.approx(other.price, abs=1e-9)
    assert found.power_kw == pytest.approx(other.power_kw, abs=1e-7)


def test_few_stores_with_steeper_slopes_come_before_more_of_them(monkeypatch):
    case = town(7, T=6, lams=2, members=120, rows=2, stores=0.9)
    solve, asked = Newton.solve, []

    def noted(self, *where, **how):
        asked.append(self._lams._members)
        return solve(self, *where, **how)

    monkeypatch.setattr(Newton, "solve", noted)
    found = clear_horizon(case)
    few, more, every = asked
    assert few.stores < more.stores < every.stores
    slopes = [members.of_lam(0, np.zeros(6))[1].slope for members in asked]
    assert (slopes[0] == clearing.STEEPER * slopes[2]).all()
    assert (slopes[1] == slopes[2]).all()
    monkeypatch.setattr(clearing, "FEW", ())
    other = clear_horizon(case)
    assert found.price == pytest.approx(other.price, abs=1e-9)


def test_few_stores_that_mislead_are_done_without(monkeypatch):
    case = town(7, T=6, lams=2, members=60, rows=2, stores=0.9)
    right = clear_horizon(case)
    solve = Newton.solve

    def misled(self, now, start, **how):
        if how.get("roughly") is not None:
            raise NotConverged(1, 1.0, "")
        return solve(self, now, start, **how)

    monkeypatch.setattr(Newton, "solve", misled)
    assert clear_horizon(case).trade_kw == pytest.approx(right.trade_kw, abs=1e-8)


def flat_town():
    case = town(2, T=12, lams=6, members=4, stores=0.8)
    return replace(
        case,
        intervals=tuple(
            replace(one, sensitivity=np.full(6, 1e7), wam_sensitivity=1e6) for one in case.intervals
        ),
    )


def test_where_price_slopes_are_next_to_none_and_prices_do_not_settle_that_is_the_cause_named():
    flat = flat_town()
    limits = FeederLimits.of(flat, price_size(flat))
    with pytest.raises(NotConverged, match=r"members of lam\d reckon with a price slope of 3.3e-08 .* lower"):
        Newton(flat, Members(flat), limits).solve(clearing._middle(flat, limits), None)
    outcome = clear_horizon(flat)
    assert beyond_tolerance(certify_horizon(flat, outcome.claim(flat)), flat) == []
