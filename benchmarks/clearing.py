"""How long exact clearing takes, against an open solver, with AC power flow, and at the size of a region.

    python -m benchmarks.clearing [--repeat N] [--no-scale] [--json FILE]

Medians of one run on one machine, each beside what it is compared with:

- the IEEE 123-node feeder, a row for every node's voltage and six for every line's current: 11,250 prosumers
  of three random resources each in 85 LAMs, and those of the default scenario at noon and in the evening; and
  a random radial feeder of the same size with 400 rows: exact clearing, its certificate, and the time that
  Clarabel itself reports for the same program, written in cvxpy: in full at a tolerance of 1e-12, which the
  exact clearing reaches too, and eased, at its own default of 1e-8 without rows that no trade can bring to a
  limit; ours is timed before, between and after, so that a machine's moods meet both;
- each on the IEEE 123-node feeder confirmed by AC power flow: linearise, clear and solve AC, twice;
- more and more prosumers, in 4,000 LAMs on a random radial network with 200 rows, each size in a process of
  its own, with the growth of time fitted to a power of their number;
- `sharegrid clear` on a small case as a whole process.

Published for comparison: 0.829 s for 12,300 prosumers on the IEEE 123-bus feeder at an error of 0.01 %
(Liu, Su, Wang, Liu, arXiv 2605.23671).
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.cases import ieee123_case, radial_case, within_reach
from cosim.control.memory import keep_freed_memory
from cosim.feeder.judgement import check
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.market_studies.cases import around, default_day_case, with_model
from market.analysis.certify_outcome import certify_outcome
from market.files.case_file import encode_case
from market.model.arrays import Floats
from market.model.case import Case
from market.oracles import monolithic
from market.solver.clearing import clear, divided
from market.solver.responses import Responses
from market.solver.wam import clear_wam

PROSUMERS = 11_250
LAMS, ROWS = 4_000, 200
SIZES = (11_250, 100_000, 1_000_000)
NOON, EVENING = "13:00", "20:30"
USUAL = {"tol_gap_abs": 1e-8, "tol_gap_rel": 1e-8, "tol_feas": 1e-8}
"""Clarabel's own defaults."""


def wall_s(run: Callable[[], object], repeat: int) -> list[float]:
    """Wall times [s]."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return times


def median_s(run: Callable[[], object], repeat: int) -> float:
    """Median wall time [s]."""
    return statistics.median(wall_s(run, repeat))


def processor_ms(run: Callable[[], object], repeat: int) -> float:
    """Median processor time of all threads [ms]."""
    times = []
    for _ in range(repeat):
        began = time.process_time()
        run()
        times.append(time.process_time() - began)
    return 1e3 * statistics.median(times)


def largest(difference: Floats) -> float:
    """Largest absolute value."""
    return float(np.abs(difference).max())


def against_clarabel(case: Case, repeat: int) -> dict[str, Any]:
    """Exact clearing with certificate, and Clarabel's own time for the same program, in full and eased."""
    outcome = clear(case)
    proof = certify_outcome(case, outcome)
    ours = partial(wall_s, partial(clear, case), repeat)
    certifying = partial(wall_s, partial(certify_outcome, case, outcome), repeat)
    cleared, certified = ours(), certifying()
    theirs = monolithic.solve(case)
    cleared, certified = cleared + ours(), certified + certifying()
    eased = monolithic.solve(within_reach(case), tolerances=USUAL)
    clear_s = statistics.median(cleared + ours())
    certificate_s = statistics.median(certified + certifying())
    return {
        "prosumers": len(case.prosumer_id),
        "resources": case.resources.owner.size,
        "rows": outcome.wam.row_dual.size,
        "binding rows": int(np.count_nonzero(outcome.wam.row_dual)),
        "clear [ms]": 1e3 * clear_s,
        "certificate [ms]": 1e3 * certificate_s,
        "Clarabel alone [ms]": 1e3 * theirs.solver_s,
        "Clarabel / clear": theirs.solver_s / clear_s,
        "Clarabel / (clear + certificate)": theirs.solver_s / (clear_s + certificate_s),
        "largest difference of trades [kW]": largest(theirs.trade_kw - outcome.trade_kw),
        "Clarabel eased: 1e-8, rows within reach [ms]": 1e3 * eased.solver_s,
        "Clarabel eased / clear": eased.solver_s / clear_s,
        "largest difference of trades from it eased [kW]": largest(eased.trade_kw - outcome.trade_kw),
        "duality gap [$/h]": proof.duality_gap,
        "exploitability [$/h]": proof.exploitability,
    }


