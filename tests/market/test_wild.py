"""Wild cases clear and certify by every method; ``SHAREGRID_WILD_CASES`` says how many are drawn."""

import os

import numpy as np
import pytest

from market.files.result_file import solve_case
from market.model.case import Case, Grid, Network, Resources, Tariff
from tests.market.wild import wild_case

CASES = int(os.environ.get("SHAREGRID_WILD_CASES", "60"))


def failures(method, seeds):
    """Seeds and reasons of those that end neither certified nor infeasible."""
    found = {}
    for seed in seeds:
        result = solve_case(wild_case(seed), method)
        if result.status == "not_converged":
            found[seed] = result.reason
    return found


@pytest.mark.parametrize("method", ["exact", "curve"])
def test_wild_cases_clear_and_certify(method):
    assert failures(method, range(CASES)) == {}


@pytest.mark.parametrize(("method", "seed"), [("plain", 84), ("slope", 86)])
def test_large_jumps_are_met_at_prices_near_enough_to_certify(method, seed):
    assert failures(method, [seed]) == {}


@pytest.mark.parametrize(("method", "seed"), [("plain", 300366), ("plain", 300439)])
def test_answers_so_steep_that_no_nearer_price_can_be_asked_are_met(method, seed):
    assert failures(method, [seed]) == {}


@pytest.mark.parametrize(("method", "seed"), [("slope", 300454), ("plain", 300454), ("plain", 310004)])
def test_a_price_that_rows_leave_open_settles_once_asked(method, seed):
    assert failures(method, [seed]) == {}


def test_an_answer_at_an_end_that_is_given_twice_is_not_lost():
    assert failures("slope", [310185]) == {}


def test_a_jump_beside_prices_of_a_million_is_met_within_their_rounding():
    assert failures("plain", [310098]) == {}


def test_what_answers_miss_goes_to_members_who_answer_steeply():
    assert failures("plain", [300252]) == {}


@pytest.mark.parametrize("seed", [829, 1012, 1257, 1544])
def test_a_row_of_great_size_does_not_loosen_the_others(seed):
    assert failures("exact", [seed]) == {}


@pytest.mark.parametrize("method", ["slope", "plain"])
def test_rounds_end_on_wild_cases(method):
    assert failures(method, range(CASES // 2)) == {}


def lone_member(sensitivity, base, lower, upper, demand_kw=-3.0, least_kw=-2.7):
    """One member that jumps at one price, held by one row."""
    one = np.ones(1)
    return Case(
        prosumer_id=("p0",),
        lam_id=("lam0",),
        lam_of=np.zeros(1, dtype=np.intp),
        demand_kw=demand_kw * one,
        resources=Resources(np.zeros(1, dtype=np.intp), least_kw * one, 0.0 * one, 0.15 * one, 0.0 * one),
        sensitivity=10.0 * one,
        fee=0.0 * one,
        wam_sensitivity=200.0,
        wam_fee=0.0 * one,
        balance=0.86 * one,
        offset_kw=0.0,
        network=Network(sensitivity * np.ones((1, 1)), base * one, lower * one, upper * one, name=("r0",)),
        grid=Grid(0.25, 0.05, 1e4, 1e4),
        tariff=Tariff(0.35, 0.0),
    )


@pytest.mark.parametrize("method", ["exact", "plain", "slope", "curve"])
@pytest.mark.parametrize("net_kw", [-0.3, -1.7])
def test_a_lone_member_that_a_row_holds_inside_its_jump_or_at_its_end(method, net_kw):
    value = 1.0 - 4e-4 * net_kw
    case = lone_member(-4e-4, 1.0, value, 1.1)
    result = solve_case(case, method)
    assert result.status == "optimal"
    # It would rather sell 0.3 kW alone; the row wants as much or more to leave it.
    assert result.lams.net_kw[0] == pytest.approx(net_kw, abs=1e-6)
    assert result.social_cost == pytest.approx(solve_case(case).social_cost, abs=1e-6)


def test_a_row_below_the_resolution_of_its_base_is_named():
    result = solve_case(lone_member(3.4e-15, 1.0, 1.0 - 1e-15, 1.0))
    assert result.status == "not_converged"
    assert "network row r0" in result.reason
    assert "3.4e-15 per kW" in result.reason
