import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market.analysis.certify_outcome import certify_outcome
from market.analysis.reference import optimum
from market.errors import Infeasible
from market.files.case_file import read_case
from market.solver.clearing import clear

OWN = Path(__file__).parents[1] / "cases"
SHARED = Path(__file__).parents[4] / "shared" / "cases"


def names(folder):
    return sorted(p.stem for p in folder.glob("*.json") if not p.stem.endswith(".solution"))


def own_case(name):
    return read_case(OWN / f"{name}.json"), json.loads((OWN / f"{name}.solution.json").read_text())


def assert_equilibrium(case, outcome, tolerance=1e-8):
    certificate = certify_outcome(case, outcome)
    assert certificate.balance_kw <= 1e-9
    assert certificate.row_violation <= 1e-8
    assert abs(certificate.duality_gap) <= tolerance
    assert certificate.exploitability <= tolerance
    assert certificate.complementarity <= tolerance


def assert_matches(case, solution):
    if solution["status"] == "infeasible":
        with pytest.raises(Infeasible):
            clear(case)
        return
    outcome = clear(case)
    assert outcome.trade_kw == pytest.approx(solution["trade_kw"], abs=1e-6)
    assert outcome.wam.net_kw == pytest.approx(solution["net_kw"], abs=1e-6)
    assert outcome.wam.grid_kw == pytest.approx(solution["grid_kw"], abs=1e-6)
    assert outcome.social_cost == pytest.approx(solution["social_cost"], rel=1e-7, abs=1e-7)
    assert optimum(case).social_cost == pytest.approx(solution["optimum_cost"], rel=1e-7, abs=1e-7)
    assert_equilibrium(case, outcome)


@pytest.mark.parametrize("name", names(OWN))
def test_own_cases_match_an_interior_point_solution(name):
    assert_matches(*own_case(name))


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared cases are not here")
@pytest.mark.parametrize("name", names(SHARED))
def test_shared_cases_match_their_solutions(name):
    solution = json.loads((SHARED / f"{name}.solution.json").read_text())
    assert_matches(read_case(SHARED / f"{name}.json"), solution)


@settings(max_examples=40, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32 - 1), st.floats(-3.0, 5.0), st.floats(-2.0, 6.0))
def test_any_case_ends_at_a_proven_equilibrium_or_is_refused(seed, local, wide):
    """Sensitivities over eight orders of magnitude, closed grids, dense rows: certified or infeasible."""
    monolithic = pytest.importorskip("market.oracles.monolithic")
    make_cases = pytest.importorskip("scripts.make_cases")
    rng = np.random.default_rng(seed)
    members = tuple(int(n) for n in rng.integers(1, 9, int(rng.integers(1, 9))))
    grid = make_cases.Grid(0.25, 0.05, float(rng.choice([0.0, 1.0, 1e4])), float(rng.choice([0.0, 1e4])))
    case = make_cases.random_case(
        rng,
        members,
        int(rng.choice([0, 2, 15])),
        grid=grid,
        step_share=float(rng.choice([0.0, 0.5, 1.0])),
        fee=float(rng.choice([0.0, 0.02])),
        sensitivity=10.0**local,
        wam_sensitivity=10.0**wide,
        offset_kw=float(rng.choice([0.0, 10.0, -10.0])),
    )
    try:
        outcome = clear(case)
    except Infeasible:
        with pytest.raises(Infeasible):
            monolithic.solve(case)
        return
    turnover = 1.0 + np.abs(outcome.trade_kw).sum() * np.abs(outcome.price).max()
    assert_equilibrium(case, outcome, 1e-8 * turnover)


def test_prosumers_may_come_in_any_order():
    case, _ = own_case("rows-binding")
    order = np.random.default_rng(2).permutation(len(case.prosumer_id))
    place = np.argsort(order)
    shuffled = case.__class__(
        **{
            **case.__dict__,
            "prosumer_id": tuple(case.prosumer_id[j] for j in order),
            "lam_of": case.lam_of[order],
            "demand_kw": case.demand_kw[order],
            "resources": case.resources.__class__(
                place[case.resources.owner],
                case.resources.min_kw,
                case.resources.max_kw,
                case.resources.cost_linear,
                case.resources.cost_quadratic,
            ),
        }
    )
    assert clear(shuffled).trade_kw == pytest.approx(clear(case).trade_kw[order], abs=1e-10)


def test_the_same_case_gives_the_same_bits():
    case, _ = own_case("rows-binding")
    first, second = clear(case), clear(case)
    assert np.array_equal(first.trade_kw, second.trade_kw)
    assert np.array_equal(first.wam.price, second.wam.price)


def test_local_prices_follow_the_wide_area_price():
    """lambda_i = mu_i + Delta sgn(Q_i) + K Q_i wherever a LAM's price is unique."""
    case, _ = own_case("rows-binding")
    outcome = clear(case)
    wam = outcome.wam
    expected = wam.price + case.wam_fee * np.sign(wam.net_kw) + case.wam_slope * wam.net_kw
    assert outcome.price == pytest.approx(expected, abs=1e-9)
