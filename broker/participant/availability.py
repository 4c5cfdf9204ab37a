"""What the bus knows of whether a service is there: what it says itself, and what its last will says."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from functools import partial

from broker import messages
from broker.client.bus import Bus, Will
from broker.errors import BrokerError
from broker.messages import Availability
from broker.participant.sending import unless_closed
from broker.topics import Topics

PAUSE_S = 0.1
"""Before a service contradicts who says that it is offline: once, however often that is said [s]."""

_LEAVING_S = 1.0


def offline_will(run: str, name: str) -> Will:
    """Last will of service ``name``: the broker says for it that it is offline."""
    gone = Availability(run=run, tick=-1, sender=name, seq=0, online=False)
    return Will(Topics(run).availability(name), messages.encode(gone))


async def say_offline(bus: Bus, run: str, name: str) -> None:
    """Say that service ``name`` ends, as its last will would; without a broker nobody needs to know."""
    if not bus.is_connected:
        return
    will = offline_will(run, name)
    with contextlib.suppress(BrokerError, TimeoutError):
        async with asyncio.timeout(_LEAVING_S):
            await bus.publish(will.topic, will.payload, retain=True)


class OwnAvailability:
    """Says that service ``name`` is online, and again where somebody says otherwise.

    Parameters
    ----------
    world
        Digest of its scenario.
    publish
        Publishes that the service of a world and an instance is online.
    flag
        Remembers something that went wrong.

    Attributes
    ----------
    instance
        A word of this process, by which others see that the service was started anew.
    """

    def __init__(
        self,
        name: str,
        world: str,
        *,
        publish: Callable[[str, str], Awaitable[None]],
        flag: Callable[[str], None],
    ) -> None:
        self.name = name
        self.world = world
        self.instance = secrets.token_hex(4)
        self._publish = publish
        self._flag = flag
        self._announcing: set[asyncio.Future[None]] = set()

    async def announce(self, pause_s: float = 0.0) -> None:
        """Say that the service is online, after a pause [s]."""
        await asyncio.sleep(pause_s)
        await self._publish(self.world, self.instance)

    def say_online(self, pause_s: float) -> None:
        """Say it after a pause [s], once for all who ask for it until then."""
        if not self._announcing:
            work = unless_closed(partial(self.announce, pause_s))
            self._announcing.add(task := asyncio.ensure_future(work))
            task.add_done_callback(self._announcing.discard)

    def contradict(self, availability: Availability) -> None:
        """Whoever says otherwise of this service is wrong, as a last will is that comes too late."""
        if not availability.online or availability.world != self.world:
            self._flag(f"{self.name} was said to be offline or in another world, and is not")
            self.say_online(PAUSE_S)
        elif availability.instance != self.instance:
            self._flag(f"another process says that it is {self.name}, which goes on")
            self.say_online(PAUSE_S)

    def close(self) -> None:
        """Drop what waits to be said."""
        for task in self._announcing:
            task.cancel()
