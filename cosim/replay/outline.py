"""A record looked through once before it is replayed: how long it is, and which intervals were given up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from broker import messages
from broker.messages import Message, Step
from broker.topics import Topics
from cosim.traffic.entries import Entry, EntryKind, Session, TrafficError, session_of


@dataclass
class Outline:
    """What a record holds.

    Attributes
    ----------
    sessions
        Processes that recorded, the first first.
    begin_s, end_s
        When the first and the last entry came [s since epoch].
    ticks
        Intervals of which it has a settle step.
    is_paced
        Whether something paced the run.
    """

    sessions: list[Session] = field(default_factory=list)
    begin_s: float = 0.0
    end_s: float = 0.0
    ticks: set[int] = field(default_factory=set)
    is_paced: bool = False
    _given_up: list[tuple[int, int]] = field(default_factory=list)

    def is_given_up(self, step: Step) -> bool:
        """Whether an interval began again after this step of it."""
        return any(step.epoch < epoch and step.tick >= tick for epoch, tick in self._given_up)

    def note(self, step: Step) -> None:
        """Take note of a step of the clock."""
        if step.step == "restore":
            self._given_up.append((step.epoch, step.tick))
        elif step.step == "settle":
            self.ticks.add(step.tick)
        self.is_paced |= step.pace is not None


def outline_of(entries: Iterable[Entry]) -> Outline:
    """Outline of a record.

    Raises
    ------
    TrafficError
        It holds nothing of any run.
    """
    found, step_topic = Outline(), ""
    for entry in entries:
        found.begin_s = found.begin_s or entry.at_s
        found.end_s = max(found.end_s, entry.at_s)
        if entry.kind is EntryKind.SESSION:
            found.sessions.append(session_of(entry))
            step_topic = str(Topics(found.sessions[0].run).step)
        elif entry.topic == step_topic:
            step = decoded(entry.body)
            if isinstance(step, Step):
                found.note(step)
    if not found.sessions:
        raise TrafficError("the record holds nothing of a run")
    return found


def decoded(body: bytes) -> Message | None:
    """Message of a body; ``None`` where it is none."""
    try:
        return messages.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
