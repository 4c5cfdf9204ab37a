"""An observer's ear: what it hears of a run, whenever it came to it, and its connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from broker import messages
from broker.client.bus import Received
from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.door.admission import Door
from broker.door.refusal import Refused
from broker.messages import Facts, Message, Step
from broker.security.grants import OBSERVER
from broker.topics import Topics


class Ear:
    """Lets an observer hear a run's messages once each, through the door that services have.

    An observer may come in the middle of a run, or miss words of it, and then believes the clock's next step.

    Parameters
    ----------
    run
        Id of the run.
    """

    def __init__(self, run: str) -> None:
        self.topics = Topics(run)
        self._run = run
        self._door = Door(run)
        self._knows_epoch = False

    def came_back(self) -> None:
        """After a lost connection: the run may have gone anywhere."""
        self._door.came_back()
        self._knows_epoch = False

    def hear(self, received: Received) -> tuple[Message, str] | None:
        """Message that was heard and its topic's last level; ``None`` where it is no news of the run."""
        if received.topic == self.topics.step and not self._knows_epoch:
            self._catch_up(received.payload)
        try:
            message = self._door.admit(received).message
        except Refused:
            return None
        if isinstance(message, Facts):
            # Its process begins, or begins anew: numbers, ticks and epochs of before mean nothing any more.
            self._door, self._knows_epoch = Door(self._run), False
        elif isinstance(message, Step):
            if message.epoch > self._door.epoch:
                self._door.begin_epoch(message)
            self._door.tick = max(self._door.tick, message.tick)
        return None if message is None else (message, received.topic.rpartition("/")[2])

    def _catch_up(self, payload: bytes) -> None:
        """Take the epoch from the first step that is heard, wherever the run is."""
        try:
            step = messages.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if isinstance(step, Step):
            self._door.epoch = max(self._door.epoch, step.epoch)
            self._knows_epoch = True


@dataclass(frozen=True)
class Hearing:
    """An observer's connection to a run."""

    bus: MqttBus
    ear: Ear

    async def messages(self) -> AsyncIterator[tuple[Message, str]]:
        """Messages of the run as `Ear.hear` gives them, until the connection is closed."""
        async for received in self.bus.messages():
            if (heard := self.ear.hear(received)) is not None:
                yield heard


@asynccontextmanager
async def hearing(
    url: str, run: str, name: str, topics: Callable[[Topics], Iterable[str]], patience_s: float = 30.0
) -> AsyncIterator[Hearing]:
    """Hear a run as an observer for the time of a ``with`` block.

    Parameters
    ----------
    url, run
        Where the run is.
    name
        What the observer is called.
    topics
        What it listens to.
    patience_s
        How long a broker may be away [s].

    Raises
    ------
    BrokerError
        The broker cannot be reached, or does not know the observer.
    """
    ear = Ear(run)
    async with connect(
        url, f"observer-{name}", identity=OBSERVER, on_reconnect=ear.came_back, patience_s=patience_s
    ) as bus:
        await bus.subscribe(*topics(ear.topics))
        yield Hearing(bus, ear)
