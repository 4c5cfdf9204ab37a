"""Whether a proposal may be dispatched, and over which linear models the market clears again if not.

A dispatch must keep the limits when it begins, with all controls where they stand, and once regulators and
switched capacitors have answered it. Every position of the controls that a clearing has met has its linear
model, and all of them bound the next clearing, so that market and controls cannot chase each other.
"""

from cosim.feeder.beginning import Beginning
from cosim.feeder.circuit import PowerFlowError
from cosim.feeder.controls import Positions, hunting_flags
from cosim.feeder.dispatch import Answer, Model, OperatingRules, Proposal
from cosim.feeder.judgement import Broken, Judgement, told
from cosim.feeder.proposal_flow import ProposalFlow, fed_part
from cosim.feeder.tick_models import Screening, TickModels
from cosim.feeder.under_events import FeederUnderEvents
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

REST_S = 3600.0
"""Time in which controls come to rest [s]."""


class Judge:
    """Judges the proposals of an interval, one after the other.

    Parameters
    ----------
    rules
        What binds the feeder's operation.
    flow
        Power flow and models of proposals under these rules.

    Attributes
    ----------
    is_at_rest
        Whether controls have come to rest at a proposal, or at what was metered.
    """

    def __init__(self, rules: OperatingRules, flow: ProposalFlow) -> None:
        self.rules = rules
        self.is_at_rest = False
        self._flow = flow
        self._tick = -1
        self._models: TickModels | None = None
        self._beginning = Beginning(flow)

    def models(self, feeder: FeederUnderEvents) -> TickModels:
        """Linear models of the present interval, and the limits that are watched."""
        if self._models is None:
            self._models = TickModels(feeder.layout, self.rules.limits)
        return self._models

    def resume(self, models: TickModels, *, is_at_rest: bool) -> None:
        """Go on from what was remembered of an interval."""
        self._tick, self._models, self.is_at_rest = -1, models, is_at_rest

    def judge(self, now: FeederUnderEvents, proposal: Proposal) -> Answer:
        """Solve a proposal and judge it by the models of its tick; linearise where it is not confirmed.

        A proposal that is confirmed although it breaks limits of another position of the controls comes from
        a clearing that no trade could satisfy: there is a model without these for another one, once.

        An interval's first proposal that has no power flow is answered with a model at the LAMs' own loads.

        Raises
        ------
        PowerFlowError
            It has no power flow, and neither have own loads where it is the first.
        """
        proposal = fed_part(proposal, now.fed())
        models, set_powers = self.models(now), (proposal.net_kw, proposal.set_kvar(self.rules.reactive))
        if proposal.round == 0 or proposal.tick != self._tick:
            self._tick = proposal.tick
            models.begin(proposal.tick)
        is_first = not models.points
        broken = self._beginning.as_opened(now, models, proposal) if is_first else 0
        if broken:
            return Answer(model=self._flow.joined(models, proposal, now.positions()), unwatched=broken)
        self._come_to_rest(now, proposal)
        start = now.positions()
        screening = models.screen(*set_powers) if self.rules.network else Screening(0, is_enough=True)
        try:
            first = self._flow.solve(now, proposal) if screening.is_enough else None
        except PowerFlowError as error:
            if is_first:
                return self._without_power_flow(now, models, proposal, error)
            if not screening.missed:
                raise
            first = None
        if first is None:
            return Answer(model=self._flow.joined(models, proposal, start), unwatched=screening.missed)
        judged = {start: self._flow.check(first, proposal, models.points.get(start))}
        if is_first and self._beginning.nearer(now, models, proposal, first):
            return Answer(
                source_kw=first.source_kw,
                severity=judged[start].severity,
                broken=told({"": judged[start]}),
                model=self._flow.joined(models, proposal, start),
            )
        unwatched = models.see(start, first, *set_powers)
        confirmed, flags = judged[start].confirmed, []
        if confirmed and self.rules.controls_act:
            run = now.act(lambda: self._flow.solve(now, proposal), self.rules.interval_s)
            flags = hunting_flags(run)
            there = now.positions()
            if there != start:
                point = models.points.get(there)
                judged[there] = self._flow.check(run.last, proposal, point)
                unwatched += models.see(there, run.last, *set_powers)
                confirmed = not judged[there].violations and (point is None or judged[there].confirmed)
                now.put(start)
        model = None if confirmed else self._remodel(now, models, proposal, start, judged)
        if confirmed and models.forget_unmet(judged, *set_powers):
            model = self._flow.joined(models, proposal, start)
        errors = [each.linear_error_pu for each in judged.values() if each.linear_error_pu is not None]
        return Answer(
            source_kw=first.source_kw,
            confirmed=confirmed,
            linear_error_pu=max(errors, default=None),
            # A market that knows no network does not rank its clearings by what they do to it.
            severity=max(each.severity for each in judged.values()) if self.rules.network else 0.0,
            broken=told(
                {
                    "" if where == start else " once regulators have acted": each
                    for where, each in judged.items()
                }
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
            broken=Broken((str(error),)),
            flags=(f"{error}; the market begins at {_times(part)}the LAMs' own loads instead",),
            model=self._flow.joined(models, proposal, feeder.positions()),
        )

    def _come_to_rest(self, feeder: FeederUnderEvents, proposal: Proposal) -> None:
        """Let controls come to rest once, at the first proposal within ratings; before, taps mean nothing.

        Where a run starts, nets at prices that nobody has cleared may be far beyond what the feeder carries.
        """
        if self.is_at_rest or not self.rules.controls_act:
            return
        try:
            first = self._flow.check(self._flow.solve(feeder, proposal), proposal, None)
        except PowerFlowError:
            return
        if not first.congestion_violation_pct:
            self.is_at_rest = True
            feeder.act(lambda: self._flow.solve(feeder, proposal), REST_S)

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
            models.renew(where, self._flow.linearise(feeder, proposal, before))
        if feeder.positions() != start:
            feeder.put(start)
        return self._flow.joined(models, proposal, start)


def _times(part: float) -> str:
    return "" if part == 1.0 else f"{part:g} times "
