"""Arrays of megabytes find the memory that the last ones left, and the collector spares what lasts."""

import gc
import subprocess
import sys

import pytest

from cosim.control import memory

FAULTS = """
import resource, sys
import numpy as np
from cosim.control.memory import keep_freed_memory
if sys.argv[1] == "keep" and not keep_freed_memory():
    sys.exit(3)
for _ in range(3):
    np.ones(30_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    np.ones(30_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=False)
    if done.returncode == 3:
        pytest.skip("this C library does not take the hint")
    return int(done.stdout)


def test_freed_memory_is_used_again():
    assert faults("keep") < 0.1 * faults("leave")


def test_what_outlives_a_long_collection_is_looked_through_once(monkeypatch):
    monkeypatch.setattr(memory, "LONG_S", 0.0)
    with memory.lasting_spared():
        many = [[] for _ in range(100_000)]
        gc.collect()
        assert gc.get_freeze_count() >= len(many)
    assert gc.get_freeze_count() == 0


def test_nothing_is_collected_while_a_process_loads_and_the_collector_is_left_as_it_was():
    for leave in (gc.enable, gc.disable, gc.enable):
        leave()
        was = gc.isenabled()
        with memory.loading(), memory.loading():
            assert not gc.isenabled()
        assert gc.isenabled() == was
