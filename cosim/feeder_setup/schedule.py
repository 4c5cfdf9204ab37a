"""Scheduled events of a scenario, held against the feeder to which they are to happen."""

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.settings import Event
from cosim.scenario import ScenarioError
from cosim.scenario.timeline import Timeline, tick_of
from sharegrid.text import closest


def schedule(
    events: tuple[Event, ...], layout: FeederLayout, timeline: Timeline
) -> dict[int, tuple[Event, ...]]:
    """Events by the tick at whose opening they happen, in the scenario's order.

    Raises
    ------
    ScenarioError
        One names a line, switch, regulator or LAM that the feeder does not have.
    """
    lines = list(dict.fromkeys(name.split(".")[1] for name in layout.branches if name.startswith("line.")))
    regulators = [name.lower() for name in layout.regulators]
    due: dict[int, tuple[Event, ...]] = {}
    for place, event in enumerate(events):
        if event.kind == "load-step":
            _known(f"events[{place}].lam", "LAM", event.lam, list(layout.lams))
        elif event.kind.startswith("regulator"):
            _known(f"events[{place}].element", "regulator", event.element.lower(), regulators)
        elif event.kind != "source-voltage":
            _known(f"events[{place}].element", "line or switch", event.element.lower(), lines)
        tick = tick_of(event.at, timeline)
        due[tick] = (*due.get(tick, ()), event)
    return due


def _known(key: str, what: str, name: str, names: list[str]) -> None:
    if name not in names:
        hint = closest(name, names) or f"known are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"
        raise ScenarioError(f"{key}: the feeder has no {what} {name!r}; {hint}")
