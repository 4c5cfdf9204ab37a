"""Plays simulations of one seed after the other, and says which ones go wrong and how to play them again.

``make soak ARGS="--minutes 10"``
"""

import argparse
import itertools
import subprocess
import sys
import time
from pathlib import Path

from tests.simulation.outcome import simulate
from tests.simulation.plan import plan_of


def soak(first: int, minutes: float) -> int:
    """Play seeds from the first one on until the time is over; how many went wrong."""
    began, wrong = time.monotonic(), 0
    for count, seed in enumerate(itertools.count(first), start=1):
        wrong += not holds(seed)
        took_s = time.monotonic() - began
        if took_s >= 60.0 * minutes:
            print(f"{count} seeds in {took_s:.0f} s, {wrong} went wrong")  # noqa: T201
            return wrong
    raise AssertionError


def holds(seed: int) -> bool:
    """Play one seed; what is wrong with it is said."""
    plan = plan_of(seed)
    outcome = simulate(plan)
    if outcome.wrong:
        again = f"git checkout {commit()} && python -m tests.soak.simulation --seed {seed}"
        print(f"{again}\n  {plan}", *outcome.wrong, sep="\n  ", flush=True)  # noqa: T201
    return not outcome.wrong


def commit() -> str:
    """Commit that is played."""
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short=12", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Run by the command line's choices; exit status 1 where a seed went wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--first", type=int, default=1_000, help="first seed; those below 1000 are tests")
    parser.add_argument("--seed", type=int, help="play this one alone")
    chosen = parser.parse_args()
    is_right = holds(chosen.seed) if chosen.seed is not None else not soak(chosen.first, chosen.minutes)
    sys.exit(not is_right)


if __name__ == "__main__":
    main()