def confirmed(case: Case, feeder: Feeder, limits: Limits, repeat: int) -> dict[str, Any]:
    """Two rounds of linearise, clear the wide area and AC power flow; then LAMs share out what stands."""
    kvar = feeder.layout.spot_kw * feeder.layout.tan_phi

    def settle() -> Any:
        began, net_kw, start = time.perf_counter(), feeder.layout.spot_kw, None
        responses = Responses(case)
        seen = responses.seen(case.wam_slope, case.wam_fee)
        reach_kw = seen.lowest_kw, seen.highest_kw
        for _ in range(2):
            point = around(feeder, net_kw)
            here = with_model(case, limits, point, reach_kw)
            wam = clear_wam(seen, here.network, here.grid, here.balance, here.offset_kw, start)
            net_kw, start = wam.net_kw, wam.limit_prices
            judgement = check(feeder.solve(net_kw, kvar), point, limits)
        divided(here, responses, wam, began)
        return judgement

    judgement = settle()
    return {
        "AC-confirmed clearing, two rounds [ms]": 1e3 * median_s(settle, repeat),
        "the same, processor time [ms]": processor_ms(settle, repeat),
        "confirmed": judgement.confirmed,
        "linear model against AC [pu]": judgement.linear_error_pu,
    }


def at_size(prosumers: int) -> dict[str, float]:
    """Median time and peak memory of a clearing, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.clearing", "--one-size", str(prosumers)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def timed(prosumers: int) -> dict[str, float]:
    """What `at_size` asks its process for."""
    case = radial_case(prosumers, LAMS, ROWS, seed=1)
    seconds = median_s(partial(clear, case), 5)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "peak_mb": peak_mb}


def growth(sizes: dict[int, dict[str, float]]) -> float:
    """Exponent of time over prosumers, by least squares on logarithms."""
    slope, _ = np.polyfit(np.log(list(sizes)), np.log([size["seconds"] for size in sizes.values()]), 1)
    return float(slope)


def scale() -> dict[str, float]:
    """Time and memory of all sizes, and how time grows."""
    sizes = {size: at_size(size) for size in SIZES}
    found = {}
    for size, figure in sizes.items():
        found[f"{size:,} prosumers [ms]"] = 1e3 * figure["seconds"]
        found[f"{size:,} prosumers, peak memory [MB]"] = figure["peak_mb"]
    largest_two = dict(list(sizes.items())[-2:])
    return found | {
        "time grows with the number of prosumers to the power of": growth(sizes),
        "the same from the second size to the third": growth(largest_two),
    }


def show(title: str, figures: dict[str, Any]) -> None:
    """Print figures as a table."""
    table = Table("figure", title=title)
    table.add_column("value", justify="right")
    for name, value in figures.items():
        table.add_row(escape(name), f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)


def start_up(repeat: int) -> float:
    """Wall time of `sharegrid clear` on a small case [s]."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "case.json"
        file.write_bytes(encode_case(radial_case(40, 5, 4, seed=1)))
        command = [sys.executable, "-c", "from cosim.cli import main; main()", "clear", str(file)]
        command += ["--out", str(Path(folder) / "result.json"), "--force"]
        return median_s(partial(subprocess.run, command, check=True, capture_output=True), repeat)


@click.command()
@click.option("--repeat", default=21, show_default=True, type=click.IntRange(1), help="Of each clearing.")
@click.option("--no-scale", is_flag=True, help="Leave the large sizes out.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.option("--one-size", type=click.IntRange(LAMS), hidden=True)
def main(repeat: int, no_scale: bool, file: Path | None, one_size: int | None) -> None:
    """Time exact clearing."""
    keep_freed_memory()
    if one_size is not None:
        print(json.dumps(timed(one_size)))
        return
    feeder = Feeder()
    on_feeder = {
        "IEEE 123-node feeder, random prosumers": ieee123_case(feeder, PROSUMERS, seed=1),
        f"IEEE 123-node feeder, default day at {NOON}": default_day_case(feeder, NOON),
        f"IEEE 123-node feeder, default day at {EVENING}": default_day_case(feeder, EVENING),
    }
    figures: dict[str, dict[str, Any]] = {
        title: against_clarabel(case, repeat) | confirmed(case, feeder, limits, repeat)
        for title, (case, limits) in on_feeder.items()
    }
    figures["random radial feeder"] = against_clarabel(radial_case(PROSUMERS, 85, 400, seed=1), repeat)
    figures["whole process"] = {"sharegrid clear, small case [ms]": 1e3 * start_up(5)}
    if not no_scale:
        figures[f"{LAMS:,} LAMs"] = scale()
    for title, figure in figures.items():
        show(title, figure)
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
