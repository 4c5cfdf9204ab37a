"""The simulation's event loop in virtual time, in which one seed gives one order.

Work for threads is done at once, and its result comes after a time that is drawn.
"""

import asyncio
import contextlib
import secrets
import time
from unittest.mock import patch

from cosim.replay.virtual_loop import Hang as Hang
from cosim.replay.virtual_loop import VirtualLoop

_MOST_TURNS = 2_000_000
_BEGIN_S = 1e6


class SimulatedLoop(VirtualLoop):
    """Event loop in virtual time, with a network in memory.

    Parameters
    ----------
    draw
        Random numbers, by which work in threads takes its time.
    until_s
        Virtual time at which whatever still runs hangs [s].

    Attributes
    ----------
    slept_s
        How long the computer slept: wall time goes on meanwhile, timers do not [s].
    """

    def __init__(self, draw, until_s):
        super().__init__(until_s, _BEGIN_S, _MOST_TURNS)
        self._draw = draw
        self._free_at = {}
        self.network = None
        self.slept_s = 0.0

    def wall_s(self):
        """Wall time that all clocks show [s since epoch]."""
        return super().wall_s() + self.slept_s

    def run_in_executor(self, executor, func, *args):
        """Do work at once; its result comes after a while, in the order of one worker's calls."""
        done = self.create_future()
        try:
            result, error = func(*args), None
        except Exception as failure:  # noqa: BLE001 - handed to whoever waits
            result, error = None, failure
        at = max(self.time(), self._free_at.get(id(executor), 0.0)) + self._draw.uniform(1e-4, 5e-3)
        self._free_at[id(executor)] = at

        def tell():
            if not done.done():
                done.set_exception(error) if error is not None else done.set_result(result)

        self.call_at(at, tell)
        return done

    async def create_server(self, protocol_factory, host=None, port=None, **_):
        """Listen on the network in memory."""
        return self.network.listen(protocol_factory, host, port)

    async def create_connection(self, protocol_factory, host=None, port=None, **_):
        """Connect over the network in memory."""
        return await self.network.connect(protocol_factory, host, port)


@contextlib.contextmanager
def virtual_time(draw, until_s):
    """Loop in virtual time, which all clocks of the process then show, and words that are drawn.

    Parameters
    ----------
    draw
        Random numbers (`random.Random`).
    until_s
        As `VirtualLoop`.
    """
    loop = SimulatedLoop(draw, until_s)
    patches = [
        patch.object(time, "time", loop.wall_s),
        patch.object(time, "monotonic", loop.time),
        patch.object(time, "clock_gettime", lambda _: loop.time()),
        patch.object(time, "perf_counter", loop.time),
        patch.object(secrets, "token_hex", lambda count=4: f"{draw.getrandbits(8 * count):0{2 * count}x}"),
    ]
    with contextlib.ExitStack() as stack:
        for each in patches:
            stack.enter_context(each)
        try:
            yield loop
        finally:
            asyncio.set_event_loop(None)
            loop.close()
