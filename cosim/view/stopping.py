"""An emergency stop as the view shows it: asked for, then answered until all devices are safe."""

from __future__ import annotations

from collections.abc import Callable

from broker.messages import Stopped
from cosim.view.panels import MOST_DEVICES, StopPanel


class StopState:
    """What is known of the emergency stop of a run.

    Parameters
    ----------
    clock
        Wall time [s since epoch].

    Attributes
    ----------
    panel
        As it is shown.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.panel = StopPanel()
        self._clock = clock

    def ask(self, by: str, reason: str) -> None:
        """Somebody asks for a stop; one that was answered stays as it was."""
        if not self.panel.is_answered:
            self.panel = StopPanel(is_asked=True, by=by, reason=reason, asked_at=self._clock())

    def answer(self, stopped: Stopped) -> None:
        """A gateway says what became of it."""
        self.panel = StopPanel(
            is_asked=True,
            by=stopped.by,
            reason=stopped.reason,
            asked_at=self.panel.asked_at or self._clock(),
            is_answered=True,
            devices=stopped.devices,
            safe=stopped.safe,
            observed=stopped.observed,
            each=sorted(stopped.each, key=lambda one: one.state != "not yet")[:MOST_DEVICES],
        )
