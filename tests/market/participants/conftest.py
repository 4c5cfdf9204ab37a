"""A town of three LAMs whose time jumps to the next deadline as soon as nobody has anything left to do."""

import asyncio
import selectors
from types import SimpleNamespace

import pytest

from tests.market.participants.town import Town


class SteppedSelector(selectors.DefaultSelector):
    """Never waits: where the loop would sleep until a timer, its time moves there."""

    now_s = 1000.0

    def select(self, timeout=None):
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.now_s += timeout
        return ready


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop on stepped time, so that a gate that closes after a minute costs nothing."""

    def __init__(self):
        self.stepped = SteppedSelector()
        super().__init__(self.stepped)

    def time(self):
        return self.stepped.now_s

    wall_s = time


def pytest_asyncio_loop_factories(config, item):
    return {"stepped": SteppedLoop}


@pytest.fixture
async def town_of(monkeypatch):
    """Towns that differ from the usual one, such as in how many operators their LAMs have."""
    loop = asyncio.get_running_loop()
    clock = SimpleNamespace(time=loop.time, perf_counter=loop.time)
    monkeypatch.setattr("market.participants.wam.operator.time", clock)
    return lambda **choices: Town(**choices).open()


@pytest.fixture
async def town(town_of):
    """Everyone at work, on a bus whose deliveries the story decides."""
    async with town_of() as town:
        yield town
