"""How rounds of bidding come nearer to the exact equilibrium: one row for each, kept as a table of text."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np

from market.model.arrays import Floats
from market.model.case import Case
from market.model.response import Supply, disaggregate, supply_curves
from market.rounds.negotiation import Round
from market.solver.clearing import Outcome, clear


@dataclass(frozen=True)
class TraceRow:
    """Distance from the exact equilibrium after members were asked once more.

    Attributes
    ----------
    round, wam_round
        Members' rounds so far, and the number of the WAM's round in which this one stands.
    cost_error
        Social cost of what members answer against that of the equilibrium, relative to the equilibrium's
        resource and grid costs, both taken as positive. What LAMs' members want beyond what was cleared is
        drawn from the grid at its prices.
    price_error, mean_price_error
        Largest and mean difference of local prices over the LAMs [$/kWh].
    wam_price_error
        Largest difference of DLMPs [$/kWh].
    net_error_kw
        Largest difference of a LAM's net purchase, as its members answer [kW].
    """

    round: int
    wam_round: int
    cost_error: float
    price_error: float
    mean_price_error: float
    wam_price_error: float
    net_error_kw: float


class Trace:
    """Collects rows; give it to ``negotiate`` as ``on_round``.

    Parameters
    ----------
    case
        The case that is negotiated, all of whose members have resources with quadratic cost.
    exact
        Its exact equilibrium, where the caller has it already.

    Raises
    ------
    Infeasible
        The case has no equilibrium; as ``market.solver.clearing.clear``.
    """

    def __init__(self, case: Case, exact: Outcome | None = None) -> None:
        self.rows: list[TraceRow] = []
        self._case = case
        self._supply = supply_curves(case.demand_kw, case.resources)
        self._exact = exact or clear(case)
        self._scale = _turnover(case, self._exact)

    def __call__(self, state: Round) -> None:
        """Add the row of a round."""
        exact = self._exact
        error = np.abs(state.price - exact.price)
        self.rows.append(
            TraceRow(
                round=state.lam,
                wam_round=state.wam,
                cost_error=abs(_cost(self._case, self._supply, state.flow_kw) - exact.social_cost)
                / self._scale,
                price_error=float(error.max()),
                mean_price_error=float(error.mean()),
                wam_price_error=float(np.abs(state.wam_price - exact.wam.price).max()),
                net_error_kw=float(np.abs(self._case.net_kw(state.trade_kw) - exact.wam.net_kw).max()),
            )
        )


def trace_csv(rows: Sequence[TraceRow]) -> str:
    """The rows with a header line, as comma-separated values."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(each.name for each in fields(TraceRow))
    writer.writerows(astuple(row) for row in rows)
    return text.getvalue()


def _cost(case: Case, supply: Supply, flow_kw: Floats) -> float:
    """Social cost of flows, whatever they add up to [$/h]."""
    output_kw = disaggregate(supply, flow_kw)
    return case.resource_cost(output_kw) + case.grid.cost(case.grid_kw(case.net_kw(flow_kw)))


def _turnover(case: Case, exact: Outcome) -> float:
    """Sum of the costs' sizes, so that gains and costs that cancel are no small number [$/h]."""
    costs = np.abs(case.resources.cost(exact.output_kw)).sum() + abs(case.grid.cost(exact.wam.grid_kw))
    return max(float(costs), 1e-9)
