"""The view model of a run that goes on: messages in, panels out.

It knows nothing of browsers or of the bus. What it holds is bounded by the run's size: of each party the
latest word, and figures over time in a fixed number of points.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import singledispatchmethod

from broker.messages import (
    Acknowledgement,
    Availability,
    Done,
    Facts,
    FeederMap,
    FeederReply,
    FeederState,
    LamOutcome,
    Message,
    Outlook,
    PacingState,
    RunFacts,
    SetPoint,
    Settled,
    Step,
    Stop,
    Stopped,
    Telemetry,
    WamOutcome,
    WamPrice,
    unpacked_facts,
)
from cosim.map.drawing import drawing_of, feeder_panel
from cosim.observation.incidents import Incident, Incidents
from cosim.recording.outlook_rows import horizon_row, outlook_columns
from cosim.view.ahead import ahead_panel
from cosim.view.calendar import Calendar
from cosim.view.devices import Devices
from cosim.view.figures import COLUMNS, energy_figures, feeder_figures, price_figures, series_panel
from cosim.view.flags import flag_panel
from cosim.view.market import Market
from cosim.view.panels import AheadPanel, LiveRow, MapPanel, Panel, RunPanel
from cosim.view.series import Series
from cosim.view.services import Services
from cosim.view.stopping import StopState


class LiveModel:
    """What is shown of a run that goes on.

    Parameters
    ----------
    run
        Its id.
    clock
        Wall time [s since epoch].
    may_command
        Whether the view may stop devices and lead the run.

    Attributes
    ----------
    facts
        What the run is; ``None`` until it is told.
    """

    def __init__(
        self, run: str, clock: Callable[[], float] = time.time, *, may_command: bool = False
    ) -> None:
        self.run = run
        self._may_command = may_command
        self.facts: RunFacts | None = None
        self._clock = clock
        self._changed: set[str] = {"run", "stop"}
        self._services = Services()
        self._stop = StopState(clock)
        self._heard = 0
        self._is_heard = True
        self._incidents = Incidents(self._note_incident, self._note_incident)
        self._take_facts(_nothing_known())

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all panels."""
        return tuple(self._makers())

    def take(self, message: Message, party: str) -> None:
        """Take a message in.

        Parameters
        ----------
        message
            What was heard.
        party
            Last level of its topic: the prosumer that a reading or a set-point is of.
        """
        self._heard += 1
        self._incidents.take(message, party)
        self._on(message, party)

    def lost(self, *, is_heard: bool) -> None:
        """Take in whether the broker is there."""
        if is_heard != self._is_heard:
            self._is_heard = is_heard
            self._changed.add("run")

    def stop_begun(self, reason: str) -> None:
        """A stop was asked for here."""
        self._stop.ask("this view", reason)
        self._changed.add("stop")

    def stop_failed(self, error: str) -> None:
        """A stop that was asked for here has no answer."""
        self._stop.panel.error = error
        self._changed.add("stop")

    def changed(self) -> dict[str, Panel]:
        """Panels that changed since this was last asked."""
        names, self._changed = self._changed, set()
        return {name: self.panel(name) for name in sorted(names)}

    def panel(self, name: str) -> Panel:
        """One panel as it stands."""
        return self._makers()[name]()

    def find_devices(self, text: str) -> list[LiveRow]:
        """Live prosumers by name, id or LAM."""
        return self._devices.find(text)

    def at(self, tick: int) -> dict[str, Panel]:  # noqa: ARG002
        """A run that goes on shows its present alone."""
        return {}

    def _makers(self) -> dict[str, Callable[[], Panel]]:
        return {
            "run": self._run_panel,
            "layout": lambda: self._drawing.layout,
            "map": lambda: self._map,
            "prices": lambda: self._market.prices,
            "energy": lambda: self._market.energy,
            "clearing": lambda: self._market.clearing,
            "devices": self._devices.panel,
            "flags": lambda: flag_panel(self._incidents.latest, self._incidents.total, self._calendar),
            "services": lambda: self._services.panel(self._heard),
            "money": lambda: self._market.money,
            "stop": lambda: self._stop.panel,
            "series": lambda: series_panel(self._series, self._calendar),
            "ahead": lambda: self._ahead,
        }

    @singledispatchmethod
    def _on(self, message: Message, party: str) -> None:
        """Take in what only the incidents know of."""

    @_on.register
    def _(self, facts: Facts, party: str) -> None:  # noqa: ARG002
        try:
            told = unpacked_facts(facts.content)
        except ValueError:
            return
        if told != self.facts:
            self.facts = told
            self._take_facts(told)

    def _take_facts(self, facts: RunFacts) -> None:
        """Begin with what the run is."""
        self._calendar = Calendar(facts.start, facts.interval_s, facts.time_zone)
        self._drawing = drawing_of(facts)
        self._map = MapPanel(limits_pu=self._drawing.limits_pu)
        self._devices = Devices(facts)
        self._market = Market(len(facts.lams), self._calendar)
        self._series = Series(COLUMNS)
        self._ahead = AheadPanel()
        self._where = RunPanel(
            run=self.run,
            mode="live",
            feeder=facts.map.name,
            prosumers=facts.prosumers,
            lams=len(facts.lams),
            intervals=facts.intervals,
            interval_s=facts.interval_s,
            time_zone=facts.time_zone,
            may_command=self._may_command,
        )
        self._changed |= set(self._makers())

    @_on.register
    def _(self, step: Step, party: str) -> None:  # noqa: ARG002
        now = self._clock()
        self._services.begin(step, now)
        where = self._where
        if step.step == "measure" or step.tick != where.tick:
            where.ends = None if step.pace is None else step.opened - step.lag_s + step.interval_s / step.pace
        where.tick, where.step, where.opened = step.tick, step.step, step.opened
        where.pace, where.lag_s, where.is_over = step.pace, step.lag_s, step.step == "end"
        where.label, where.date = self._calendar.label(step.tick), self._calendar.date(step.tick)
        self._changed |= {"run", "services"}

    @_on.register
    def _(self, state: PacingState, party: str) -> None:  # noqa: ARG002
        self._where.is_paused, self._where.refusal = state.is_paused, state.refusal
        self._where.pace = state.pace
        self._changed.add("run")

    @_on.register
    def _(self, done: Done, party: str) -> None:  # noqa: ARG002
        self._services.report(done, self._clock())
        self._changed |= {"run", "services"}

    @_on.register
    def _(self, availability: Availability, party: str) -> None:  # noqa: ARG002
        self._services.note(availability)
        self._changed |= {"run", "services"}

    @_on.register
    def _(self, price: WamPrice, party: str) -> None:  # noqa: ARG002
        self._market.announce(price)
        self._changed.add("clearing")

    @_on.register
    def _(self, reply: FeederReply, party: str) -> None:  # noqa: ARG002
        self._market.judge(reply)
        self._changed.add("clearing")

    @_on.register
    def _(self, outcome: WamOutcome, party: str) -> None:  # noqa: ARG002
        self._market.clear(outcome)
        self._series.put(outcome.tick, price_figures(self._market.prices) | {"rounds": float(outcome.rounds)})
        self._changed |= {"clearing", "prices", "series"}

    @_on.register
    def _(self, outlook: Outlook, party: str) -> None:  # noqa: ARG002
        if self.facts is None:
            return
        rows = outlook_columns(self.facts.lams, outlook) if outlook.ahead else {}
        self._ahead = ahead_panel(horizon_row(outlook), rows, self._calendar)
        self._changed.add("ahead")

    @_on.register
    def _(self, outcome: LamOutcome, party: str) -> None:  # noqa: ARG002
        self._market.share_out(outcome)
        if self._market.prices.tick == outcome.tick:
            self._series.put(outcome.tick, price_figures(self._market.prices))
        self._changed |= {"prices", "series"}

    @_on.register
    def _(self, state: FeederState, party: str) -> None:  # noqa: ARG002
        self._map = feeder_panel(self._drawing, state)
        self._series.put(state.tick, feeder_figures(self._map))
        self._changed |= {"map", "series"}

    @_on.register
    def _(self, settled: Settled, party: str) -> None:  # noqa: ARG002
        self._market.settle(settled)
        self._series.put(settled.tick, energy_figures(self._market.energy, self._market.prices))
        self._changed |= {"energy", "money", "prices", "series"}

    @_on.register
    def _(self, reading: Telemetry, party: str) -> None:
        self._devices.read(party, reading)
        self._changed.add("devices")

    @_on.register
    def _(self, set_point: SetPoint, party: str) -> None:
        self._devices.command(party, set_point)
        self._changed.add("devices")

    @_on.register
    def _(self, answer: Acknowledgement, party: str) -> None:
        self._devices.acknowledge(party, answer)
        self._changed.add("devices")

    @_on.register
    def _(self, stop: Stop, party: str) -> None:  # noqa: ARG002
        self._stop.ask(stop.sender, stop.reason)
        self._changed.add("stop")

    @_on.register
    def _(self, stopped: Stopped, party: str) -> None:  # noqa: ARG002
        self._stop.answer(stopped)
        self._devices.stop(stopped.each)
        self._changed |= {"stop", "devices"}

    def _run_panel(self) -> RunPanel:
        self._where.waiting = self._services.waiting
        self._where.is_heard = self._is_heard
        return self._where

    def _note_incident(self, incident: Incident) -> None:  # noqa: ARG002
        self._changed.add("flags")


def _nothing_known() -> RunFacts:
    return RunFacts(
        start=0.0,
        time_zone="UTC",
        interval_s=0.0,
        intervals=0,
        prosumers=0,
        lams=[],
        members=[],
        map=FeederMap(buses={}, segments=[], lams=[]),
        live=[],
    )
