"""Whole runs in virtual time, each with accidents by its own seed; `make soak` plays others for an hour."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.outcome import play, simulate
from tests.simulation.plan import plan_of

ROOT = Path(__file__).parents[2]
CHUNK = 10
SEEDS = 120


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(1, SEEDS + 1, CHUNK))
def test_invariants_hold_whatever_happens(first):
    wrong = {}
    for seed in range(first, first + CHUNK):
        outcome = simulate(plan_of(seed))
        if outcome.wrong:
            wrong[seed] = outcome.wrong
    assert not wrong, f"replay each by `python -m tests.soak.simulation --seed SEED`: {wrong}"


@pytest.mark.timeout(600)
def test_a_seed_gives_the_same_trace_in_every_process():
    code = "from tests.simulation.outcome import *; from tests.simulation.plan import *; "
    code += "print(play(plan_of(2)).trace)"
    traces = {play(plan_of(2)).trace}
    for number in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": number, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        )
        traces.add(done.stdout.strip())
    assert len(traces) == 1
    assert play(plan_of(3)).trace not in traces
