"""How long power flow, linear models and AC-confirmed clearing take on the IEEE 123-node feeder.

    python -m benchmarks.feeder [--repeat N] [--json FILE]

Medians of one run on one machine:

- the IEEE 123-node feeder with 85 LAMs: an AC power flow at new net powers with everything read, the full
  linear model (per kW and kvar of each LAM), the same after a tap moved, and by differences of power flows;
- the longest pause of an event loop while the feeder opens, solves and linearises in its thread;
- a clearing of 11,250 prosumers there, confirmed by AC power flow in two rounds;
- beside it, where DistOPF 1.0.2 is installed (extra `comparison`), its optimal power flow of its own
  IEEE 123-node case with 30 generators: least curtailment over LinDistFlow, by Clarabel, not confirmed by AC.
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import asyncio
import json
import statistics
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.cases import ieee123_case
from benchmarks.clearing import confirmed, median_s, show
from cosim.control.memory import keep_freed_memory
from cosim.feeder.opendss import Feeder
from cosim.feeder.thread import FeederOwner

PROSUMERS = 11_250


def ieee123(feeder: Feeder, repeat: int) -> dict[str, Any]:
    """Power flow and linear model of the IEEE 123-node feeder."""
    spot_kw = feeder.layout.spot_kw
    kvar = spot_kw * feeder.layout.tan_phi
    shares = iter(np.random.default_rng(1).uniform(0.4, 1.0, (100 * repeat, len(spot_kw))))
    solve_s = median_s(lambda: feeder.solve(next(shares) * spot_kw, kvar), 20 * repeat)
    model_s = median_s(lambda: feeder.linearise(next(shares) * spot_kw, kvar), repeat)
    taps = feeder.taps()
    other = iter([1, 0] * repeat)

    def moved() -> None:
        feeder.set_taps({"reg1a": taps["reg1a"] + next(other)})
        feeder.linearise(spot_kw, kvar)

    moved_s = median_s(moved, repeat)
    feeder.set_taps(taps)
    differences_s = median_s(lambda: feeder.differences(spot_kw, kvar), 3)
    exact, rough = feeder.linearise(spot_kw, kvar), feeder.differences(spot_kw, kvar)
    return {
        "LAMs": len(spot_kw),
        "AC power flow, all set and read [ms]": 1e3 * solve_s,
        "linear model per kW and kvar [ms]": 1e3 * model_s,
        "a tap moved and linear model [ms]": 1e3 * moved_s,
        "linear model by differences [ms]": 1e3 * differences_s,
        "differences / linear model": differences_s / model_s,
        "their largest disagreement on voltage, relative": float(
            np.abs(exact.dv - rough.dv).max() / np.abs(exact.dv).max()
        ),
    }


async def pauses(repeat: int) -> dict[str, Any]:
    """Longest pause of an event loop beside a feeder at work in its thread."""
    longest = 0.0

    async def heart() -> None:
        nonlocal longest
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            longest, last = max(longest, now - last - 0.001), now

    def work(feeder: Feeder) -> None:
        spot_kw = feeder.layout.spot_kw
        for share in np.linspace(0.4, 1.0, 5 * repeat):
            feeder.solve(share * spot_kw, spot_kw * feeder.layout.tan_phi)
            feeder.linearise(share * spot_kw, spot_kw * feeder.layout.tan_phi)

    beating = asyncio.create_task(heart())
    async with FeederOwner(Feeder) as owner:
        opening, longest = longest, 0.0
        await owner.perform(work)
        working = longest
    beating.cancel()
    return {
        "event loop's longest pause while the feeder opens [ms]": 1e3 * opening,
        "event loop's longest pause while it solves and linearises [ms]": 1e3 * working,
    }


def distopf(repeat: int) -> float:
    """Wall time of DistOPF's optimal power flow, its case read beforehand [s]."""
    import distopf as opf

    def once() -> float:
        case = opf.create_case(opf.CASES_DIR / "csv" / "ieee123_30der")
        began = time.perf_counter()
        result = case.run_opf(
            objective="curtail_min",
            control_variable="P",
            v_max=1.05,
            v_min=0.95,
            gen_mult=10,
            wrapper="matrix",
        )
        took_s = time.perf_counter() - began
        if not result.converged:
            raise RuntimeError("DistOPF did not converge")
        return took_s

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return statistics.median(once() for _ in range(repeat))


@click.command()
@click.option("--repeat", default=21, show_default=True, type=click.IntRange(3), help="Of each measurement.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
def main(repeat: int, file: Path | None) -> None:
    """Time the feeder."""
    keep_freed_memory()
    feeder = Feeder()
    case, limits = ieee123_case(feeder, PROSUMERS, seed=1)
    ours = confirmed(case, feeder, limits, repeat)
    figures: dict[str, dict[str, Any]] = {
        "IEEE 123-node feeder": ieee123(feeder, repeat) | asyncio.run(pauses(repeat)),
        f"IEEE 123-node feeder, {PROSUMERS:,} prosumers": ours,
    }
    if find_spec("distopf") is None:
        print("DistOPF is not installed (pip install '.[comparison]'): no comparison")
    else:
        theirs_s = distopf(max(3, repeat // 3))
        ours_ms = ours["AC-confirmed clearing, two rounds [ms]"]
        figures["beside DistOPF"] = {
            "DistOPF, optimal power flow [ms]": 1e3 * theirs_s,
            "DistOPF / ours confirmed by AC": 1e3 * theirs_s / ours_ms,
        }
    for title, figure in figures.items():
        show(title, figure)
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
