"""Kills processes of a run by chance, loses messages, and compares it with the undisturbed run.

``make chaos ARGS="--seed 3 --kills 10 --lost 0.01"``
"""

import argparse
import asyncio
import random
import subprocess
import tempfile
import time
from pathlib import Path

from broker.address import parse_address
from broker.server.mosquitto import mosquitto
from cosim.results.ledger_check import check_ledger
from cosim.results.reader import load
from tests.broker.door.hostile_run import LAMS, MASTER, SCENARIO
from tests.integration.run.conftest import COMMAND
from tests.integration.run.test_recovery import ROLES, Processes, bookings, settled
from tests.soak.lossy_broker import lossy_broker


def chaos(folder: Path, url: str, seed: int, kills: int, intervals: int, *, share_is_lost: bool) -> str:
    """Play a run with seeded kills; what came of it, in one line.

    Raises
    ------
    AssertionError
        A bit differs from the undisturbed run, where messages are lost in an interval before any flag, or the
        ledger does not hold.
    """
    (folder / "m.dss").write_text(MASTER)
    (folder / "lams.csv").write_text(LAMS)
    (folder / "s.toml").write_text(SCENARIO.format(intervals=intervals, bidding="slope", horizon=3))
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
    run, undisturbed = load(out), load(folder / "whole")
    flagged = run.intervals["tick"][run.intervals["flags"] > 0]
    others = {entry.tick for _, entry in set(bookings(run)) ^ set(bookings(undisturbed))}
    # What a flagged interval did otherwise changes those behind it.
    assert all(tick >= min(flagged) for tick in others), (sorted(others), sorted(flagged))
    assert not others or share_is_lost, sorted(others)
    longest_s = max(took_s, default=0.0)
    return (
        f"{done} kills, {len(flagged)} of {intervals} intervals flagged, {len(others)} with other amounts; "
        f"{longest_s:.1f} s at most"
    )


def main() -> None:
    """Run once by the command line's choices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--intervals", type=int, default=30)
    parser.add_argument("--lost", type=float, default=0.01, help="share of delivered messages")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        broker = mosquitto()
        port = parse_address(runner.run(broker.__aenter__()).url).port
        try:
            with lossy_broker(port, chosen.lost, chosen.seed) as (url, lossy):
                said = chaos(
                    Path(folder),
                    url,
                    chosen.seed,
                    chosen.kills,
                    chosen.intervals,
                    share_is_lost=chosen.lost > 0.0,
                )
                print(f"{said}; {lossy.lost} of {lossy.lost + lossy.delivered} messages lost")  # noqa: T201
        finally:
            runner.run(broker.__aexit__(None, None, None))


if __name__ == "__main__":
    main()
