"""Hosting capacity by bus: how much PV in full sun a feeder takes at one bus, without and with a market.

Bisection on AC power flow, one LAM after the other, with controls held. Limits that are broken without any PV
count from where they stand. With the market, all LAMs may move a part of their load, and the capacity is the
largest at which a clearing is confirmed that curtails none of the PV.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from cosim.feeder.circuit import AcState, Floats, PowerFlowError
from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import check
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from market.errors import Infeasible, NotConverged
from market.model.case import Grid, Network
from market.model.curves import Curves
from market.solver.wam import clear_wam

_ROUNDS = 25
_INTERVAL_S = 900.0
_LOW_PRICE, _HIGH_PRICE = 0.05, 0.25


@dataclass(frozen=True)
class Hosting:
    """What one bus takes.

    Attributes
    ----------
    capacity_kw, with_market_kw
        Largest PV without and with the market [kW]; the second is ``None`` where it was not asked for.
    limited_by
        The limit that more PV breaks, in words; empty where the bound of the search was reached.
    """

    lam: str
    capacity_kw: float
    with_market_kw: float | None
    limited_by: str


@dataclass(frozen=True)
class HostingStudy:
    """A feeder and the state in which PV is added to it.

    Attributes
    ----------
    feeder, limits
        The feeder, M LAMs, and its limits.
    load
        Part of its own load that each LAM draws.
    flexible
        Part of this that LAMs may draw more or less with the market.
    most_kw
        Bound of the search [kW].
    """

    feeder: Feeder
    limits: Limits
    load: float
    flexible: float
    most_kw: float

    def of(self, lam: int, *, with_market: bool) -> Hosting:
        """Hosting capacity at one LAM."""
        limits = self._kept_without()
        broken = ""

        def fits(pv_kw: float) -> bool:
            nonlocal broken
            try:
                state = self._solved(lam, pv_kw)
            except PowerFlowError:
                broken = broken or "no power flow"
                return False
            violations = check(state, None, limits).violations
            broken = str(violations[0]) if violations else broken
            return not violations

        alone_kw = _bisect(fits, 0.0, self.most_kw)
        together_kw = None
        if with_market:
            operation = Operation(
                OperatingRules(limits, _INTERVAL_S, np.zeros_like(self.feeder.layout.spot_kw))
            )
            together_kw = _bisect(
                lambda pv_kw: self._is_confirmed(operation, lam, pv_kw), alone_kw, self.most_kw
            )
        limited_by = broken if alone_kw < self.most_kw else ""
        return Hosting(self.feeder.layout.lams[lam], alone_kw, together_kw, limited_by)

    def _solved(self, lam: int, pv_kw: float) -> AcState:
        load_kw = self._load_kw()
        kvar = load_kw * self.feeder.layout.tan_phi
        load_kw[lam] -= pv_kw
        return self.feeder.solve(load_kw, kvar)

    def _load_kw(self) -> Floats:
        return self.load * self.feeder.layout.spot_kw

    def _kept_without(self) -> Limits:
        """The limits, wider where they are broken without PV."""
        state = self._solved(0, 0.0)
        under, over, excess = self.limits.beyond(state.v_pu, state.current_a)
        return replace(
            self.limits,
            voltage_min_pu=self.limits.voltage_min_pu - under,
            voltage_max_pu=self.limits.voltage_max_pu + over,
            rating_a=self.limits.rating_a * (1.0 + excess),
        )

    def _is_confirmed(self, operation: Operation, lam: int, pv_kw: float) -> bool:
        """Whether a clearing with all of the PV is confirmed by AC power flow."""
        load_kw = self._load_kw()
        kvar, moves_kw = load_kw * self.feeder.layout.tan_phi, self.flexible * np.abs(load_kw)
        load_kw[lam] -= pv_kw
        low_kw, high_kw = load_kw - moves_kw, load_kw + moves_kw
        lams = len(load_kw)
        ends = np.stack([high_kw, low_kw], axis=1).ravel()
        curves = Curves(np.tile([_LOW_PRICE, _HIGH_PRICE], lams), ends, 2 * np.arange(lams + 1))
        far_kw = 10.0 * (float(np.abs(load_kw).sum()) + self.most_kw)
        grid = Grid(_HIGH_PRICE, _LOW_PRICE, far_kw, far_kw)
        net_kw = load_kw
        for round_ in range(_ROUNDS):
            try:
                proposal = Proposal(0, round_, net_kw, kvar, np.zeros(lams), low_kw, high_kw)
                answer = operation.judge(self.feeder, proposal)
                if answer.confirmed:
                    return True
                if answer.model is None:
                    return False
                rows = answer.model.rows
                network = Network(rows.matrix, rows.base, rows.lower, rows.upper, name=rows.name)
                model = answer.model
                net_kw = clear_wam(curves, network, grid, model.balance, model.offset_kw).net_kw
            except (PowerFlowError, Infeasible, NotConverged):
                return False
        return False


def rest(feeder: Feeder, load: float) -> None:
    """Let controls act on the load without PV for an hour, and stay."""
    net_kw = load * feeder.layout.spot_kw
    feeder.act(lambda: feeder.solve(net_kw, net_kw * feeder.layout.tan_phi), 3600.0)


def _bisect(fits: Callable[[float], bool], low_kw: float, high_kw: float) -> float:
    """The largest power that fits, to a hundredth of it, where ``low_kw`` does."""
    if fits(high_kw):
        return high_kw
    while high_kw - low_kw > max(0.01 * low_kw, 0.5):
        middle_kw = 0.5 * (low_kw + high_kw)
        if fits(middle_kw):
            low_kw = middle_kw
        else:
            high_kw = middle_kw
    return low_kw
