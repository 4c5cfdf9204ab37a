"""Wall time as services take it: that of their event loop, which may play what was recorded earlier."""

from __future__ import annotations

import asyncio
import time


def now() -> float:
    """Wall time [s since epoch]: the running loop's own (``wall_s``), where it has one."""
    wall_s = getattr(asyncio.get_running_loop(), "wall_s", None)
    return time.time() if wall_s is None else float(wall_s())
