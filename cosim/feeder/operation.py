"""How a feeder is operated: events happen, proposals are judged, and metered power is solved.

Everything here runs in the feeder's own thread; `cosim.feeder.service` speaks for it on the bus.
"""

from collections.abc import Sequence

from cosim.feeder.boundary import Boundary
from cosim.feeder.circuit import AcState, FeederError, Floats
from cosim.feeder.controls import ControlRun, Positions, hunting_flags
from cosim.feeder.dispatch import Answer, Model, OperatingRules, Physics, Proposal
from cosim.feeder.happenings import Happenings
from cosim.feeder.judgement import check, told
from cosim.feeder.judging import REST_S, Judge
from cosim.feeder.memory import Memory
from cosim.feeder.opendss import Feeder
from cosim.feeder.proposal_flow import ProposalFlow, fed_part
from cosim.feeder.settings import Event
from cosim.feeder.tick_models import TickModels
from cosim.feeder.under_events import FeederUnderEvents
from cosim.feeder.violation_hours import violation_hours
from cosim.feeder.watched import LimitNames


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
        self._stood: Positions | None = None
        self._happenings = Happenings(rules)
        self._flow = ProposalFlow(rules)
        self._judge = Judge(rules, self._flow)

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
        self._happenings.again(self._feeder, memory)
        self._feeder.put(where)
        self._judge.resume(models, is_at_rest=memory.at_rest)
        return self._feeder.unserved()

    def memory(self, feeder: Feeder, opened: int) -> Memory:
        """What the operation remembers from one interval to the next, ``opened`` being the last tick."""
        now = self._under_events(feeder)
        near = LimitNames.of(self._judge.models(now).carried(), now.layout)
        at_rest, asked = self._judge.is_at_rest, self._happenings.asked
        return Memory(opened, now.positions(), at_rest, asked, now.boundary, near)

    def judge(self, feeder: Feeder, proposal: Proposal) -> Answer:
        """Judge a proposal; see `cosim.feeder.judging.Judge.judge`, which may raise `PowerFlowError`."""
        return self._judge.judge(self._under_events(feeder), proposal)

    def ahead(self, feeder: Feeder, proposal: Proposal) -> Model:
        """Linear model where powers of a later interval are expected, with controls where these bring them.

        Nothing is judged, and the controls stand afterwards where they stood.

        Raises
        ------
        PowerFlowError
            There is no power flow.
        """
        now = self._under_events(feeder)
        proposal = fed_part(proposal, now.fed())
        start = now.positions()
        models = TickModels(now.layout, self.rules.limits)
        try:
            if self.rules.controls_act:
                state = now.act(lambda: self._flow.solve(now, proposal), REST_S).last
            else:
                state = self._flow.solve(now, proposal)
            where = now.positions()
            models.see(where, state, proposal.net_kw, proposal.set_kvar(self.rules.reactive))
            models.renew(where, self._flow.linearise(now, proposal))
            return self._flow.joined(models, proposal, where)
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
            return self._flow.at_power(now, net_kw, net_kvar)

        if self.rules.controls_act:
            self._judge.is_at_rest = True
            run = now.act(solve, self.rules.interval_s)
        else:
            run = ControlRun(self.rules.interval_s, ((0.0, solve()),))
        judged = check(run.last, None, self.rules.limits)
        return Physics(
            run=run,
            net_kvar=run.last.net_kvar,
            broken=told({"": judged}),
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
