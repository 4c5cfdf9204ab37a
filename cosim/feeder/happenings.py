"""What happens to a feeder at the opening of intervals: a scenario's events, operators', and its boundary."""

from collections.abc import Sequence

from cosim.feeder.boundary import Boundary
from cosim.feeder.circuit import FeederError, PowerFlowError
from cosim.feeder.dispatch import OperatingRules
from cosim.feeder.events import EventSchedule
from cosim.feeder.memory import Memory
from cosim.feeder.settings import Event
from cosim.feeder.under_events import FeederUnderEvents


class Happenings:
    """Lets them happen, and knows them for whoever goes on from there.

    Parameters
    ----------
    rules
        The scenario's events, and how long an interval is.
    """

    def __init__(self, rules: OperatingRules) -> None:
        self._events = EventSchedule(rules.events, rules.interval_s / 60.0)

    @property
    def asked(self) -> dict[int, tuple[Event, ...]]:
        """Events that operators asked for and what ends them, by tick, past and to come."""
        return dict(self._events.asked)

    def open(
        self, now: FeederUnderEvents, tick: int, asked: Sequence[Event], boundary: Boundary | None
    ) -> list[str]:
        """Let the events of a tick happen, then a ``boundary`` if there is one; what happened, in words."""
        happened = self._events.ask(tick, asked, now.layout)
        for event in self._events.at(tick):
            try:
                happened.append(now.apply(event))
            except (FeederError, PowerFlowError) as error:
                happened.append(
                    f"{event.kind} of {event.element} could not happen, the feeder stays: {error}"
                )
        if boundary is not None:
            try:
                now.stand_at(boundary)
            except (FeederError, PowerFlowError) as error:
                happened.append(f"boundary conditions could not be set, the feeder stays: {error}")
        return happened

    def again(self, now: FeederUnderEvents, memory: Memory) -> None:
        """Let everything happen again to a feeder as it was at the start."""
        self._events.asked = dict(memory.asked)
        for tick in self._events.until(memory.opened):
            self.open(now, tick, (), None)
        now.stand_at(memory.boundary)
