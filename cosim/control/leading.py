"""How an operator leads a run from outside: its pace, and what happens to the feeder."""

from __future__ import annotations

import asyncio

from broker.messages import FeederEvent, Lead, PacingState
from broker.participant.node import Node
from cosim.control.pacing import Pacing
from cosim.control.waiting import wait_within

_MOST_WORDS = 10_000
_MOST_EVENTS = 100
_LONG_S = 3600.0


class Leading:
    """Hears operators, and holds the clock before an interval while the run is paused.

    Parameters
    ----------
    node
        The clock's participant on the bus.
    pacing
        How fast the run goes at first.
    refusal
        Why nobody may lead this run; empty where one may.
    changed
        Set whenever something changes.

    Attributes
    ----------
    pacing
        How fast the next interval goes.
    is_paused
        Whether it waits for an operator.
    """

    def __init__(self, node: Node, pacing: Pacing, refusal: str, changed: asyncio.Event) -> None:
        self.pacing = pacing
        self.is_paused = False
        self._node = node
        self._refusal = refusal
        self._changed = changed
        self._allowed = 0
        self._has_moved = False
        self._events: list[FeederEvent] = []
        self._heard: set[tuple[str, int]] = set()
        node.on(node.topics.lead("+"), self._take)

    async def announce(self) -> None:
        """Tell observers where the run stands; the broker keeps it."""
        topic = self._node.topics.pacing
        await self._node.publish(
            topic,
            PacingState,
            -1,
            is_paused=self.is_paused,
            pace=self.pacing.factor,
            refusal=self._refusal,
        )

    async def retract(self) -> None:
        """Let the broker forget it, at the end of the run."""
        await self._node.bus.publish(self._node.topics.pacing, b"", retain=True)

    async def before_interval(self, stop: asyncio.Event) -> bool:
        """Wait while the run is paused, or until ``stop``; whether time stood still or changed its pace."""
        while self.is_paused and not self._allowed and not stop.is_set():
            await wait_within(
                self._changed, lambda: not self.is_paused or self._allowed > 0 or stop.is_set(), _LONG_S
            )
        if self._allowed:
            self._allowed -= 1
            self._has_moved = True
        has_moved, self._has_moved = self._has_moved, False
        return has_moved

    def take_events(self) -> list[FeederEvent]:
        """What operators have asked for since the last call, in the order in which it came."""
        asked, self._events = self._events, []
        return asked

    async def _take(self, lead: Lead) -> None:
        """Obey an operator; what is delivered twice counts once."""
        if self._refusal:
            raise ValueError(self._refusal)
        word = lead.sender, lead.seq
        if word in self._heard:
            return
        if len(self._heard) < _MOST_WORDS:
            self._heard.add(word)
        if lead.action == "event":
            self._ask(lead)
            return
        if lead.action == "pace":
            self.pacing = Pacing(lead.pace or None)
            self._node.flag(f"pace set to {lead.pace or 'fast'} by {lead.sender}")
        elif lead.action == "step":
            self.is_paused = True
            self._allowed += 1
            self._node.flag(f"one interval asked for by {lead.sender}")
        else:
            self.is_paused, self._allowed = lead.action == "pause", 0
            self._node.flag(f"{'paused' if self.is_paused else 'goes on'} by {lead.sender}")
        self._has_moved = True
        self._changed.set()
        await self.announce()

    def _ask(self, lead: Lead) -> None:
        event = lead.event
        if event is None:
            raise ValueError("an event was asked for and not said")
        if len(self._events) == _MOST_EVENTS:
            raise ValueError(f"{_MOST_EVENTS} events wait for the next interval; ask again in that")
        self._events.append(event)
        what = f"{event.kind} {event.element or event.lam}".rstrip()
        self._node.flag(f"{what} asked for by {lead.sender}")
