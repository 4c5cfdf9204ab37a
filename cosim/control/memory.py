"""Memory that arrays leave behind stays for the next ones; what lasts is looked through once."""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_NEVER = 2**31 - 1
_LARGE = 2**30
LONG_S = 0.05
"""What outlives a full collection that takes longer is not looked through again [s]."""

# Containers that are made before the youngest are looked through, and how often before the older ones are.
_THRESHOLDS = 50_000, 10, 50


def keep_freed_memory() -> bool:
    """Ask the C library not to return freed memory to the system; whether it listens.

    A clearing makes and drops arrays of megabytes. By default glibc gives each back to the system, which
    clears the pages of the next one anew: a third of the time at a million prosumers
    (`python -m benchmarks.clearing`). What one thread frees serves all of them: where each thread has memory
    of its own, a million prosumers take up to 400 MB more.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, _NEVER), (_M_ARENA_MAX, 1)
    return all(mallopt(*setting) for setting in settings)


@contextmanager
def loading() -> Iterator[None]:
    """Look for no cycles during a ``with`` block that loads libraries or builds a world: it all stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def lasting_spared() -> Iterator[None]:
    """Keep the collector of cycles from looking through what stays with the process, during a ``with`` block.

    A process of 11,250 live prosumers holds millions of objects, some made only once devices have answered.
    Each full collection went through them for 0.4 s, twice an interval, while the event loop stood still.
    So what is there now, and what has outlived a long collection, is left out of the next ones. Of that, only
    a cycle that is dropped later stays in memory.
    """
    began_s = 0.0

    def watch(phase: str, info: dict[str, int]) -> None:
        nonlocal began_s
        if phase == "start":
            began_s = time.thread_time()
        elif info["generation"] == 2 and time.thread_time() - began_s > LONG_S:
            gc.freeze()

    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.callbacks.append(watch)
    try:
        yield
    finally:
        gc.callbacks.remove(watch)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
