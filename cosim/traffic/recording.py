"""Who records a run's bus traffic: a listener of its own, on the broker like any observer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec

from broker.client.mqtt import connect
from broker.client.mqtt_bus import MqttBus
from broker.security.grants import OBSERVER
from broker.topics import Topics
from cosim.traffic.entries import Entry, EntryKind, Session, TrafficError
from cosim.traffic.file import TrafficWriter

WRITE_EVERY_S = 0.2
"""How long an entry may wait for its block at most [s]: so much a process that is killed takes with it."""

_STOPS = "bus traffic is no longer recorded"
_LAST_S, _QUIET_S = 2.0, 0.1


@asynccontextmanager
async def recorded(
    path: Path, most_bytes: int, url: str, session: Session, note: Callable[[str], None]
) -> AsyncIterator[None]:
    """Record what is said on the bus of a run for the time of a ``with`` block.

    Parameters
    ----------
    path, most_bytes
        File of the record, and how large it may become.
    url
        Broker of the run.
    session
        This process and its run.
    note
        Called with what ends the recording early: a full disk or file does not end the run.

    Raises
    ------
    TrafficError
        The file cannot be written at all, or is no record.
    BrokerError
        The broker cannot be reached, or does not know the observer.
    """
    with TrafficWriter(path, most_bytes) as writer:
        writer.add(_mark(EntryKind.SESSION, msgspec.msgpack.encode(session)))
        back: list[Callable[[], None]] = []
        async with connect(url, "observer-record", identity=OBSERVER, on_reconnect=lambda: back[0]()) as bus:
            listener = _Listener(bus, writer, note)
            back.append(lambda: listener.add_gap("the connection to the broker was lost"))
            await bus.subscribe(f"{Topics(session.run).root}/#")
            tasks = [
                asyncio.create_task(listener.listen(), name="record listen"),
                asyncio.create_task(listener.write_often(), name="record write"),
            ]
            try:
                yield
                await listener.hear_the_last()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


class _Listener:
    """Writes down what comes over a bus."""

    def __init__(self, bus: MqttBus, writer: TrafficWriter, note: Callable[[str], None]) -> None:
        self._bus = bus
        self._writer = writer
        self._note = note
        self._dropped = 0

    async def listen(self) -> None:
        """Take messages until the bus closes or the file is full."""
        async for received in self._bus.messages():
            if (dropped := self._bus.counts.dropped) > self._dropped:
                self._dropped = dropped
                self.add_gap("messages came faster than they could be recorded")
            kind = EntryKind.RETAINED if received.retained else EntryKind.MESSAGE
            self._add(_entry(kind, received.topic, received.payload))

    async def write_often(self) -> None:
        """Write what waits, again and again."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            with self._noting():
                self._writer.write()

    async def hear_the_last(self) -> None:
        """Wait until nothing more comes, as the last reports of a run may still be on their way."""
        gives_up = time.monotonic() + _LAST_S
        heard = -1
        while heard != (now := self._bus.counts.received) and time.monotonic() < gives_up:
            heard = now
            await asyncio.sleep(_QUIET_S)

    def add_gap(self, why: str) -> None:
        """Note that messages may be missing."""
        self._add(_mark(EntryKind.GAP, why.encode()))

    def _add(self, entry: Entry) -> None:
        with self._noting():
            self._writer.add(entry)

    @contextmanager
    def _noting(self) -> Iterator[None]:
        """Say where the disk or the file takes no more: that ends the recording, not the run."""
        was_full = self._writer.is_full
        try:
            yield
        except TrafficError as error:
            self._note(str(error))
            return
        if self._writer.is_full and not was_full:
            self._note(f"{self._writer.path} has its full size: {_STOPS}; give --record more MB")


def session_now(run: str, world: str, next_tick: int, epoch: int, snapshots: dict[str, bytes]) -> Session:
    """Session of this version; see `Session` for the parameters."""
    return Session(
        version=version("sharegrid"),
        run=run,
        world=world,
        next_tick=next_tick,
        epoch=epoch,
        snapshots=snapshots,
    )


def _mark(kind: EntryKind, body: bytes) -> Entry:
    return _entry(kind, "", body)


def _entry(kind: EntryKind, topic: str, body: bytes) -> Entry:
    return Entry(time.time(), kind, topic, body)
