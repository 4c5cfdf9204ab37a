"""Scheduled events of a scenario, held against the feeder to which they are to happen."""

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.events import end_of, unknown
from cosim.feeder.settings import Event
from cosim.scenario import ScenarioError
from cosim.scenario.timeline import Timeline, tick_of
from sharegrid.text import entry


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
        if wrong := unknown(event, layout):
            raise ScenarioError(f"{entry('events', place)}: {wrong[0]}: {wrong[1]}")
        tick = tick_of(event.at, timeline)
        due[tick] = (*due.get(tick, ()), event)
        if end := end_of(event, tick, timeline.interval_min):
            due[end[0]] = (*due.get(end[0], ()), end[1])
    return due


def after_the_end(events: tuple[Event, ...], timeline: Timeline) -> list[str]:
    """Sentences on events that do not happen, because the run ends before them."""
    return [
        f"{entry('events', place)}: {event.kind} at {event.at} does not happen, for the run ends before"
        for place, event in enumerate(events)
        if tick_of(event.at, timeline) >= timeline.intervals
    ]
