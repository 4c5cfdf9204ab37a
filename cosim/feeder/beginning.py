"""Where the first linear model of an interval is taken: at its first proposal, or nearer to the limits.

Prices that nobody has cleared may lead far beyond what the feeder carries, or to where no power flow is. A
model there tells little of what keeps the limits, or there is none. A feeder is built to carry its LAMs'
own loads.
"""

from dataclasses import replace

from cosim.feeder.circuit import AcState, PowerFlowError
from cosim.feeder.dispatch import Proposal
from cosim.feeder.linear import Limited, Limits
from cosim.feeder.proposal_flow import ProposalFlow
from cosim.feeder.tick_models import TickModels
from cosim.feeder.under_events import FeederUnderEvents

_FAR, _EARLY = 100.0, 0.5
"""A state leads far beyond the limits that breaks one by so many tolerances, if the way to it keeps them for
less than this part."""

_PARTS = (1.0, 0.5, 0.2, 0.0)
"""Parts of the own loads at which a power flow is looked for."""


class Beginning:
    """Takes the first model of an interval where it is better not taken at the first proposal.

    Parameters
    ----------
    flow
        Power flow and linear models of proposals.
    """

    def __init__(self, flow: ProposalFlow) -> None:
        self._rules, self._flow = flow.rules, flow

    def as_opened(self, feeder: FeederUnderEvents, models: TickModels, proposal: Proposal) -> int:
        """Take the model that the feeder was opened with, where the proposal leads far by it.

        A large feeder has one, at its own loads, until controls or events have moved. No power flow is asked.

        Returns
        -------
        int
            How many limits the proposal breaks by that model; 0 where it was not taken.
        """
        # Droops and set-points move reactive power as well, and the model's phasors are those of its own.
        rules = self._rules
        if not rules.network or rules.reactive != "unity" or rules.limits.power_quality.is_asked:
            return 0
        model = feeder.opened_model()
        if model is None:
            return 0
        set_kvar = proposal.set_kvar(rules.reactive)
        point = replace(model.at_kvar(proposal.load_kvar), net_kvar=set_kvar)
        end = point.predict(proposal.net_kw)
        if not _leads_far(rules.limits, point, end):
            return 0
        where = feeder.positions()
        models.see(where, point, point.net_kw, set_kvar)
        models.renew(where, point)
        models.screen(proposal.net_kw, set_kvar)
        return rules.limits.broken(end)

    def nearer(
        self, feeder: FeederUnderEvents, models: TickModels, proposal: Proposal, state: AcState
    ) -> bool:
        """Take the model at the own loads, where the state of a proposal leads far; says whether it did.

        What the way to the proposal meets first is watched.
        """
        if not self._rules.network or self._rules.limits.worst(state.v_pu, state.current_a) <= _FAR:
            return False
        own = _at_part(feeder, proposal, 1.0)
        try:
            there = self._flow.solve(feeder, own)
        except PowerFlowError:
            return False
        if not _leads_far(self._rules.limits, there, state):
            return False
        self._take(feeder, models, own, there)
        models.screen(proposal.net_kw, proposal.set_kvar(self._rules.reactive))
        return True

    def where_solved(self, feeder: FeederUnderEvents, models: TickModels, proposal: Proposal) -> float | None:
        """Take the model at the largest of a few parts of the own loads that has a power flow.

        Returns
        -------
        float or None
            That part; ``None`` where none has one.
        """
        for part in _PARTS:
            at = _at_part(feeder, proposal, part)
            try:
                there = self._flow.solve(feeder, at)
            except PowerFlowError:
                continue
            self._take(feeder, models, at, there)
            return part
        return None

    def _take(self, feeder: FeederUnderEvents, models: TickModels, at: Proposal, state: AcState) -> None:
        where = feeder.positions()
        models.see(where, state, at.net_kw, at.set_kvar(self._rules.reactive))
        models.renew(where, self._flow.linearise(feeder, at))


def _at_part(feeder: FeederUnderEvents, proposal: Proposal, part: float) -> Proposal:
    """A proposal at a part of the LAMs' own loads."""
    return replace(proposal, net_kw=part * feeder.layout.spot_kw * feeder.fed())


def _leads_far(limits: Limits, start: Limited, end: Limited) -> bool:
    """Whether the straight way between two states leaves the limits early and ends far beyond them.

    Not where the first state breaks them as well, for then it is no nearer to them.
    """
    if limits.worst(end.v_pu, end.current_a) <= _FAR:
        return False
    return 0.0 < limits.part_within(start, end) < _EARLY
