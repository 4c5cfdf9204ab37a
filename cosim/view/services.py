"""Services as the view shows them: who is there, who has reported, whom the open step waits for."""

from __future__ import annotations

from collections import defaultdict

from broker.messages import Availability, Done, Step
from cosim.view.panels import ServicePanel, ServiceRow

_COUNTED = ("sent", "received", "gaps", "late", "rejected", "quarantined")


class Services:
    """The latest of every service."""

    def __init__(self) -> None:
        self._rows: dict[str, ServiceRow] = {}
        self._reporters: dict[str, set[str]] = defaultdict(set)
        self._reported: set[str] = set()
        self._open: tuple[int, str] = (-1, "")
        self._opened_s = 0.0

    def begin(self, step: Step, now_s: float) -> None:
        """Take a step in; ``now_s`` is when it was heard, on any steady clock [s]."""
        if self._open != (step.tick, step.step):
            self._open, self._reported, self._opened_s = (step.tick, step.step), set(), now_s

    def report(self, done: Done, now_s: float) -> None:
        """Take a report in."""
        row = self._of(done.sender)
        row.tick, row.step = done.tick, done.step
        row.flags += len(done.flags)
        for name in _COUNTED:
            setattr(row, name, getattr(done.traffic, name))
        self._reporters[done.step].add(done.sender)
        if (done.tick, done.step) == self._open:
            self._reported.add(done.sender)
            row.step_s = now_s - self._opened_s

    def note(self, availability: Availability) -> None:
        """Take in whether one is there."""
        self._of(availability.sender).online = availability.online

    @property
    def waiting(self) -> list[str]:
        """Who has reported this kind of step before, is there, and has not yet."""
        awaited = self._reporters[self._open[1]] - self._reported
        return sorted(name for name in awaited if self._of(name).online)

    def panel(self, heard: int) -> ServicePanel:
        """Rows of all, by name."""
        return ServicePanel(rows=[self._rows[name] for name in sorted(self._rows)], heard=heard)

    def _of(self, name: str) -> ServiceRow:
        if name not in self._rows:
            self._rows[name] = ServiceRow(name=name)
        return self._rows[name]
