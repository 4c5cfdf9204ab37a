"""What does not go as it should, as it happens: alike lines of an interval are one, with their number.

The terminal, the log, alarms and the live view all speak from here.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from broker.messages import (
    Availability,
    Done,
    FeederState,
    Message,
    Rejected,
    Settled,
    Step,
    Stopped,
    Telemetry,
)
from broker.messages.flags import ALARM, OVER
from cosim.world.names import spoken

Weight = Literal["alarm", "warning", "note"]
"""``alarm``: look now; ``warning``: something was stood in for; ``note``: it is as planned."""

MOST_KEPT = 500
_MOST_NAMES = 200
_MOST_SHOWN = 6
DEVICES = "devices"
_VARYING = re.compile(r"\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?")
_SPOKEN_FOR = ("offline", "not stopped yet", "emergency stop")


@dataclass
class Incident:
    """One kind of thing that went wrong in an interval, or happened to the feeder.

    Attributes
    ----------
    number
        Its place among all of the run; a later one is larger.
    tick
        Interval, -1 before the first.
    text
        What the first of them said; ``{}`` stands for the names.
    count
        How often it was said in the interval.
    names
        Whom it concerns, where it is about devices.
    """

    number: int
    tick: int
    weight: Weight
    source: str
    text: str
    count: int = 1
    names: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        """What to say of it, in one line."""
        if not self.names:
            return self.text + (f" ({self.count} of the kind)" if self.count > 1 else "")
        shown = ", ".join(self.names[:_MOST_SHOWN])
        more = f" and {self.count - _MOST_SHOWN} more" if self.count > _MOST_SHOWN else ""
        text = self.text if self.count == 1 else _plural(self.text)
        return text.replace("{}", shown + more)


def _weight_of(flag: str) -> Weight:
    """How much a flag weighs, by its words."""
    if flag.startswith(ALARM) or any(each in flag for each in _SPOKEN_FOR):
        return "alarm"
    return "note" if flag.startswith(OVER) else "warning"


def _plural(text: str) -> str:
    """The sentence of several devices."""
    return (
        text.replace("does not", "do not").replace("answers", "answer").replace("reading is", "readings are")
    )


class Incidents:
    """Gathers incidents from a run's messages.

    Parameters
    ----------
    on_new
        Called with each incident when it is first said.
    on_more
        Called with one whose count has changed.
    """

    def __init__(
        self,
        on_new: Callable[[Incident], None] = lambda _: None,
        on_more: Callable[[Incident], None] = lambda _: None,
    ) -> None:
        self.total = 0
        self._on_new = on_new
        self._on_more = on_more
        self._kept: OrderedDict[int, Incident] = OrderedDict()
        self._of_shape: dict[tuple[int, str, str], Incident] = {}
        self._said: set[tuple[int, str]] = set()
        self._online: dict[str, bool] = {}
        self._silent: dict[str, str] = {}
        self._tick = -1

    @property
    def latest(self) -> list[Incident]:
        """Those that are kept, the latest first."""
        return list(reversed(self._kept.values()))

    def take(self, message: Message, party: str) -> None:
        """Take a message in; ``party`` is the prosumer that a reading is of."""
        if isinstance(message, Telemetry):  # First, for nearly all messages are.
            self._note_reading(message, party)
        elif isinstance(message, Step):
            self._begin(message)
        elif isinstance(message, Done | Settled):
            for flag in message.flags:
                self._flag(message.tick, message.sender, flag)
        elif isinstance(message, FeederState):
            for event in message.events:
                self.add("note", message.tick, message.sender, event)
        elif isinstance(message, Availability):
            self._note_presence(message)
        elif isinstance(message, Rejected):
            self._flag(message.tick, message.sender, f"refused {message.topic}: {message.reason}")
        elif isinstance(message, Stopped) and not message.is_update:
            commanded = message.devices - message.observed
            safe = f"{message.safe} of {commanded} devices are safe"
            said = f"emergency stop by {message.by} ({message.reason}): {safe}"
            self.add("alarm", self._tick, message.sender, said)

    def add(self, weight: Weight, tick: int, source: str, text: str, name: str = "") -> None:
        """Add something that was said, to those alike of the interval where there are any.

        Where it concerns a device, ``{}`` stands for its ``name``.
        """
        key = (tick, source, _VARYING.sub("#", text))
        known = self._of_shape.get(key)
        if known is None:
            made = Incident(self.total, tick, weight, source, text, names=[name] if name else [])
            self.total += 1
            self._of_shape[key] = self._kept[made.number] = made
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            self._on_new(made)
            return
        known.count += 1
        if name and len(known.names) < _MOST_NAMES:
            known.names.append(name)
        self._on_more(known)

    def _begin(self, step: Step) -> None:
        if step.tick != self._tick:
            self._tick = step.tick
            # What may still come belongs to this interval or the one before.
            self._of_shape = {key: each for key, each in self._of_shape.items() if key[0] >= step.tick - 1}
            self._said = {key for key in self._said if key[0] >= step.tick - 1}

    def _flag(self, tick: int, source: str, text: str) -> None:
        """A flag travels with its service's report, and once more with what the recorder booked."""
        if (tick, text) in self._said:
            return
        self._said.add((tick, text))
        self.add(_weight_of(text), tick, source, text)

    def _note_presence(self, message: Availability) -> None:
        before = self._online.get(message.sender)
        self._online[message.sender] = message.online
        if before is True and not message.online:
            self.add("alarm", self._tick, message.sender, f"{spoken(message.sender)} went offline")
        elif before is False and message.online:
            self.add("note", self._tick, message.sender, f"{spoken(message.sender)} is back")

    def _note_reading(self, reading: Telemetry, name: str) -> None:
        """Name who stops answering, and who answers again; who stays silent is not said anew."""
        before = self._silent.get(name, "good")
        if reading.quality == before:
            return
        self._silent[name] = reading.quality
        if reading.quality == "good":
            del self._silent[name]
            self.add("note", reading.tick, DEVICES, "{} answers again", name)
        elif reading.quality == "suspect":
            checks = ", ".join(reading.checks) or "not plausible"
            self.add("warning", reading.tick, DEVICES, f"{{}}: reading is suspect ({checks})", name)
        elif before in ("held", "missing"):
            return
        elif "incomplete" in reading.checks:
            self.add("alarm", reading.tick, DEVICES, "{} answers without a reading", name)
        else:
            self.add("alarm", reading.tick, DEVICES, "{} does not answer", name)
