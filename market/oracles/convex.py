"""Members with convex costs of any kind, written in cvxpy: their best responses, one price at a time.

The market's own members have quadratic costs and answer with curves. Everything else that cvxpy can express
takes part in the rounds of bidding through the same port, `market.rounds.Response`, or as a sampled curve.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from market.errors import CaseError
from market.model.arrays import Floats
from market.model.curves import Curves, from_points

Cost = Callable[[cp.Variable], tuple[cp.Expression, list[cp.Constraint]]]
"""From a member's trade q [kW, + bought] to its cost g(q) [$/h] and its limits."""

TOLERANCES = {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-10, "tol_feas": 1e-10} | {
    "reduced_tol_gap_abs": 1e-8, "reduced_tol_gap_rel": 1e-8, "reduced_tol_feas": 1e-8
}  # fmt: skip
"""What the solver aims at, and what it may stop at where rounding keeps it from more."""

DIFFERENCE = 1e-4
"""Price step over which a slope is measured [$/kWh]: far above the solver's noise."""

WIDEST = 1e4
"""Prices beyond this [$/kWh] are not asked when a response is sampled."""

NARROWEST = 1e-7
"""Prices nearer than this [$/kWh] are the two sides of a jump."""

AT_ONCE = (0.25, 0.5, 0.75)
"""Where between two samples a straight line is checked; one place alone would miss an even bend."""


@dataclass(frozen=True)
class _Member:
    """One member's problem, compiled once and solved for many prices."""

    problem: cp.Problem
    price: cp.Parameter
    trade: cp.Variable


class ConvexResponse:
    """Best responses of ``n`` members to their local prices: ``market.rounds.Response``.

    Each minimises ``g(q) + lambda q + fee |q| + slope q^2 / 2`` within its limits (docs/market.md, (2.4)).

    Parameters
    ----------
    costs
        One cost and its limits for each member; the limits must bound the trade on both sides.
    slope
        Price slope k that each member anticipates, ``(n,)`` >= 0 [$/kWh per kW].
    fee
        Fee delta on power bought or sold, ``(n,)`` >= 0 [$/kWh].

    Raises
    ------
    CaseError
        A cost is not convex, or its limits contradict each other or leave the trade unbounded; names its
        position.
    """

    def __init__(self, costs: Sequence[Cost], slope: Floats, fee: Floats) -> None:
        self._members: list[_Member] = []
        low, high = np.zeros(len(costs)), np.zeros(len(costs))
        for i, cost in enumerate(costs):
            trade, price = cp.Variable(), cp.Parameter()
            own, limits = cost(trade)
            for ends, sign in ((low, 1.0), (high, -1.0)):
                ends[i] = sign * _solve(cp.Problem(cp.Minimize(sign * trade), limits), f"cost {i}")
            if not own.is_convex():
                raise CaseError(f"cost {i}: not convex by cvxpy's rules; write it with convex atoms")
            strategic = fee[i] * cp.abs(trade) + 0.5 * slope[i] * cp.square(trade)
            total = cp.Minimize(own + price * trade + strategic)
            self._members.append(_Member(cp.Problem(total, limits), price, trade))
        self.lowest_kw, self.highest_kw = low, high
        self._asked = np.full(len(costs), np.nan)
        self._answer = np.zeros((2, len(costs)))

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """Trades [kW] and slopes [kW per $/kWh] at one price per member, ``(n,)`` each.

        A member that is asked its last price again answers from memory.
        """
        for i in np.flatnonzero(price != self._asked).tolist():
            here, beyond = (self._trade(i, float(price[i]) + step) for step in (0.0, DIFFERENCE))
            self._answer[:, i] = here, max(here - beyond, 0.0) / DIFFERENCE
            self._asked[i] = price[i]
        kw, slope = self._answer.copy()
        return kw, slope

    def curves(self, tolerance_kw: float = 1e-4) -> Curves:
        """The responses as piecewise-linear curves, for bids that tell the whole curve.

        Between samples a line is accepted where it misses the response by at most ``tolerance_kw`` at three
        prices inside; otherwise the gap is halved, down to ``NARROWEST``.
        """
        return from_points([self._sampled(i, tolerance_kw) for i in range(len(self._members))])

    def _trade(self, i: int, price: float) -> float:
        member = self._members[i]
        member.price.value = price
        _solve(member.problem, f"cost {i}")
        trade = float(np.asarray(member.trade.value))
        return float(min(max(trade, self.lowest_kw[i]), self.highest_kw[i]))

    def _sampled(self, i: int, tolerance_kw: float) -> tuple[Floats, Floats]:
        """Prices, and powers that do not rise with them, of one member."""
        found: dict[float, float] = {}

        def ask(price: float) -> float:
            if price not in found:
                found[price] = self._trade(i, price)
            return found[price]

        kept = {end: ask(end) for end in self._window(i, ask, tolerance_kw)}
        gaps = [(min(kept), max(kept))]
        while gaps:
            low, high = gaps.pop()
            fall, width = ask(high) - ask(low), high - low
            if -fall <= tolerance_kw or width <= NARROWEST:
                continue
            line = (abs(ask(low + part * width) - ask(low) - part * fall) for part in AT_ONCE)
            if max(line) > tolerance_kw:
                middle = 0.5 * (low + high)
                kept[middle] = ask(middle)
                gaps += [(low, middle), (middle, high)]
        price = np.array(sorted(kept))
        # The solver's noise may let a power rise by its last digits.
        return price, np.minimum.accumulate(np.array([kept[each] for each in price.tolist()]))

    def _window(self, i: int, ask: Callable[[float], float], tolerance_kw: float) -> tuple[float, float]:
        """Prices at which a member is at the ends of its range, or that nobody would ask."""
        ends = []
        for sign, end in ((-1.0, self.highest_kw[i]), (1.0, self.lowest_kw[i])):
            reach = 1.0
            while abs(ask(sign * reach) - end) > tolerance_kw and reach < WIDEST:
                reach *= 2.0
            ends.append(sign * reach)
        return ends[0], ends[1]


def _solve(problem: cp.Problem, name: str) -> float:
    """Optimal value of a member's problem; raises ``CaseError`` where it has none."""
    try:
        with warnings.catch_warnings():
            # The solver says so where it ends at the second of its tolerances.
            warnings.simplefilter("ignore", UserWarning)
            problem.solve(solver=cp.CLARABEL, **TOLERANCES)
    except cp.error.DCPError as error:
        raise CaseError(f"{name}: its limits are not convex by cvxpy's rules; rewrite them") from error
    except cp.error.SolverError as error:
        raise CaseError(f"{name}: the solver failed; check its limits and scales") from error
    if not problem.status.startswith("optimal"):
        if "unbounded" in problem.status:
            raise CaseError(f"{name}: the trade has no bound; limit the trade on both sides")
        raise CaseError(f"{name}: no trade is possible; its limits contradict each other")
    return float(problem.value)
