"""Whole days of shipped scenarios, each interval of which is solved again from the run's tables.

    python -m benchmarks.feeder_audit [SCENARIO...] [--intervals N]

Each scenario in a process of its own, from midnight on, so that what happens in it happens. Its run directory
is then audited as `sharegrid feeder audit` does. Exit status 1 where a voltage is off by more than 1e-6 pu,
or a current by as much of its rating.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from cosim.results.reader import load
from cosim.study.audit import differences

SCENARIOS = ("own-feeder", "outage", "stress-day")
_MOST = 1e-6


def played(name: str, intervals: int, out: Path) -> float:
    """Run a shipped scenario from midnight on; the time that it took by the clock [s]."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "sharegrid", "run", f"scenarios/{name}.toml"]
    options = ["--start", "00:00", "--intervals", str(intervals), "--out", str(out)]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


@click.command()
@click.argument("scenarios", nargs=-1)
@click.option("--intervals", default=96, show_default=True, type=click.IntRange(1))
def main(scenarios: tuple[str, ...], intervals: int) -> None:
    """Run scenarios and solve all of their intervals again."""
    table = Table(
        "scenario", "run [s]", "solved again", "[s]", "voltages", "off [pu]", "at", "currents", "off"
    )
    most = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in scenarios or SCENARIOS:
            run_s = played(name, intervals, Path(folder) / name)
            began = time.perf_counter()
            run = load(Path(folder) / name)
            found = list(differences(run))
            worst = max(found, key=lambda each: each.pu)
            loading = max(each.loading for each in found)
            most = max(most, worst.pu, loading)
            table.add_row(
                name,
                f"{run_s:.0f}",
                f"{len(found)} of {len(run.intervals)}",
                f"{time.perf_counter() - began:.1f}",
                f"{sum(each.nodes for each in found):,}",
                f"{worst.pu:.1e}",
                f"{worst.node}, interval {worst.tick}",
                f"{sum(each.branches for each in found):,}",
                f"{loading:.1e}",
            )
    Console(width=120).print(table)
    raise SystemExit(most > _MOST)


if __name__ == "__main__":
    main()
