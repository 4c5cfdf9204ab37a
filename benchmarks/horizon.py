"""How long a market over a day takes to clear, cold, warm and beside an open solver, and how that grows.

    python -m benchmarks.horizon [--solvers] [--homes SHARE] [--seed NUMBER]... [--json FILE]

A radial feeder with a voltage row for each LAM, of whose prosumers 30 % have a battery and 18 % a vehicle:

- 11,250 prosumers in 85 LAMs over 96 intervals: cold; the next horizon, one interval later with demand that
  came out otherwise by 2 %, from the last one's outcome; and the certificate;
- more and more prosumers in as many LAMs, and more and more intervals, each size in a process of its own,
  with the growth of time fitted to a power of their number. A step more or less of one region's search
  changes that by 0.1: it is fitted to the geometric mean over several regions, and told of each;
- with --homes, the first once more where a share of those who own a battery or a vehicle have two or three
  stores in place of one, of as many stores in all; give it several times for several shares;
- with --solvers, a tenth of the prosumers: Clarabel on the same program at its default tolerance, by its own
  time without modelling.

Times are of the processor, all threads together, and by the clock. On two free cores the clock's is between
half and all of the processor's; on a busy machine only the processor's tells anything.
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import click
import numpy as np

from benchmarks.horizon_cases import day, with_homes
from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.horizon.outcome import HorizonOutcome
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.start import later
from market.horizon.stores import within_reach
from market.horizon.warm_up import warm_up
from market.oracles.horizon import solve_horizon

PROSUMERS, LAMS, INTERVALS = 11_250, 85, 96
MORE_PROSUMERS, MORE_INTERVALS = (2_812, 5_625, 11_250), (24, 48, 96)
USUAL = {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8}
"""Clarabel's own defaults."""

T = TypeVar("T")


def timed(run: Callable[[], T]) -> tuple[T, float, float]:
    """Result, processor time and wall time [s]."""
    began, clock = time.process_time(), time.perf_counter()
    found = run()
    return found, time.process_time() - began, time.perf_counter() - clock


def next_horizon(case: HorizonCase, outcome: HorizonOutcome, seed: int) -> HorizonCase:
    """The horizon one interval later: energy as it came out, demand a little otherwise, one more interval."""
    rng = np.random.default_rng(seed)
    intervals = tuple(
        replace(one, demand_kw=one.demand_kw * rng.normal(1.0, 0.02, one.demand_kw.size))
        for one in (*case.intervals[1:], case.intervals[0])
    )
    stores = case.stores
    over_time = ("charge_kw", "discharge_kw", "charge_efficiency", "discharge_efficiency", "drift_kwh")
    columns = {name: np.roll(getattr(stores, name), -1, axis=1) for name in over_time}
    for name in ("lower_kwh", "upper_kwh"):
        bounds = getattr(stores, name)
        columns[name] = np.concatenate([bounds[:, 1:], bounds[:, 1:2]], axis=1)
    initial_kwh = np.clip(outcome.state_kwh[:, 1], columns["lower_kwh"][:, 0], columns["upper_kwh"][:, 0])
    return replace(case, intervals=intervals, stores=replace(stores, initial_kwh=initial_kwh, **columns))


def one_size(prosumers: int, intervals: int, seed: int, share: float) -> dict[str, float]:
    """Cold, warm and certificate of one size, of which a share of the owners of stores have several."""
    warm_up()
    case = with_homes(day(prosumers, LAMS, LAMS, intervals, seed), share, seed)
    case = replace(case, stores=within_reach(case.stores, case.hours)[0])
    outcome, cold_s, cold_clock_s = timed(lambda: clear_horizon(case))
    claim = outcome.claim(case)
    proof, proof_s, proof_clock_s = timed(lambda: certify_horizon(case, claim))
    following = next_horizon(case, outcome, seed + 1)
    warm, warm_s, warm_clock_s = timed(lambda: clear_horizon(following, later(outcome.intervals)))
    assert not beyond_tolerance(proof, case)
    of_each = np.unique(case.stores.owner, return_counts=True)[1]
    return {
        "stores": float(len(case.stores)),
        "owners of several / owners": float((of_each > 1).mean()),
        "limits that bind": float(sum(len(one.wam.limit_prices.row) for one in outcome.intervals)),
        "cold [s of processor]": cold_s,
        "cold [s]": cold_clock_s,
        "cold steps": float(outcome.iterations),
        "warm [s of processor]": warm_s,
        "warm [s]": warm_clock_s,
        "warm steps": float(warm.iterations),
        "certificate [s of processor]": proof_s,
        "certificate [s]": proof_clock_s,
        "duality gap / turnover": abs(proof.duality_gap) / (proof.turnover * case.hours),
    }


