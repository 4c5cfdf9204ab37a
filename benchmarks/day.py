"""A scenario as a whole process, with either broker: time, memory, and where the time goes.

    python benchmarks/day.py [SCENARIO] [--intervals N] [--broker mosquitto|embedded] [--json FILE]

Without a scenario it is the default day; scenarios/all-live.toml has every prosumer live. Runs
`sharegrid run` once per broker and prints wall time, processor time, peak memory of the largest process,
and p50/p95 of each step, as the run's own summary has them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
from msgspec.structs import asdict
from rich.console import Console
from rich.table import Table

from broker.server.mosquitto import find_mosquitto
from cosim.control.pacing import STEPS
from cosim.results.reader import load

MEASURED = (*STEPS, "interval")


def measure(scenario: Path | None, broker: str, intervals: int | None) -> dict[str, Any]:
    """One run of a scenario with a broker."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-c", "from cosim.cli import main; main()", "run", "--broker", broker]
        command += [str(scenario)] if scenario else []
        command += ["--out", str(out), *(["--intervals", str(intervals)] if intervals else [])]
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        if status:
            raise click.ClickException(f"the run with {broker} failed; try: sharegrid run --broker {broker}")
        summary = load(out).summary
    return {
        "broker": summary.provenance.broker,
        "intervals": summary.intervals.cleared,
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
        "steps_s": {step: asdict(getattr(summary.seconds, step)) for step in MEASURED},
        "machine": asdict(summary.provenance.machine),
    }


@click.command()
@click.argument("scenario", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--intervals", type=click.IntRange(1), help="Fewer intervals than the whole day.")
@click.option("--broker", type=click.Choice(["mosquitto", "embedded"]), help="One of them alone.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
def main(scenario: Path | None, intervals: int | None, broker: str | None, file: Path | None) -> None:
    """Time SCENARIO (default: the shipped day) with each broker that is installed."""
    brokers = [broker] if broker else [*(["mosquitto"] if find_mosquitto() else []), "embedded"]
    figures = [measure(scenario, each, intervals) for each in brokers]
    table = Table(title=f"{scenario or 'default scenario'}, whole process")
    table.add_column("figure")
    for figure in figures:
        table.add_column(figure["broker"], justify="right")
    rows = {
        "intervals": [str(figure["intervals"]) for figure in figures],
        "wall time [s]": [f"{figure['wall_s']:.1f}" for figure in figures],
        "processor time [s]": [f"{figure['cpu_s']:.1f}" for figure in figures],
        "peak memory [MB]": [f"{figure['peak_mb']:.0f}" for figure in figures],
    }
    for step in MEASURED:
        rows[f"{step} p50 / p95 [ms]"] = [
            f"{1e3 * figure['steps_s'][step]['p50']:.0f} / {1e3 * figure['steps_s'][step]['p95']:.0f}"
            for figure in figures
        ]
    for name, cells in rows.items():
        table.add_row(name, *cells)
    Console().print(table)
    if len(figures) == 2:
        click.echo(f"embedded / mosquitto: {figures[1]['wall_s'] / figures[0]['wall_s']:.2f} x wall time")
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
