"""How a feeder is operated within an interval: proposals are judged in time, and meters' power is solved.

A dispatch must keep the limits when it begins, with all controls where they stand, and once regulators and
switched capacitors have answered it. Every position of the controls that a clearing has met has its linear
model, and all of them bound the next clearing, so that market and controls cannot chase each other.
Everything here runs in the feeder's own thread; `cosim.feeder.service` speaks for it on the bus.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from cosim.feeder import voltvar
from cosim.feeder.beginning import Beginning
from cosim.feeder.boundary import Boundary
from cosim.feeder.circuit import AcState, FeederError, Floats, PowerFlowError
from cosim.feeder.controls import ControlRun, Positions, hunting_flags
from cosim.feeder.dispatch import Answer, Model, OperatingRules, Physics, Proposal
from cosim.feeder.happenings import Happenings
from cosim.feeder.judgement import Judgement, check
from cosim.feeder.linear import Linearisation
from cosim.feeder.memory import Memory
from cosim.feeder.opendss import Feeder
from cosim.feeder.rows import none_of
from cosim.feeder.settings import Event
from cosim.feeder.tick_models import Screening, TickModels
from cosim.feeder.under_events import FeederUnderEvents
from cosim.feeder.violation_hours import violation_hours
from cosim.feeder.watched import LimitNames
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

_OVER_LAMS = ("net_kw", "load_kvar", "inverter_kvar", "low_kw", "high_kw")

_REST_S = 3600.0
# Time in which controls come to rest.


class Operation:
    """Judges proposals and solves what was metered, interval by interval.

    Parameters
    ----------
    rules
        What binds it.
    """

    def __init__(self, rules: OperatingRules) -> None:
        self.rules = rules
        self._feeder: FeederUnderEvents | None = None
        self._tick = -1
        self._models: TickModels | None = None
        self._at_rest = False
        self._stood: Positions | None = None
        self._happenings = Happenings(rules)
        self._beginning = Beginning(rules, self._solve, partial(self._linearise, before=None))

    def outside(self, feeder: Feeder) -> tuple[Floats, Floats, float | None]:
        """Loads outside the market ``(M,)`` [kW, kvar], and the source's voltage as others set it [pu]."""
        now = self._under_events(feeder)
        return *now.outside(), now.boundary.source_pu

    def stand_at(self, feeder: Feeder, boundary: Boundary) -> None:
        """Let others set the source's voltage and loads outside the market; raises as `FeederUnderEvents`."""
        self._under_events(feeder).stand_at(boundary)

    def open(
        self, feeder: Feeder, tick: int, asked: Sequence[Event] = (), boundary: Boundary | None = None
    ) -> tuple[list[str], list[str]]:
        """Let the events of a tick happen: the scenario's, then those that operators have ``asked`` for.

        A ``boundary`` takes the place of the one before, once they have happened.

        Returns
        -------
        tuple
            What happened, in words, and the names of the LAMs that no source feeds from now on.
        """
        now = self._under_events(feeder)
        return self._happenings.open(now, tick, asked, boundary), now.unserved()

    def resume(self, feeder: Feeder, memory: Memory) -> list[str]:
        """Go on from what was remembered: events happen again, then controls stand where they stood.

        Returns
        -------
        list of str
            Names of the LAMs that no source feeds.

        Raises
        ------
        FeederError
            The feeder has other controls, or other limits.
        """
        start = self._start(feeder)
        where, known = memory.where or start, feeder.widest.positions()
        if not (
            where.taps.keys() <= known.taps.keys() and where.capacitors.keys() <= known.capacitors.keys()
        ):
            raise FeederError("the snapshot has other regulators or capacitors than this feeder")
        layout, limits = feeder.widest.layout, self.rules.limits
        models = TickModels(layout, limits, memory.near.on(layout))
        feeder.put(start)
        self._feeder = FeederUnderEvents(feeder)
        self._tick, self._models = -1, models
        self._happenings.again(self._feeder, memory)
        self._feeder.put(where)
        self._at_rest = memory.at_rest
        return self._feeder.unserved()

    def memory(self, feeder: Feeder, opened: int) -> Memory:
        """What the operation remembers from one interval to the next, ``opened`` being the last tick."""
        now = self._under_events(feeder)
        near = LimitNames.of(self._models_of(now).carried(), now.layout)
        return Memory(opened, now.positions(), self._at_rest, self._happenings.asked, now.boundary, near)

    def judge(self, feeder: Feeder, proposal: Proposal) -> Answer:
        """Solve a proposal and judge it by the models of its tick; linearise where it is not confirmed.

        A proposal that is confirmed although it breaks limits of another position of the controls comes from
        a clearing that no trade could satisfy: there is a model without these for another one, once.

        An interval's first proposal that has no power flow is answered with a model at the LAMs' own loads.

        Raises
        ------
        PowerFlowError
            It has no power flow, and neither have own loads where it is the first.
        """
        now = self._under_events(feeder)
        proposal = _fed(proposal, now.fed())
        models, set_powers = self._models_of(now), (proposal.net_kw, proposal.set_kvar(self.rules.reactive))
        if proposal.round == 0 or proposal.tick != self._tick:
            self._tick = proposal.tick
            models.begin(proposal.tick)
        is_first = not models.points
        broken = self._beginning.as_opened(now, models, proposal) if is_first else 0
        if broken:
            return Answer(model=self._joined(models, proposal, now.positions()), unwatched=broken)
        self._come_to_rest(now, proposal)
        start = now.positions()
        screening = models.screen(*set_powers) if self.rules.network else Screening(0, is_enough=True)
        try:
            first = self._solve(now, proposal) if screening.is_enough else None
        except PowerFlowError as error:
            if is_first:
                return self._without_power_flow(now, models, proposal, error)
            if not screening.missed:
                raise
            first = None
        if first is None:
            return Answer(model=self._joined(models, proposal, start), unwatched=screening.missed)
        judged = {start: self._check(first, proposal, models.points.get(start))}
        if is_first and self._beginning.nearer(now, models, proposal, first):
            return Answer(
                source_kw=first.source_kw,
                severity=judged[start].severity,
                violations=tuple(map(str, judged[start].violations)),
                model=self._joined(models, proposal, start),
            )
        unwatched = models.see(start, first, *set_powers)
        confirmed, flags = judged[start].confirmed, []
        if confirmed and self.rules.controls_act:
            run = now.act(lambda: self._solve(now, proposal), self.rules.interval_s)
            flags = hunting_flags(run)
            there = now.positions()
            if there != start:
                point = models.points.get(there)
                judged[there] = self._check(run.last, proposal, point)
                unwatched += models.see(there, run.last, *set_powers)
                confirmed = not judged[there].violations and (point is None or judged[there].confirmed)
                now.put(start)
        model = None if confirmed else self._remodel(now, models, proposal, start, judged)
        if confirmed and models.forget_unmet(judged, *set_powers):
            model = self._joined(models, proposal, start)
        errors = [each.linear_error_pu for each in judged.values() if each.linear_error_pu is not None]
        return Answer(
            source_kw=first.source_kw,
            confirmed=confirmed,
            linear_error_pu=max(errors, default=None),
            # A market that knows no network does not rank its clearings by what they do to it.
            severity=max(each.severity for each in judged.values()) if self.rules.network else 0.0,
            violations=tuple(
                f"{violation}{'' if where == start else ' once regulators have acted'}"
                for where, each in judged.items()
                for violation in each.violations
            ),
            flags=tuple(flags),
            model=model,
            unwatched=unwatched,
        )

    def _without_power_flow(
        self, feeder: FeederUnderEvents, models: TickModels, proposal: Proposal, error: PowerFlowError
    ) -> Answer:
        """The answer to a first proposal without power flow, where a part of the own loads has one."""
        part = self._beginning.where_solved(feeder, models, proposal)
        if part is None:
            raise error
        return Answer(
            violations=(str(error),),
            flags=(f"{error}; the market begins at {_times(part)}the LAMs' own loads instead",),
            model=self._joined(models, proposal, feeder.positions()),
        )

    def ahead(self, feeder: Feeder, proposal: Proposal) -> Model:
        """Linear model where powers of a later interval are expected, with controls where these bring them.

        Nothing is judged, and the controls stand afterwards where they stood.

        Raises
        ------
        PowerFlowError
            There is no power flow.
        """
        now = self._under_events(feeder)
        proposal = _fed(proposal, now.fed())
        start = now.positions()
        models = TickModels(now.layout, self.rules.limits)
        try:
            if self.rules.controls_act:
                state = now.act(lambda: self._solve(now, proposal), _REST_S).last
            else:
                state = self._solve(now, proposal)
            where = now.positions()
            models.see(where, state, proposal.net_kw, proposal.set_kvar(self.rules.reactive))
            models.renew(where, self._linearise(now, proposal, None))
            return self._joined(models, proposal, where)
        finally:
            if now.positions() != start:
                now.put(start)

    def meter(
        self,
        feeder: Feeder,
        net_kw: Floats,
        net_kvar: Floats,
        cleared: tuple[Floats, Floats] | None = None,
    ) -> Physics:
        """Let an interval pass at metered power ``(M,)`` [kW, kvar]; controls act and stay.

        ``cleared`` are the powers that the market cleared, for the record; without them it holds the metered.

        Raises
        ------
        PowerFlowError
            It has no power flow.
        """
        now = self._under_events(feeder)

        def solve() -> AcState:
            return self._droop(now, net_kw, net_kvar)[0]

        if self.rules.controls_act:
            self._at_rest = True
            run = now.act(solve, self.rules.interval_s)
        else:
            run = ControlRun(self.rules.interval_s, ((0.0, solve()),))
        judged = check(run.last, None, self.rules.limits)
        return Physics(
            run=run,
            net_kvar=run.last.net_kvar,
            violations=tuple(map(str, judged.violations)),
            flags=tuple(hunting_flags(run)),
            violation_hours=violation_hours(run, self.rules.limits, now.layout.branch_base_kv),
            record=now.record((net_kw, run.last.net_kvar), cleared or (net_kw, net_kvar)),
        )

    def _start(self, feeder: Feeder) -> Positions:
        """Where controls stood when the feeder was opened."""
        self._under_events(feeder)
        assert self._stood is not None
        return self._stood

    def _under_events(self, feeder: Feeder) -> FeederUnderEvents:
        if self._feeder is None:
            self._stood = feeder.positions()
            self._feeder = FeederUnderEvents(feeder)
        return self._feeder

    def _models_of(self, feeder: FeederUnderEvents) -> TickModels:
        if self._models is None:
            self._models = TickModels(feeder.layout, self.rules.limits)
        return self._models

    def _come_to_rest(self, feeder: FeederUnderEvents, proposal: Proposal) -> None:
        """Let controls come to rest once, at the first proposal within ratings; before, taps mean nothing.

        Where a run starts, nets at prices that nobody has cleared may be far beyond what the feeder carries.
        """
        if self._at_rest or not self.rules.controls_act:
            return
        try:
            first = self._check(self._solve(feeder, proposal), proposal, None)
        except PowerFlowError:
            return
        if not first.congestion_violation_pct:
            self._at_rest = True
            feeder.act(lambda: self._solve(feeder, proposal), _REST_S)

    def _solve(self, feeder: FeederUnderEvents, proposal: Proposal) -> AcState:
        kvar = proposal.load_kvar
        if self.rules.reactive == "market":
            return feeder.solve(proposal.net_kw, kvar + proposal.inverter_kvar)
        return self._droop(feeder, proposal.net_kw, kvar)[0]

    def _droop(self, feeder: FeederUnderEvents, net_kw: Floats, load_kvar: Floats) -> tuple[AcState, Floats]:
        """State with the inverters' droop at work, where they have one."""
        if self.rules.reactive != "volt-var":
            return feeder.solve(net_kw, load_kvar), np.zeros_like(load_kvar)
        return voltvar.solve_with_droop(feeder.solve, self._inverters(feeder), net_kw, load_kvar)

    def _inverters(self, feeder: FeederUnderEvents) -> voltvar.Droop:
        seen = voltvar.seen_by_lams(feeder.layout.lam_nodes, len(feeder.layout.nodes))
        return voltvar.Droop(self.rules.limit_kvar, seen, self.rules.curve_pu)

    def _check(self, state: AcState, proposal: Proposal, point: Linearisation | None) -> Judgement:
        seen = replace(state, net_kw=proposal.net_kw, net_kvar=proposal.set_kvar(self.rules.reactive))
        return check(seen, point, self.rules.limits)

    def _remodel(
        self,
        feeder: FeederUnderEvents,
        models: TickModels,
        proposal: Proposal,
        start: Positions,
        judged: dict[Positions, Judgement],
    ) -> Model | None:
        """Linearise wherever no true model is at hand, and join all models of the tick."""
        untrue = [
            where
            for where, each in judged.items()
            if each.linear_error_pu is None or each.linear_error_pu > LINEAR_TOLERANCE_PU
        ]
        if not self.rules.network and not untrue:
            return None
        has_corners = self.rules.reactive == "volt-var" and proposal.round > 1
        stale = [where for where, each in judged.items() if where in untrue or each.violations]
        for where in stale:
            if where != feeder.positions():
                feeder.put(where)
            swings = models.swings(where, judged[where].linear_error_pu) or has_corners
            before = models.points.get(where) if swings else None
            models.renew(where, self._linearise(feeder, proposal, before))
        if feeder.positions() != start:
            feeder.put(start)
        return self._joined(models, proposal, start)

    def _linearise(
        self, feeder: FeederUnderEvents, proposal: Proposal, before: Linearisation | None
    ) -> Linearisation:
        """Model over what the market sets, inverters' droop included; half-way from ``before`` if given.

        Where tangents bend much, and at a corner of the droop, those on either side would follow each other
        for ever.
        """
        if before is not None:
            proposal = replace(proposal, net_kw=0.5 * (proposal.net_kw + before.net_kw))
        kvar = proposal.set_kvar(self.rules.reactive)
        model = feeder.linearise(proposal.net_kw, self._solve(feeder, proposal).net_kvar)
        if self.rules.reactive == "volt-var":
            model = voltvar.with_droop(model, self._inverters(feeder))
        return replace(model, net_kw=proposal.net_kw, net_kvar=kvar)

    def _joined(self, models: TickModels, proposal: Proposal, start: Positions) -> Model:
        """Rows of all models of the tick; head power as with the controls where they stand."""
        limit_kvar = self.rules.limit_kvar if self.rules.reactive == "market" else np.zeros(0)
        low = np.concatenate([proposal.low_kw, -limit_kvar])
        high = np.concatenate([proposal.high_kw, limit_kvar])
        rows, balance, offset_kw = models.rows(start, low, high)
        if not self.rules.network:
            rows = none_of(rows)
        return Model(balance, offset_kw, rows, limit_kvar, proposal.inverter_kvar)


def _fed(proposal: Proposal, fed: Floats) -> Proposal:
    """A proposal without the powers of LAMs that no source feeds."""
    return replace(proposal, **{name: getattr(proposal, name) * fed for name in _OVER_LAMS})


def _times(part: float) -> str:
    return "" if part == 1.0 else f"{part:g} times "
