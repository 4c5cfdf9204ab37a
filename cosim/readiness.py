"""Making ready what a run needs that takes long the first time on a computer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from importlib import import_module
from typing import TYPE_CHECKING

from cosim.world.names import Role

if TYPE_CHECKING:
    from cosim.world.world import World

AT_ONCE_S = 3.0
"""What takes longer is said to the user [s]."""

COMPILING = (
    "the clearing over a horizon is made ready: "
    "the first time on a computer it is compiled, in about a minute"
)


def load_ahead() -> None:
    """Load what writes a run's tables and makes its report, for the time in which its processes start."""
    import_module("pyarrow.parquet")
    import_module("cosim.report.rendering").prepare_pages()


async def made_ready(world: World, roles: Collection[str], say: Callable[[str], object]) -> None:
    """Have the clearing over a horizon compiled where some of the roles clear one.

    Before the run, so that no gate of its first interval closes meanwhile.

    Parameters
    ----------
    say
        Told a line where it is not there at once.
    """
    if world.rules.horizon is not None and Role.MARKET in roles:
        await horizon_compiled(say)


async def horizon_compiled(say: Callable[[str], object]) -> None:
    """Have the clearing over a horizon compiled; ``say`` is told a line where it is not there at once."""
    # Only what has a horizon needs numba.
    from market.horizon.warm_up import warm_up

    work = asyncio.ensure_future(asyncio.to_thread(warm_up))
    done, _ = await asyncio.wait({work}, timeout=AT_ONCE_S)
    if not done:
        say(COMPILING)
    await work
