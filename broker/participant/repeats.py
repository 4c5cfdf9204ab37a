"""Messages that may be lost: a service asks for them again, and sends again what others miss of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from broker import messages, wall_time
from broker.client.bus import Bus
from broker.messages import Repeat, StepName
from broker.participant.handlers import KNOWN_TOPICS
from broker.participant.reports import Counts
from broker.participant.sending import Work, unless_closed

LONG, SLOWEST = 1_000_000, 2e6
"""A message of more bytes than the first is on its way for a time, in bytes per second no faster than the
second: whoever waits for it asks before it has come, and each copy would hold up the one that is coming."""


class Repeats:
    """What a service can send again, and what it asks for again.

    Parameters
    ----------
    bus
        Where it is sent.
    topic
        Topic on which the service asks.
    request
        Message that asks for a tick's messages on given topics.
    counts
        Where repeated messages are counted.
    """

    def __init__(
        self, bus: Bus, topic: str, request: Callable[[int, list[str]], Repeat], counts: Counts
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._request = request
        self._counts = counts
        self._sent: dict[str, tuple[int, bytes]] = {}
        self._arrives: dict[str, float] = {}
        self._refused: set[str] = set()
        self._reports: dict[tuple[int, StepName], tuple[str, bytes]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def keep(self, topic: str, tick: int, payload: bytes) -> None:
        """Keep the last message that was sent on a topic."""
        self._sent[topic] = tick, payload
        self._arrives.pop(topic, None)
        self._note_sending(topic, payload)

    def _note_sending(self, topic: str, payload: bytes) -> None:
        """Note until when a long message is on its way: it is not sent again meanwhile."""
        if len(payload) > LONG:
            self._arrives[topic] = wall_time.now() + len(payload) / SLOWEST

    def note_report(self, topic: str, tick: int, step: StepName) -> None:
        """Note the step of which the service's last report, sent on a topic, was."""
        self._reports[tick, step] = topic, self._sent[topic][1]

    def note_refused(self, topic: str) -> None:
        """Note that what came on a topic was refused: it would be refused again."""
        if len(self._refused) < KNOWN_TOPICS:
            self._refused.add(topic)

    def begin_interval(self) -> None:
        """Forget what was refused, and what was reported before."""
        self._refused.clear()
        self._reports.clear()

    def begin_anew(self) -> None:
        """Forget what was sent: in a new epoch it counts no more."""
        self._sent.clear()
        self._arrives.clear()
        self._reports.clear()

    def ask(self, tick: int, topics: list[str], question: str = "") -> None:
        """Ask for messages of a tick that may be lost, and ask the question again that they answer."""
        if lost := [str(topic) for topic in topics if topic not in self._refused]:
            self._start(partial(self._ask, tick, lost, question))

    async def _ask(self, tick: int, topics: list[str], question: str) -> None:
        if question in self._sent:
            self._counts.repeated += 1
            await self._bus.publish(question, self._sent[question][1])
        await self._bus.publish(self._topic, messages.encode(self._request(tick, topics)))

    async def send_again(self, asked: Repeat) -> None:
        """Send again what somebody waits for and this service has sent."""
        for topic in dict.fromkeys(asked.topics):  # Each once, however often it is named.
            tick, payload = self._sent.get(topic, (-1, b""))
            if tick == asked.tick and wall_time.now() >= self._arrives.get(topic, 0.0):
                self._counts.repeated += 1
                self._note_sending(topic, payload)
                await self._bus.publish(topic, payload)

    def report_again(self, heard: tuple[int, StepName] | None) -> None:
        """The clock opens a step again because it misses a report: give it once more, if it was given."""
        if heard in self._reports:
            self._counts.repeated += 1
            self._start(partial(self._bus.publish, *self._reports[heard]))

    def _start(self, work: Work) -> None:
        """Send something beside what is under way."""
        self._sending.add(task := asyncio.create_task(unless_closed(work)))
        task.add_done_callback(self._sending.discard)

    def close(self) -> None:
        """Drop what waits to be sent."""
        for task in self._sending:
            task.cancel()
