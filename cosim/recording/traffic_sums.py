"""What services counted over a whole run, although each counts from its own start."""

from __future__ import annotations

import msgspec

from broker.messages import Done, Traffic
from broker.snapshot import Values, typed
from cosim.control.pacing import STEPS

_STANDS_NOW = ("budgets_spent", "devices_tripped")
"""No counts, but what is so at the moment."""


class TrafficSums:
    """Counts of each service, over all of its processes.

    A service that was started anew counts from zero again; what the process before had told is then kept.
    """

    def __init__(self) -> None:
        self._before: dict[str, Traffic] = {}
        self._told: dict[str, Traffic] = {}
        self._when: dict[str, tuple[int, int, int]] = {}

    def take(self, done: Done) -> None:
        """Take in what a service tells with a report; one that came late says nothing new."""
        order = STEPS.index(done.step) if done.step in STEPS else -1
        when = done.epoch, done.tick, order
        if when >= self._when.get(done.sender, when):
            self._when[done.sender] = when
            self.note(done.sender, done.traffic)

    def note(self, service: str, traffic: Traffic) -> None:
        """Take in the counts of a service since its start."""
        told = self._told.get(service)
        if told is not None and traffic.sent < told.sent:
            kept = _sum(self._before.get(service, Traffic()), told)
            self._before[service] = msgspec.structs.replace(kept, **dict.fromkeys(_STANDS_NOW, 0))
        self._told[service] = traffic

    @property
    def totals(self) -> list[Traffic]:
        """Counts of each service since the run began."""
        return [_sum(self._before.get(name, Traffic()), told) for name, told in self._told.items()]

    def snapshot(self) -> Values:
        """What was told by the processes that are gone, and by those that are there."""
        return {
            name: msgspec.to_builtins({"before": self._before.get(name, Traffic()), "told": told})
            for name, told in self._told.items()
        }

    def restore(self, values: Values) -> None:
        """Count on from a snapshot; raises ``ValueError`` where it is another's."""
        for name in values:
            parts = typed(values, name, dict[str, Traffic])
            self._before[name], self._told[name] = parts["before"], parts["told"]
        self._when.clear()


def _sum(one: Traffic, other: Traffic) -> Traffic:
    names = Traffic.__struct_fields__
    return Traffic(**{name: getattr(one, name) + getattr(other, name) for name in names})
