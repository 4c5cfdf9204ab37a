"""An event loop in virtual time: nothing waits, nothing runs in a thread, and one seed gives one order.

Time passes only when nothing is left to do: it then jumps to the next timer. Work for threads is done at
once, in the loop's own thread, and its result comes after a time that is drawn. Where no timer is left, or
too much time has passed, something hangs, and says so.
"""

import asyncio
import contextlib
import secrets
import selectors
import time
from unittest.mock import patch

_MOST_TURNS = 2_000_000
_BEGIN_S = 1e6


class Hang(BaseException):
    """Nothing can happen any more, or what is to happen takes too long."""


class _NoFiles(selectors.BaseSelector):
    """A selector without files, which lets virtual time pass in place of waiting."""

    def __init__(self):
        self.now = 0.0
        self.until = 0.0
        self.turns = 0
        self._keys = {}

    def register(self, fileobj, events, data=None):
        """Keep the loop's own pipe, on which nothing ever comes."""
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj):
        return self._keys.pop(fileobj)

    def get_map(self):
        return self._keys

    def select(self, timeout=None):
        self.turns += 1
        if timeout is None:
            raise Hang(f"nothing is left to happen at {self.now:.3f} s")
        if timeout > 0.0:
            self.now += timeout
        if self.now > self.until or self.turns > _MOST_TURNS:
            raise Hang(f"not over at {self.now:.0f} s of virtual time, after {self.turns} turns")
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Event loop in virtual time.

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
        self._no_files = _NoFiles()
        self._no_files.until = self._more_s = until_s
        super().__init__(self._no_files)
        # Sums of times differ in their last bits.
        self._clock_resolution = 1e-6
        self._draw = draw
        self._free_at = {}
        self.network = None
        self.slept_s = 0.0

    def begin_anew(self):
        """Allow for more time, as to clear up."""
        self._no_files.until = self.time() + self._more_s
        self._no_files.turns = 0

    def time(self):
        """Virtual time since the loop was made [s]."""
        return self._no_files.now

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
    loop = VirtualLoop(draw, until_s)

    def wall_s():
        return _BEGIN_S + loop.time() + loop.slept_s

    patches = [
        patch.object(time, "time", wall_s),
        patch.object(time, "monotonic", loop.time),
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
