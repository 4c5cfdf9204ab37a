"""Time as services take it: wall time of their event loop, which may play a record, and time since boot."""

from __future__ import annotations

import asyncio
import time


def now() -> float:
    """Wall time [s since epoch]: the running loop's own (``wall_s``), where it has one."""
    wall_s = getattr(asyncio.get_running_loop(), "wall_s", None)
    return time.time() if wall_s is None else float(wall_s())


def since_boot() -> float:
    """Time that nobody sets, and that goes on while the computer sleeps as it does for devices [s]."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
