"""How long one exact two-layer clearing takes at the size of a feeder, and how its time is spent.

Run: OPENBLAS_NUM_THREADS=1 python -m benchmarks.clearing [--prosumers N] [--lams M] [--rows R] [--repeat K]
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from market.case import Case, Grid, Network, Resources, Tariff
from market.certificate import certify
from market.clearing import clear, member_curves
from market.curves import respond, shift
from market.lam import aggregate, clear_lams
from market.reference import optimum
from market.response import disaggregate, supply_curves
from market.wam import clear_wam


def feeder_case(prosumers: int, lams: int, rows: int, seed: int, tightness: float = 0.25) -> Case:
    """Random prosumers on a random radial feeder whose rows bind where sharing would run free.

    Parameters
    ----------
    prosumers, lams, rows
        Size of the case; rows are node voltages, then line currents, around the tree.
    seed
        Of all random draws.
    tightness
        Part of the move from the state without sharing to free sharing that rows cut off.
    """
    rng = np.random.default_rng(seed)
    count = 3 * prosumers
    owner = np.repeat(np.arange(prosumers), 3)
    low = -rng.uniform(0.0, 2.0, count) * (rng.random(count) < 0.5)
    high = rng.uniform(0.2, 2.0, count)
    linear = rng.uniform(0.05, 0.25, count)
    quadratic = rng.uniform(0.01, 0.2, count)
    step = rng.random(count) < 0.2
    quadratic[step] = 0.0
    linear[step & (rng.random(count) < 0.5)] = 0.0
    parent = [-1] + [int(rng.integers(max(0, i - 6), i)) for i in range(1, lams)]
    above = np.zeros((lams, lams))
    for i in range(lams):
        above[i, i] = 1.0
        if parent[i] >= 0:
            above[i] += above[parent[i]]
    shared = (above * rng.uniform(0.2, 1.0, lams)) @ above.T
    matrix = np.zeros((0, lams))
    is_voltage: list[bool] = []
    while matrix.shape[0] < rows:
        voltage = -1e-5 * shared * rng.uniform(0.9, 1.1, (lams, 1))
        current = above.T * rng.uniform(0.1, 0.2, (lams, 1))
        matrix = np.concatenate([matrix, voltage, voltage * rng.uniform(0.8, 1.2, (lams, lams)), current])
        is_voltage += [True] * (2 * lams) + [False] * lams
    matrix = matrix[:rows]
    case = Case(
        prosumer_id=tuple(f"p{i}" for i in range(prosumers)),
        lam_id=tuple(f"lam{i}" for i in range(lams)),
        lam_of=np.concatenate([np.arange(lams), np.sort(rng.integers(0, lams, prosumers - lams))]),
        demand_kw=rng.uniform(-3.0, 5.0, prosumers),
        resources=Resources(owner, low, high, linear, quadratic),
        sensitivity=np.full(lams, 10.0),
        fee=np.full(lams, 0.01),
        wam_sensitivity=200.0,
        wam_fee=np.full(lams, 0.005),
        balance=1.0 + rng.normal(0.0, 0.02, lams),
        offset_kw=3.0,
        network=None,
        grid=Grid(0.25, 0.05, 1e5, 1e5),
        tariff=Tariff(0.30, 0.04),
    )
    free = clear(case).wam.net_kw
    # Half-way between free sharing and equal prices lies a point that all rows leave room for.
    held = respond(_wide_curves(case), np.full(lams, 0.15)) * 0.7
    value, safe = matrix @ free, matrix @ held
    slack = rng.uniform(-tightness, 1.0, rows) * np.abs(value - safe)
    upper = np.maximum(safe, value + slack) + 1e-9
    lower = np.minimum(safe, value - np.abs(slack)) - 1e-9
    network = Network(matrix, np.zeros(rows), lower, upper, np.array(is_voltage[:rows]))
    return Case(**{**case.__dict__, "network": network})


def _wide_curves(case: Case):
    supply = supply_curves(case.demand_kw, case.resources)
    total = aggregate(member_curves(case, supply), case.lam_of, len(case.lam_id))
    return shift(total, case.wam_slope, case.wam_fee)


def median_ms(run: Callable[[], object], repeat: int) -> float:
    """Median wall time [ms]."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def report(case: Case, repeat: int) -> None:
    """Print medians of the whole clearing and of its stages."""
    supply = supply_curves(case.demand_kw, case.resources)
    members = member_curves(case, supply)
    total = aggregate(members, case.lam_of, len(case.lam_id))
    wide = shift(total, case.wam_slope, case.wam_fee)
    outcome = clear(case)
    wam = outcome.wam
    args = (outcome.trade_kw, outcome.output_kw, outcome.price)
    stages: dict[str, Callable[[], object]] = {
        "clear": lambda: clear(case),
        "  supply": lambda: supply_curves(case.demand_kw, case.resources),
        "  shift": lambda: member_curves(case, supply),
        "  aggregate": lambda: aggregate(members, case.lam_of, len(case.lam_id)),
        "  wam": lambda: clear_wam(wide, case.network, case.grid, case.balance, case.offset_kw),
        "  lams": lambda: clear_lams(members, case.lam_of, total, wam.net_kw, wam.price),
        "  disaggregate": lambda: disaggregate(supply, outcome.trade_kw),
        "certificate": lambda: certify(case, *args, wam.net_kw, wam.grid_kw, wam.energy_price, wam.row_dual),
        "optimum": lambda: optimum(case, supply),
    }
    for name, run in stages.items():
        print(f"{name:16s} {median_ms(run, repeat):8.2f} ms")
    proof = certify(case, *args, wam.net_kw, wam.grid_kw, wam.energy_price, wam.row_dual)
    print(
        f"{len(case.prosumer_id)} prosumers, {len(case.lam_id)} LAMs, {wam.row_dual.size} rows "
        f"({np.count_nonzero(wam.row_dual)} binding), {outcome.iterations} Newton steps, "
        f"gap {proof.duality_gap:.1e} $/h, exploitability {proof.exploitability:.1e} $/h"
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prosumers", type=int, default=11250)
    parser.add_argument("--lams", type=int, default=85)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    report(feeder_case(options.prosumers, options.lams, options.rows, options.seed), options.repeat)


if __name__ == "__main__":
    main()