def beside(prosumers: int, lams: int, intervals: int) -> dict[str, float]:
    """Ours and Clarabel on one case."""
    clear_horizon(day(60, 3, 3, 6, 1))
    case = day(prosumers, lams, lams, intervals, 1)
    outcome, ours_s, _ = timed(lambda: clear_horizon(case))
    solution, theirs_s, _ = timed(lambda: solve_horizon(case, **USUAL))
    return {
        "prosumers": float(prosumers),
        "ours [s of processor]": ours_s,
        "ours [s]": outcome.seconds,
        "Clarabel alone [s]": solution.solver_s,
        "Clarabel alone / ours": solution.solver_s / outcome.seconds,
        "Clarabel with its modelling [s of processor]": theirs_s,
        "Clarabel with its modelling / ours, of processor": theirs_s / ours_s,
        "largest difference of a store's power [kW]": float(
            np.abs(solution.power_kw - outcome.power_kw).max()
        ),
        "largest difference of a price [$/kWh]": float(np.abs(solution.price - outcome.price).max()),
    }


def in_its_own_process(*arguments: object) -> dict[str, float]:
    """What this program prints for other arguments."""
    command = [sys.executable, "-m", "benchmarks.horizon", *map(str, arguments)]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def growth(sizes: tuple[int, ...], seconds: Sequence[Sequence[float]]) -> dict[str, float]:
    """Exponents of time over size by least squares on logarithms: over all regions, and of each.

    Times are by region and size ``(R, S)``; the first is that of their geometric mean.
    """
    powers = np.polyfit(np.log(sizes), np.log(seconds).T, 1)[0]
    return {"to the power of": float(powers.mean())} | {
        f"of the {number}. region": power for number, power in enumerate(powers.tolist(), 1)
    }


@click.command()
@click.option("--solvers", is_flag=True, help="Also Clarabel on a tenth of the prosumers; slow.")
@click.option("--homes", type=float, multiple=True, help="Share of owners that have several stores.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Figures as a file, too.")
@click.option(
    "--seed",
    "seeds",
    multiple=True,
    type=int,
    default=(1, 2, 3),
    show_default=True,
    help="Of regions and days.",
)
@click.option("--one", nargs=2, type=int, hidden=True)
def main(
    solvers: bool,
    homes: tuple[float, ...],
    path: Path | None,
    seeds: tuple[int, ...],
    one: tuple[int, int] | None,
) -> None:
    """Measure and print."""
    if one:
        print(json.dumps(one_size(*one, seeds[0], *(homes or (0.0,)))))
        return
    figures: dict[str, dict[str, float]] = {}
    sizes = dict.fromkeys(
        [*((n, INTERVALS) for n in MORE_PROSUMERS), *((PROSUMERS, t) for t in MORE_INTERVALS)]
    )
    # Sizes in turn, so that what else the computer does meanwhile is not all of one size.
    found = {
        (seed, *size): in_its_own_process("--one", *size, "--seed", seed) for seed in seeds for size in sizes
    }
    figures |= {f"{n:,} prosumers, {t} intervals, seed {s}": figure for (s, n, t), figure in found.items()}
    key = "cold [s of processor]"
    by_prosumers = [[found[seed, n, INTERVALS][key] for n in MORE_PROSUMERS] for seed in seeds]
    by_intervals = [[found[seed, PROSUMERS, t][key] for t in MORE_INTERVALS] for seed in seeds]
    figures["growth with prosumers"] = growth(MORE_PROSUMERS, by_prosumers)
    figures["growth with intervals"] = growth(MORE_INTERVALS, by_intervals)
    for share in homes:
        given = ("--one", PROSUMERS, INTERVALS, "--seed", seeds[0], "--homes", share)
        figures[f"{share:.0%} of owners have several stores"] = in_its_own_process(*given)
    if solvers:
        figures["a tenth"] = beside(PROSUMERS // 10, LAMS // 10, INTERVALS)
    for title, table in figures.items():
        print(title)
        for name, value in table.items():
            print(f"    {name:60s} {value:.4g}")
    if path:
        path.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
