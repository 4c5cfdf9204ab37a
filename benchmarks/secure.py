"""What security costs: the same run without and with `--secure`, in turns, as ratios.

    python benchmarks/secure.py [--intervals N] [--start HH:MM] [--pairs N]

Runs `sharegrid run --broker mosquitto` as a whole process. Processor time counts the broker too; the ledgers
of each pair are compared entry by entry.
"""

import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click


def measure(out: Path, intervals: int, start: str, *, secure: bool) -> tuple[float, float]:
    """Wall and processor time of one run [s]."""
    command = [sys.executable, "-m", "sharegrid", "run", "--broker", "mosquitto", "--run-id", "secure"]
    command += ["--intervals", str(intervals), "--start", start, "--out", str(out)]
    command += ["--secure"] if secure else []
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(f"a run failed; try: {' '.join(command[2:])}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime


def entries(out: Path) -> list[tuple[object, ...]]:
    """All rows of a run's ledger."""
    with sqlite3.connect(out / "ledger.sqlite") as ledger:
        return ledger.execute("SELECT * FROM entry ORDER BY tick, kind, account").fetchall()


@click.command()
@click.option("--intervals", default=12, show_default=True, type=click.IntRange(1))
@click.option("--start", default="10:00", show_default=True)
@click.option("--pairs", default=3, show_default=True, type=click.IntRange(1))
def main(intervals: int, start: str, pairs: int) -> None:
    """Time pairs of runs, without and with --secure, and print the ratios of their medians."""
    wall: dict[bool, list[float]] = {False: [], True: []}
    cpu: dict[bool, list[float]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as folder:
        for pair in range(pairs):
            found = {}
            for secure in (False, True):
                out = Path(folder) / f"{pair}-{secure}"
                seconds, processor = measure(out, intervals, start, secure=secure)
                wall[secure].append(seconds)
                cpu[secure].append(processor)
                found[secure] = entries(out)
            if found[False] != found[True]:
                raise click.ClickException("the ledgers of a pair differ")
            click.echo(f"pair {pair}: {wall[False][-1]:.1f} s and {wall[True][-1]:.1f} s, equal ledgers")
    for name, times in (("wall", wall), ("processor", cpu)):
        ratio = statistics.median(times[True]) / statistics.median(times[False])
        click.echo(f"{name} time with --secure: {ratio:.3f} times that without")


if __name__ == "__main__":
    main()
