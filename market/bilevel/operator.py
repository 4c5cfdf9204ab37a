"""The operator's own problem: each LAM's price that costs its members least, given how they answer it.

Read literally, the two-layer scheme is bilevel: an operator chooses LAMs' prices, members play their game at
them, and shared energy must balance within the feeder's limits (market.md, section 7). Here the utility's
prices carry no charges. Members' cost over a LAM's price is piecewise quadratic, with kinks where members
change what limits them, so the problem is not convex. Its Lagrangian dual is separable: each LAM's exact
least over all of its pieces gives a lower bound, without binaries. A local search over neighbouring pieces
gives an upper one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.bilevel.lam_cost import LamCosts, lam_costs
from market.errors import Infeasible, NotConverged
from market.model.arrays import Floats, Ints
from market.model.case import Case, Grid, Network
from market.model.curves import Curves
from market.model.response import supply_curves
from market.solver.clearing import Outcome, pool_members
from market.solver.wam import clear_wam

MOVES = 200
"""Bound on rounds of the local search."""

ASCENTS = 400
"""Steps towards the best bound."""

SAME = 1e-12
"""Part of a cost that counts as no gain."""


@dataclass(frozen=True)
class OperatorProblem:
    """What the operator could do for its members, beside an outcome.

    Attributes
    ----------
    cost
        Members' cost of the outcome: resources, the utility's bills and losses [$/h].
    best_known
        The least that was found for prices that keep all limits [$/h]; None where none was found.
    bound
        No prices cost less than this [$/h]; minus infinity where nothing bounds them.
    price
        Local prices of the best known, ``(M,)`` [$/kWh].
    """

    cost: float
    best_known: float | None
    bound: float
    price: Floats | None

    @property
    def most_gain(self) -> float:
        """What the operator could gain for its members at most [$/h]."""
        return max(self.cost - self.bound, 0.0)

    @property
    def known_gain(self) -> float | None:
        """What prices that were found gain [$/h]; below zero where they do worse than the outcome."""
        return None if self.best_known is None else self.cost - self.best_known


def operator_problem(case: Case, outcome: Outcome) -> OperatorProblem:
    """Bounds on what an operator could save its members who play by quantity.

    Parameters
    ----------
    case, outcome
        A case whose rule has a utility, and its exact clearing.
    """
    supply = supply_curves(case.demand_kw, case.resources)
    members = pool_members(case, supply)
    costs = lam_costs(case, supply, members)
    loss_price = outcome.wam.energy_price - case.grid.limit_price(outcome.wam.energy_price)
    problem = _Problem(case, costs, (case.balance - 1.0) * loss_price)
    bills = float(case.tariff.bill(outcome.utility_kw).sum())
    cost = case.resource_cost(outcome.output_kw) + bills + float(problem.loss @ outcome.wam.flow_kw)
    # At the pool's own price, without charges, shared energy balances on the pieces where the search begins.
    free = clear_wam(
        members.charged(np.zeros(members.lams)).total,
        None,
        Grid(case.tariff.retail, case.tariff.feed_in, 0.0, 0.0),
        np.ones(members.lams),
        0.0,
    )
    found = problem.searched(free.price)
    start = np.zeros(problem.rows.base.size) if found is None else found.row_price
    pool = outcome.wam.pool_price if found is None else found.pool_price
    target = cost if found is None else found.cost
    bound = problem.bounded(pool, start, target)
    if found is None:
        return OperatorProblem(cost, None, bound, None)
    return OperatorProblem(cost, found.cost, min(bound, found.cost), found.price)


@dataclass(frozen=True)
class _Local:
    """A local optimum: its cost [$/h], prices ``(M,)``, and the prices of the pool and of all rows."""

    cost: float
    price: Floats
    pool_price: float
    row_price: Floats


class _Problem:
    """The operator's problem over LAMs' prices.

    Parameters
    ----------
    loss
        What a kWh that flows to each LAM costs for losses, ``(M,)`` [$/kWh].
    """

    def __init__(self, case: Case, costs: LamCosts, loss: Floats) -> None:
        self.costs, self.loss = costs, loss
        head = Network(
            case.balance[None, :],
            np.array([case.offset_kw]),
            np.array([-case.grid.export_limit_kw]),
            np.array([case.grid.import_limit_kw]),
        )
        self.rows = head if case.network is None else _stacked(head, case.network)

    def searched(self, price: Floats) -> _Local | None:
        """Local optimum from prices ``(M,)``: exact on their pieces, then to neighbours while that helps."""
        costs = self.costs
        piece = costs.piece_at(price)
        best: _Local | None = None
        for _ in range(MOVES):
            found = self._on_pieces(piece)
            if found is None or (best is not None and found.cost >= best.cost - SAME * abs(best.cost)):
                break
            best = found
            charge = self.loss + found.row_price @ self.rows.matrix
            better = costs.neighbour(piece, found.price, found.pool_price, charge)
            if (better == piece).all():
                break
            piece = better
        return best

    def _on_pieces(self, piece: Ints) -> _Local | None:
        """Optimum with each LAM's price on a given piece; None where limits cannot be kept there."""
        costs, rows = self.costs, self.rows
        low, high, curvature, slope = costs.quadratic(piece, self.loss)
        net_kw, net_fall, flow_kw, flow_fall = costs.lines(piece)
        # A LAM's price is the variable: it falls along a line in what it is charged for.
        steep = np.maximum(curvature, 1e-9 * np.maximum(np.abs(slope), 1.0))
        ends = np.stack([high, low], axis=1)
        at = -(slope[:, None] + steep[:, None] * ends)
        curves = Curves(at.ravel(), ends.ravel(), 2 * np.arange(low.size + 1))
        network = Network(
            -rows.matrix * flow_fall, rows.base + rows.matrix @ flow_kw, rows.lower, rows.upper, name=()
        )
        closed = Grid(0.0, 0.0, 0.0, 0.0)
        try:
            found = clear_wam(curves, network, closed, -net_fall, float(net_kw.sum()))
        except (Infeasible, NotConverged):
            return None
        price = found.net_kw
        return _Local(
            costs.cost(piece, price) + float(self.loss @ (flow_kw - flow_fall * price)),
            price,
            found.energy_price,
            found.row_dual,
        )

    def bounded(self, pool_price: float, row_price: Floats, target: float) -> float:
        """Best lower bound found by steps along the dual's slope towards a target cost."""
        best = -np.inf
        rows = self.rows
        y = np.concatenate([[pool_price], row_price])
        part = 1.0
        for _ in range(ASCENTS):
            charge = self.loss + y[1:] @ rows.matrix
            least, net_kw, flow_kw = self.costs.least(y[0], charge)
            limit = np.where(y[1:] > 0, rows.upper, np.where(y[1:] < 0, rows.lower, rows.base))
            value = least + float(y[1:] @ (rows.base - limit))
            part = part if value > best else 0.9 * part
            best = max(best, value)
            at = rows.base + rows.matrix @ flow_kw
            over = at - np.where(y[1:] >= 0, rows.upper, rows.lower)
            free = y[1:] == 0
            over = np.where(free, np.maximum(at - rows.upper, 0.0) + np.minimum(at - rows.lower, 0.0), over)
            gradient = np.concatenate([[net_kw.sum()], over])
            size = float(gradient @ gradient)
            if size <= 0.0 or target - best <= SAME * abs(target):
                break
            step = part * (target - value) / size
            moved = y + step * gradient
            # A price of a limit does not change its sign in one step.
            moved[1:] = np.where(moved[1:] * y[1:] < 0, 0.0, moved[1:])
            y = moved
        return best


def _stacked(first: Network, second: Network) -> Network:
    """Rows of one network above those of another."""
    return Network(
        np.vstack([first.matrix, second.matrix]),
        np.concatenate([first.base, second.base]),
        np.concatenate([first.lower, second.lower]),
        np.concatenate([first.upper, second.upper]),
    )
