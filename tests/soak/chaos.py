"""Kills processes of a run by chance, again and again, and compares it with the undisturbed run.

``make chaos ARGS="--seed 3 --kills 10"``
"""

import argparse
import asyncio
import random
import subprocess
import tempfile
import time
from pathlib import Path

from broker.server.mosquitto import mosquitto
from cosim.results import load
from cosim.results.ledger_check import check_ledger
from tests.broker.door.hostile_run import LAMS, MASTER, SCENARIO
from tests.integration.run.conftest import COMMAND
from tests.integration.run.test_recovery import ROLES, Processes, bookings, settled


def chaos(folder: Path, url: str, seed: int, kills: int, intervals: int) -> str:
    """Play a run with seeded kills; what came of it, in one line.

    Raises
    ------
    AssertionError
        A bit differs from the undisturbed run, or the ledger does not hold.
    """
    (folder / "m.dss").write_text(MASTER)
    (folder / "lams.csv").write_text(LAMS)
    (folder / "s.toml").write_text(SCENARIO.format(intervals=intervals, bidding="slope"))
    whole = [*COMMAND, "run", str(folder / "s.toml"), "--run-id", "village", "--out", str(folder / "whole")]
    subprocess.run(whole, check=True, capture_output=True)
    draw, out, took_s = random.Random(seed), folder / "run", []
    processes = Processes(folder / "s.toml", url, out)
    try:
        for role in ROLES:
            processes.start(role)
        processes.control(*processes.common, "--out", str(out))
        done = 0
        while done < kills and processes.running["control"].poll() is None:
            before = settled(out)
            while settled(out) <= before and processes.running["control"].poll() is None:
                time.sleep(0.01)
            time.sleep(draw.random())
            if processes.running["control"].poll() is not None:
                break
            name, at = draw.choice([*ROLES, "control"]), time.monotonic()
            before = settled(out)
            processes.kill(name)
            if name == "control":
                processes.control("--resume", str(out), "--broker", url)
            else:
                processes.start(name)
            while settled(out) <= before and processes.running["control"].poll() is None:
                time.sleep(0.01)
            took_s.append(time.monotonic() - at)
            done += 1
        _, said = processes.running["control"].communicate(timeout=300)
        assert processes.running["control"].returncode == 0, said.decode()
    finally:
        for process in processes.running.values():
            process.kill()
            process.communicate()
    wrong, _ = check_ledger(out)
    assert wrong == [], wrong
    assert bookings(load(out)) == bookings(load(folder / "whole"))
    flagged = int(load(out).intervals["flags"].gt(0).sum())
    longest_s = max(took_s, default=0.0)
    return f"{done} kills, {flagged} of {intervals} intervals flagged, same bits; {longest_s:.1f} s at most"


def main() -> None:
    """Run once by the command line's choices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--intervals", type=int, default=30)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        broker = mosquitto()
        handle = runner.run(broker.__aenter__())
        try:
            print(chaos(Path(folder), handle.url, chosen.seed, chosen.kills, chosen.intervals))  # noqa: T201
        finally:
            runner.run(broker.__aexit__(None, None, None))


if __name__ == "__main__":
    main()
