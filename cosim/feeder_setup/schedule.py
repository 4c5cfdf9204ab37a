"""Scheduled events of a scenario, held against the feeder to which they are to happen."""

import math

from cosim.feeder.changes import names_of
from cosim.feeder.circuit import FeederLayout
from cosim.feeder.settings import END_OF, Event
from cosim.scenario import ScenarioError
from cosim.scenario.timeline import Timeline, tick_of
from sharegrid.text import closest, entry

_CALLED = {"line": "line or switch", "switch": "line or switch", "fault": "line or switch"}


def schedule(
    events: tuple[Event, ...], layout: FeederLayout, timeline: Timeline
) -> dict[int, tuple[Event, ...]]:
    """Events by the tick at whose opening they happen, in the scenario's order, and what ends them.

    Raises
    ------
    ScenarioError
        One names an element or LAM that the feeder does not have.
    """
    due: dict[int, tuple[Event, ...]] = {}
    for place, event in enumerate(events):
        key = entry("events", place)
        if event.kind == "load-step":
            _known(f"{key}: lam", "LAM", event.lam, list(layout.lams))
        elif not event.kind.startswith("source"):
            what = event.kind.partition("-")[0]
            names = list(names_of(event, layout))
            _known(f"{key}: element", _CALLED.get(what, what), event.element.lower(), names)
        tick = tick_of(event.at, timeline)
        due[tick] = (*due.get(tick, ()), event)
        if event.for_min and event.kind in END_OF:
            after = tick + math.ceil(event.for_min / timeline.interval_min - 1e-9)
            due[after] = (*due.get(after, ()), _end_of(event, after))
    return due


def after_the_end(events: tuple[Event, ...], timeline: Timeline) -> list[str]:
    """Sentences on events that do not happen, because the run ends before them."""
    return [
        f"{entry('events', place)}: {event.kind} at {event.at} does not happen, for the run ends before"
        for place, event in enumerate(events)
        if tick_of(event.at, timeline) >= timeline.intervals
    ]


def _end_of(event: Event, tick: int) -> Event:
    kind = END_OF[event.kind]
    return Event(at=tick, kind=kind, element=event.element, lam=event.lam)


def _known(key: str, what: str, name: str, names: list[str]) -> None:
    if name not in names:
        hint = closest(name, names) or f"known are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        raise ScenarioError(f"{key}: the feeder has no {what} {name!r}; {hint}")
