"""Two hundred generated cases: the exact clearing against the whole program in an interior-point solver."""

from dataclasses import replace

import numpy as np
import pytest

from market.analysis import reference
from market.errors import Infeasible
from market.model.rule import DemandFunctionBidding
from market.solver.clearing import clear

monolithic = pytest.importorskip("market.oracles.monolithic")
make_cases = pytest.importorskip("scripts.make_cases")

GROUPS = 20
CASES_PER_GROUP = 11


def generated(seed):
    """A case over everything that the format can say."""
    rng = np.random.default_rng(seed)
    members = tuple(int(n) for n in rng.integers(1, 9, int(rng.integers(1, 7))))
    limit = float(rng.choice([0.0, 5.0, 1e4], p=[0.15, 0.15, 0.7]))
    case = make_cases.random_case(
        rng,
        members,
        int(rng.choice([0, 1, 3, 8])),
        grid=make_cases.Grid(0.25, 0.05, limit, limit),
        step_share=float(rng.choice([0.0, 0.3, 1.0])),
        fee=float(rng.choice([0.0, 0.01])),
        wam_fee=float(rng.choice([0.0, 0.005])),
        sensitivity=10.0 ** rng.uniform(-1.0, 2.0),
        wam_sensitivity=10.0 ** rng.uniform(0.5, 3.5),
        offset_kw=0.0 if limit == 0.0 else float(rng.choice([0.0, 3.0, -3.0])),
    )
    if rng.random() < 0.3:
        lossy = 1.0 + rng.normal(0.0, 0.1, len(members)).round(6)
        case = replace(case, balance=lossy, rule=DemandFunctionBidding("price-taking"))
    return case


def objective(case, trade_kw, output_kw, net_kw, grid_kw):
    """Value of the market's program, and the size of its terms [$/h]."""
    k, fee = case.slope[case.lam_of], case.fee[case.lam_of]
    terms = [
        case.resources.cost(output_kw),
        fee * np.abs(trade_kw) + 0.5 * k * trade_kw**2,
        case.wam_fee * np.abs(net_kw) + 0.5 * case.wam_slope * net_kw**2,
        np.array([case.grid.cost(grid_kw)]),
    ]
    joined = np.concatenate(terms)
    return joined.sum(), 1.0 + np.abs(joined).sum()


def attempt(solver, case):
    """What a solver finds, or the reason why there is nothing to find."""
    try:
        return solver(case), None
    except Infeasible as error:
        return None, error


@pytest.mark.parametrize("group", range(GROUPS))
def test_generated_cases_match_the_interior_point_solution(group):
    solved = 0
    for seed in range(CASES_PER_GROUP * group, CASES_PER_GROUP * (group + 1)):
        case = generated(seed)
        outcome, refusal = attempt(clear, case)
        found, same = attempt(monolithic.solve, case)
        assert (refusal is None) == (same is None), seed
        if refusal is not None:
            assert refusal.amount == pytest.approx(same.amount, rel=1e-3, abs=1e-5), seed
            continue
        wam = outcome.wam
        value, size = objective(case, outcome.trade_kw, outcome.output_kw, wam.net_kw, wam.grid_kw)
        assert abs(value - found.objective) <= 1e-7 * size, seed
        # Resources that cost alike may share their work otherwise, trades may not.
        assert outcome.trade_kw == pytest.approx(found.trade_kw, abs=1e-4), seed
        assert wam.net_kw == pytest.approx(found.net_kw, abs=1e-4), seed
        assert wam.grid_kw == pytest.approx(found.grid_kw, abs=1e-4), seed
        solved += 1
    assert solved >= CASES_PER_GROUP // 2


@pytest.mark.parametrize(
    ("rules", "ours"),
    [
        ("optimum", reference.optimum),
        ("no_sharing", reference.no_sharing),
        ("lam_only", reference.lam_only),
        ("single_layer", reference.single_layer),
        ("single_layer_network", lambda case: reference.single_layer(case, with_network=True)),
    ],
)
def test_benchmarks_match_their_programs(rules, ours):
    for name, case in make_cases.catalogue().items():
        if name.startswith("infeasible"):
            continue
        theirs = monolithic.solve(case, rules)
        assert ours(case).social_cost == pytest.approx(theirs.social_cost, rel=1e-6, abs=1e-6), name


def test_what_cannot_be_met_is_named_with_the_least_amount():
    case = make_cases.catalogue()["infeasible-row"]
    with pytest.raises(Infeasible, match="row0") as told:
        monolithic.clear(case)
    assert told.value.index == 0
    relaxed = replace(case.network, upper=case.network.upper + np.array([told.value.amount + 1e-3, 0, 0, 0]))
    monolithic.clear(replace(case, network=relaxed))
    short = replace(case.network, upper=case.network.upper + np.array([told.value.amount - 1e-3, 0, 0, 0]))
    with pytest.raises(Infeasible):
        monolithic.clear(replace(case, network=short))
