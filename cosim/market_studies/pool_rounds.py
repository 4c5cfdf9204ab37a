"""The closed pool of quantity bidding in rounds of bids: as a market that they know, with their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.model.arrays import Floats
from market.model.case import Case, Grid
from market.model.response import disaggregate, supply_curves
from market.model.rule import DemandFunctionBidding
from market.rounds import CurveResponse, Round
from market.solver.clearing import Outcome, pool_members


def pool_as_case(case: Case) -> tuple[Case, CurveResponse]:
    """The closed pool of quantity bidding as a market that the rounds can negotiate.

    Without limits and losses the pool is a WAM whose grid sells nothing, and members with the utility behind
    them answer prices by curves (market.md, section 7).
    """
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    response = CurveResponse(members.charged(np.zeros(members.lams)).trades)
    asked = replace(
        case,
        rule=DemandFunctionBidding("price-taking"),
        # What a plain bid tells of: the steepest line that an answer can have.
        sensitivity=1.0 / case.slope,
        wam_sensitivity=float((case.members / case.slope).max()),
        grid=Grid(case.tariff.retail, case.tariff.feed_in, 0.0, 0.0),
        offset_kw=0.0,
    )
    return asked, response


@dataclass(frozen=True)
class PoolErrors:
    """As the fields of `TraceRow` of these names."""

    cost_error: float
    price_error: float
    wam_price_error: float


class PoolTrace:
    """`Trace` of members' cost in a pool; shared energy that does not balance is the utility's."""

    def __init__(self, case: Case, exact: Outcome) -> None:
        self.rows: list[PoolErrors] = []
        self._case, self._exact = case, exact
        self._supply = supply_curves(case.demand_kw, case.resources)
        self._members = pool_members(case, self._supply).charged(np.zeros(len(case.lam_id)))
        costs = np.abs(case.resources.cost(exact.output_kw)).sum()
        self._scale = float(costs + np.abs(case.tariff.bill(exact.utility_kw)).sum())
        self._cost = self._cost_of(exact.trade_kw)

    def __call__(self, state: Round) -> None:
        """Note the errors of a round."""
        self.rows.append(
            PoolErrors(
                abs(self._cost_of(state.trade_kw) - self._cost) / self._scale,
                float(np.abs(state.price - self._exact.price).max()),
                float(np.abs(state.wam_price - self._exact.wam.price).max()),
            )
        )

    def _cost_of(self, trade_kw: Floats) -> float:
        case = self._case
        flow_kw = self._members.flows(trade_kw)
        cost = case.resource_cost(disaggregate(self._supply, flow_kw))
        bills = case.tariff.bill(flow_kw - trade_kw).sum() + case.tariff.bill(trade_kw.sum())
        return cost + float(bills)
