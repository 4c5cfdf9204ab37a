"""Memory that arrays leave behind stays with the process, for the next arrays."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = 2**31 - 1
_LARGE = 2**30


def keep_freed_memory() -> bool:
    """Ask the C library not to return freed memory to the system; whether it listens.

    A clearing makes and drops arrays of megabytes. By default glibc gives each back to the system, which
    clears the pages of the next one anew: a third of the time at a million prosumers
    (`python -m benchmarks.clearing`).
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGE)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))
