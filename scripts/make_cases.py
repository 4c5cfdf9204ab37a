"""Write small cases with solutions by an independent convex solver, for the market's tests.

The solver knows nothing of price-response curves: it minimises the whole two-layer program over resource
outputs, trades and net purchases. Run from the top folder: python -m scripts.make_cases
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from market.errors import Infeasible
from market.files.case_file import encode_case
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.curves import respond, shift
from market.model.response import supply_curves
from market.model.rule import DemandFunctionBidding
from market.oracles.monolithic import solve
from market.solver.aggregation import aggregate

CASES = Path(__file__).parent.parent / "tests" / "market" / "cases"
WIDE = Grid(0.25, 0.05, 1e4, 1e4)


def random_case(
    rng: np.random.Generator,
    members: tuple[int, ...],
    rows: int = 0,
    *,
    grid: Grid = WIDE,
    step_share: float = 0.3,
    fee: float = 0.01,
    wam_fee: float = 0.005,
    sensitivity: float = 10.0,
    wam_sensitivity: float = 200.0,
    offset_kw: float = 3.0,
) -> Case:
    """Random prosumers in LAMs of the given sizes, with rows that cut into their free sharing.

    Parameters
    ----------
    rng
        Source of all draws.
    members
        Prosumers per LAM.
    rows
        Network rows; some bind, and a state that respects all exists.
    step_share
        Part of the resources without quadratic cost.
    """
    lams, n = len(members), sum(members)
    owner = rng.integers(0, n, 2 * n)
    size = owner.size
    step = rng.random(size) < step_share
    low = -rng.uniform(0.0, 2.0, size) * (rng.random(size) < 0.6)
    high = rng.uniform(0.0, 2.0, size) * (rng.random(size) < 0.7)
    resources = Resources(
        owner,
        low.round(6),
        np.maximum(low, high).round(6),
        np.where(step & (rng.random(size) < 0.5), 0.0, rng.uniform(0.05, 0.3, size)).round(6),
        np.where(step, 0.0, rng.uniform(0.01, 0.2, size)).round(6),
    )
    case = Case(
        prosumer_id=tuple(f"p{j}" for j in range(n)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=rng.permutation(np.repeat(np.arange(lams), members)),
        demand_kw=rng.uniform(-4.0, 4.0, n).round(6),
        resources=resources,
        sensitivity=np.full(lams, sensitivity),
        fee=np.full(lams, fee),
        wam_sensitivity=wam_sensitivity,
        wam_fee=np.full(lams, wam_fee),
        balance=(1.0 + rng.normal(0.0, 0.02, lams)).round(6),
        offset_kw=offset_kw,
        network=None,
        grid=grid,
        tariff=Tariff(0.30, 0.04),
    )
    return replace(case, network=cutting_rows(rng, case, rows)) if rows else case


def cutting_rows(rng: np.random.Generator, case: Case, rows: int) -> Network:
    """Rows between two states that the members can reach, some of which the first state violates."""
    supply = supply_curves(case.demand_kw, case.resources)
    members = shift(supply.curves, case.slope[case.lam_of], case.fee[case.lam_of])
    curves = shift(aggregate(members, case.lam_of, len(case.lam_id)), case.wam_slope, case.wam_fee)
    lams = len(case.lam_id)
    free = respond(curves, np.full(lams, 0.13))
    safe = respond(curves, rng.uniform(0.08, 0.2, lams))
    matrix = rng.uniform(-1.0, 1.0, (rows, lams)).round(6)
    base = rng.uniform(-1.0, 1.0, rows).round(6)
    away = matrix @ (free - safe)
    cut = base + matrix @ safe + away * rng.uniform(0.3, 1.5, rows)
    room = rng.uniform(0.5, 5.0, rows)
    upper = np.where(away > 0, cut, base + matrix @ safe + room)
    lower = np.where(away > 0, base + matrix @ safe - room, cut)
    voltage = rng.random(rows) < 0.5
    names = tuple(f"row{r}" for r in range(rows))
    return Network(matrix, base, (lower - 1e-6).round(6), (upper + 1e-6).round(6), voltage, names)


def catalogue() -> dict[str, Case]:
    """The cases kept with the tests, by name."""
    rng = np.random.default_rng(20240111)
    closed = Grid(0.25, 0.05, 0.0, 0.0)
    cases = {
        "two-lams": random_case(rng, (5, 7)),
        "rows-binding": random_case(rng, (6, 4, 9, 5, 7), rows=4),
        "islanded": random_case(rng, (8, 6, 10), grid=closed, offset_kw=0.0),
        "import-limit": random_case(rng, (6, 5, 8), grid=Grid(0.25, 0.05, 2.0, 2.0), offset_kw=6.0),
        "export-limit": random_case(rng, (6, 5, 8), grid=Grid(0.25, 0.05, 2.0, 2.0), offset_kw=-8.0),
        "lone-prosumers": random_case(rng, (1, 4, 1, 6, 1), rows=2),
        "all-steps": random_case(rng, (5, 6, 7), rows=2, step_share=1.0),
        "no-fees": random_case(rng, (6, 7, 5), rows=2, fee=0.0, wam_fee=0.0),
        "one-lam": random_case(rng, (9,)),
        "weak-sensitivity": random_case(rng, (5, 6, 8), rows=2, sensitivity=1.0, wam_sensitivity=20.0),
        "infeasible-balance": random_case(rng, (4, 5), grid=closed, offset_kw=200.0),
    }
    cases["price-taking"] = replace(
        random_case(rng, (5, 6, 4), rows=2), rule=DemandFunctionBidding("price-taking")
    )
    rows = cases["rows-binding"].network
    assert rows is not None
    out_of_reach = replace(rows, base=rows.base + np.array([500.0, 0.0, 0.0, 0.0]))
    cases["infeasible-row"] = replace(cases["rows-binding"], network=out_of_reach)
    return cases


def main() -> None:
    """Write every case and its solution."""
    CASES.mkdir(parents=True, exist_ok=True)
    for name, case in catalogue().items():
        (CASES / f"{name}.json").write_bytes(encode_case(case) + b"\n")
        try:
            market, best = solve(case), solve(case, "optimum")
            solution: dict[str, object] = {
                "status": "optimal",
                "trade_kw": market.trade_kw.round(10).tolist(),
                "net_kw": market.net_kw.round(10).tolist(),
                "grid_kw": round(market.grid_kw, 10),
                "objective": market.objective,
                "social_cost": market.social_cost,
                "optimum_cost": best.social_cost,
            }
        except Infeasible:
            solution = {"status": "infeasible"}
        (CASES / f"{name}.solution.json").write_text(json.dumps(solution) + "\n")
        print(name, solution["status"])


if __name__ == "__main__":
    main()
