"""Every prosumer live, over a real Mosquitto: seconds per interval, and the share of each process.

    python benchmarks/all_live.py [SCENARIO] [--intervals N] [--start HH:MM] [--json FILE] [-- OPTION...]

Runs `sharegrid run` on scenarios/all-live.toml, listens to the clock's steps, and looks at the processor time
of the run and all its children whenever an interval begins. The first interval, in which devices are found
out, is told apart from the others. Options behind ``--`` go to the run, as `--processes`.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import msgspec

from broker import messages
from broker.client.mqtt import connect
from broker.messages import Step
from broker.topics import Topics
from cosim.emergency import NOTE, RunAddress

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
RUN_ID = "all-live"


def process_table() -> dict[int, tuple[int, float, str]]:
    """Parent, processor time [s] and words of the command of every process."""
    table = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            _, _, rest = (folder / "stat").read_text().rpartition(")")
            words = (folder / "cmdline").read_text().split("\0")
        except OSError:
            continue
        fields = rest.split()
        used_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_S
        table[int(folder.name)] = int(fields[1]), used_s, " ".join(words)
    return table


def processor_s(root: int) -> dict[str, float]:
    """Processor time of a process and all below it, by what they do [s]."""
    table = process_table()
    family, used = {root}, defaultdict(float)
    while more := {pid for pid, (parent, _, _) in table.items() if parent in family} - family:
        family |= more
    for pid in family & table.keys():
        _, seconds, words = table[pid]
        used[_role(words)] += seconds
    return used


def _role(words: str) -> str:
    if "mosquitto" in words.split(" ", maxsplit=1)[0]:
        return "broker"
    _, _, served = words.partition(" serve ")
    return served.split(" ", maxsplit=1)[0] if served else "run"


async def watch(process: asyncio.subprocess.Process, out: Path) -> list[tuple[Step, dict[str, float]]]:
    """Steps of the run as they open, with the processor time until then."""
    while not (out / NOTE).exists():
        if process.returncode is not None:
            raise click.ClickException("the run did not begin; try it by hand")
        await asyncio.sleep(0.05)
    at = msgspec.json.decode((out / NOTE).read_bytes(), type=RunAddress)
    topic, opened, heard = Topics(at.run).step, [], set()
    async with connect(at.broker, "benchmark") as bus:
        await bus.subscribe(topic)
        async for received in bus.messages():
            step = messages.decode(received.payload)
            assert isinstance(step, Step)
            # A step that is waited for is opened again.
            if (step.tick, step.step) not in heard:
                heard.add((step.tick, step.step))
                opened.append((step, processor_s(process.pid)))
            if step.step == "end":
                return opened
    return opened


async def measure(scenario: Path, intervals: int, start: str | None, options: list[str]) -> Any:
    """Steps of one run."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "sharegrid", "run", str(scenario), "--broker", "mosquitto"]
        command += ["--intervals", str(intervals), "--out", str(out), "--run-id", RUN_ID, *options]
        command += ["--start", start] if start else []
        quiet = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
        try:
            opened = await watch(process, out)
            await process.wait()
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    return opened


def figures_of(opened: list[tuple[Step, dict[str, float]]]) -> dict[str, Any]:
    """Wall time of each interval and step, and processor time by process of each interval [s]."""
    begins = [(step, used) for step, used in opened if step.step in ("measure", "end")]
    intervals = [later[0].opened - step[0].opened for step, later in pairwise(begins)]
    shares = [
        {role: later[1][role] - step[1].get(role, 0.0) for role in later[1]}
        for step, later in pairwise(begins)
    ]
    steps: dict[str, list[float]] = defaultdict(list)
    for (step, _), (later, _) in pairwise(opened):
        if step.tick or len(intervals) == 1:
            steps[step.step].append(later.opened - step.opened)
    medians = {name: statistics.median(times) for name, times in steps.items()}
    return {"intervals_s": intervals, "processor_s": shares, "steps_s": medians}


@click.command()
@click.argument("scenario", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--intervals", default=4, show_default=True, type=click.IntRange(1))
@click.option("--start", metavar="HH:MM", help="Time of day of the first interval.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Also write the figures here.")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def main(
    scenario: Path | None, intervals: int, start: str | None, file: Path | None, options: tuple[str, ...]
) -> None:
    """Time SCENARIO (default: scenarios/all-live.toml)."""
    scenario = scenario or Path(__file__).parent.parent / "scenarios" / "all-live.toml"
    figures = figures_of(asyncio.run(measure(scenario, intervals, start, list(options))))
    first, *others = figures["intervals_s"]
    click.echo(f"first interval {first:.1f} s; the others {' '.join(f'{s:.1f}' for s in others)} s")
    for name, seconds in figures["steps_s"].items():
        click.echo(f"  {name:10} {seconds:6.2f} s")
    shares = figures["processor_s"][1:] or figures["processor_s"]
    total = sum(sum(share.values()) for share in shares)
    click.echo(f"processor time of an interval {total / len(shares):.1f} s")
    for role in shares[0]:
        used = sum(share[role] for share in shares)
        click.echo(f"  {role:20} {used / len(shares):6.2f} s  {used / total:5.0%}")
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
