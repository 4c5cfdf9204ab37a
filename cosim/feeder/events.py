"""What of a feeder an event may name, what ends it, and what happens when."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cosim.feeder.changes import names_of
from cosim.feeder.circuit import FeederLayout
from cosim.feeder.settings import END_OF, Event
from sharegrid.text import closest

_CALLED = {"line": "line or switch", "switch": "line or switch", "fault": "line or switch"}


def unknown(event: Event, layout: FeederLayout) -> tuple[str, str] | None:
    """Key of an event that names what a feeder does not have, and what it has, in words."""
    if event.kind == "load-step":
        key, what, name, names = "lam", "LAM", event.lam, list(layout.lams)
    elif event.kind.startswith("source"):
        return None
    else:
        kind = event.kind.partition("-")[0]
        key, what, name = "element", _CALLED.get(kind, kind), event.element.lower()
        names = list(names_of(event, layout))
    if name in names:
        return None
    hint = closest(name, names) or f"known are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
    return key, f"the feeder has no {what} {name!r}; {hint}"


def end_of(event: Event, tick: int, interval_min: float) -> tuple[int, Event] | None:
    """What ends an event that happens at the opening of ``tick``, and when; None where it lasts."""
    if not event.for_min or event.kind not in END_OF:
        return None
    after = tick + math.ceil(event.for_min / interval_min - 1e-9)
    return after, Event(at=after, kind=END_OF[event.kind], element=event.element, lam=event.lam)


class EventSchedule:
    """Events by the tick at whose opening they happen: a scenario's, and those that operators ask for.

    Parameters
    ----------
    fixed
        The scenario's, with what ends them.
    interval_min
        Length of an interval [min].

    Attributes
    ----------
    asked
        Those asked for, with what ends them.
    """

    def __init__(self, fixed: Mapping[int, tuple[Event, ...]], interval_min: float) -> None:
        self._fixed = fixed
        self._interval_min = interval_min
        self.asked: dict[int, tuple[Event, ...]] = {}

    def ask(self, tick: int, events: Sequence[Event], layout: FeederLayout) -> list[str]:
        """Put events down for a tick; why some cannot happen, in words."""
        refused = []
        for event in events:
            if wrong := unknown(event, layout):
                refused.append(f"{event.kind} asked for could not happen, the feeder stays: {wrong[1]}")
                continue
            self._put_down(tick, event)
            if end := end_of(event, tick, self._interval_min):
                self._put_down(*end)
        return refused

    def at(self, tick: int) -> tuple[Event, ...]:
        """Events of a tick, the scenario's first."""
        return (*self._fixed.get(tick, ()), *self.asked.get(tick, ()))

    def until(self, tick: int) -> list[int]:
        """Ticks with events up to one, ascending."""
        return sorted(each for each in self._fixed.keys() | self.asked.keys() if each <= tick)

    def _put_down(self, tick: int, event: Event) -> None:
        self.asked[tick] = (*self.asked.get(tick, ()), event)
