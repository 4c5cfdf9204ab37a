"""What a proposal comes to by the rules of the feeder's operation: state, judgement, linear model."""

from dataclasses import replace

import numpy as np

from cosim.feeder import voltvar
from cosim.feeder.circuit import AcState, Floats
from cosim.feeder.controls import Positions
from cosim.feeder.dispatch import Model, OperatingRules, Proposal
from cosim.feeder.judgement import Judgement, check
from cosim.feeder.linear import Linearisation
from cosim.feeder.rows import none_of
from cosim.feeder.tick_models import TickModels
from cosim.feeder.under_events import FeederUnderEvents

_OVER_LAMS = ("net_kw", "load_kvar", "inverter_kvar", "low_kw", "high_kw")


class ProposalFlow:
    """Power flow and linear models of proposals, inverters' reactive power included.

    Parameters
    ----------
    rules
        What binds the feeder's operation.
    """

    def __init__(self, rules: OperatingRules) -> None:
        self.rules = rules

    def solve(self, feeder: FeederUnderEvents, proposal: Proposal) -> AcState:
        """State at a proposal; raises `PowerFlowError`."""
        kvar = proposal.load_kvar
        if self.rules.reactive == "market":
            return feeder.solve(proposal.net_kw, kvar + proposal.inverter_kvar)
        return self.at_power(feeder, proposal.net_kw, kvar)

    def at_power(self, feeder: FeederUnderEvents, net_kw: Floats, load_kvar: Floats) -> AcState:
        """State at powers ``(M,)`` [kW, kvar], the inverters' droop at work where they have one."""
        if self.rules.reactive != "volt-var":
            return feeder.solve(net_kw, load_kvar)
        return voltvar.solve_with_droop(feeder.solve, self._inverters(feeder), net_kw, load_kvar)[0]

    def check(self, state: AcState, proposal: Proposal, point: Linearisation | None) -> Judgement:
        """What a state says of its proposal, and of the model ``point`` behind it."""
        seen = replace(state, net_kw=proposal.net_kw, net_kvar=proposal.set_kvar(self.rules.reactive))
        return check(seen, point, self.rules.limits)

    def linearise(
        self, feeder: FeederUnderEvents, proposal: Proposal, before: Linearisation | None = None
    ) -> Linearisation:
        """Model over what the market sets, inverters' droop included; half-way from ``before`` if given.

        Where tangents bend much, and at a corner of the droop, those on either side would follow each other
        for ever.
        """
        if before is not None:
            proposal = replace(proposal, net_kw=0.5 * (proposal.net_kw + before.net_kw))
        kvar = proposal.set_kvar(self.rules.reactive)
        model = feeder.linearise(proposal.net_kw, self.solve(feeder, proposal).net_kvar)
        if self.rules.reactive == "volt-var":
            model = voltvar.with_droop(model, self._inverters(feeder))
        return replace(model, net_kw=proposal.net_kw, net_kvar=kvar)

    def joined(self, models: TickModels, proposal: Proposal, start: Positions) -> Model:
        """Rows of all models of the tick; head power as with the controls where they stand."""
        limit_kvar = self.rules.limit_kvar if self.rules.reactive == "market" else np.zeros(0)
        low = np.concatenate([proposal.low_kw, -limit_kvar])
        high = np.concatenate([proposal.high_kw, limit_kvar])
        rows, balance, offset_kw = models.rows(start, low, high)
        if not self.rules.network:
            rows = none_of(rows)
        return Model(balance, offset_kw, rows, limit_kvar, proposal.inverter_kvar)

    def _inverters(self, feeder: FeederUnderEvents) -> voltvar.Droop:
        seen = voltvar.seen_by_lams(feeder.layout.lam_nodes, len(feeder.layout.nodes))
        return voltvar.Droop(self.rules.limit_kvar, seen, self.rules.curve_pu)


def fed_part(proposal: Proposal, fed: Floats) -> Proposal:
    """A proposal without the powers of LAMs that no source feeds."""
    return replace(proposal, **{name: getattr(proposal, name) * fed for name in _OVER_LAMS})
