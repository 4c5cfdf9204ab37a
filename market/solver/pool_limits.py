"""The closed pool within limits of the feeder: prices of shared energy, of the head's limit and of rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.curves import Curves, shift
from market.model.limits import MISSED_KW
from market.solver.damped_answers import DampedAnswers, Damping
from market.solver.dual import DualPoint, solve_dual
from market.solver.dual_function import EPS, Dual
from market.solver.elastic import ELASTIC, STIFF, Limits, gives_way, missed_kw
from market.solver.exact_pool import exact_point
from market.solver.pool_answers import PoolAnswers
from market.solver.pool_members import EDGE, PoolMembers
from market.solver.staircase import Staircases
from market.solver.wam import CONVERGED_KW, PATIENCE, UNRESOLVED_KW
from market.solver.watched import among_all, watched, watched_too

PROXIMAL = 1e-4
"""Part of the utility's price by which a proximal step slopes a member's whole flow around its last one.

Every answer here asks all members: less slope would save proximal steps, and cost more answers in each.
"""

SHRINK = 0.25
"""Part of that slope that a step leaves to the next, lest flows that are worth nearly the same creep."""

LEAST = 1e-3
"""Part of the first slope below which it does not fall."""

PROXIMAL_STEPS = 60
"""Bound on proximal steps; some ten are usual."""

COARSER = (1.0, 1e5, 1e3)
"""Times of the slope with which steps begin, each where those before lead nowhere."""

REST = 1e-9
"""Part of the largest flow, and of 1 kW, by which flows at rest may still move."""

EASE = 0.8
"""Part of the dual's slope at which a step ends: further along it answers cost more than they bring."""


@dataclass(frozen=True)
class PoolPoint:
    """Prices and quantities of a pool.

    Attributes
    ----------
    net_kw, flow_kw
        What LAMs buy of each other, and what flows to them, ``(M,)`` each [kW].
    member_kw
        What flows to each member, ``(n,)`` [kW].
    pool_price, limit_price
        Price of shared energy, and of the head's limit and the relevant rows, ``(1 + m,)`` [$/kWh].
    """

    net_kw: Floats
    flow_kw: Floats
    member_kw: Floats
    pool_price: float
    limit_price: Floats
    iterations: int
    residual_kw: float


@dataclass(frozen=True)
class LimitedPool:
    """The pool within limits, by its dual: prices of shared energy, of the head's limit and of rows.

    Attributes
    ----------
    fixed
        Charge for losses, ``(M,)`` [$/kWh].
    exact
        What members answer, as they were asked last.
    is_elastic
        Whether limits give way where they would cost more than ``ELASTIC`` times the largest price.
    damping
        How charges rise with what flows, if they do.
    """

    members: PoolMembers
    limits: Limits
    fixed: Floats
    exact: PoolAnswers
    is_elastic: bool = False
    damping: Damping | None = None

    def solve(self, pool_price: float, row_price: Floats, flow_kw: Floats) -> PoolPoint:
        """Prices and quantities, from the pool's price and flows without limits.

        Parameters
        ----------
        row_price
            Where prices of the relevant rows may be, ``(m,)`` [$/kWh].

        Raises
        ------
        Infeasible, NotConverged
            As `clear_pool`.
        """
        limits, rows = self.limits, watched(self.limits, row_price, self.members.sums(flow_kw))
        if because := limits.unresolved(UNRESOLVED_KW):
            raise NotConverged(0, limits.tolerance_kw, because)
        iterations = 0
        while rows.size < row_price.size:
            few = replace(self, limits=limits.only(rows))
            found = few._among(pool_price, row_price[rows], flow_kw)
            if found is None:
                break
            iterations += found.iterations
            limit_price = among_all(rows, found.limit_price, row_price.size)
            more = watched_too(limits, rows, found.flow_kw)
            if more is None:
                return replace(found, limit_price=limit_price, iterations=iterations)
            pool_price, row_price, flow_kw, rows = found.pool_price, limit_price[1:], found.member_kw, more
        return self._all(pool_price, row_price, flow_kw, iterations)

    def _among(self, pool_price: float, row_price: Floats, flow_kw: Floats) -> PoolPoint | None:
        """Prices and quantities if limits are kept, or may give way; ``None`` where none are soon found."""
        stairs = self._stairs(ELASTIC * self._largest_price)
        try:
            point, member_kw = self._at(stairs, self._start(stairs, pool_price, row_price), flow_kw)
        except NotConverged:
            return None
        if point.residual_kw > MISSED_KW or (not self.is_elastic and gives_way(stairs, point.y)):
            return None
        return self._point(point, member_kw, 0.0)

    def _all(self, pool_price: float, row_price: Floats, flow_kw: Floats, iterations: int) -> PoolPoint:
        """Prices and quantities within all limits, as these can be kept or give way."""
        stairs = self._stairs(ELASTIC * self._largest_price)
        y = self._start(stairs, pool_price, row_price)
        point, member_kw = self._at(stairs, y, flow_kw)
        if not self.is_elastic and gives_way(stairs, point.y):
            kept = replace(self, limits=self.limits.kept(self.members.flow_range))
            stairs = kept._stairs(STIFF * self._largest_price)
            point, member_kw = kept._at(stairs, y, flow_kw)
        gave_kw = 0.0 if self.is_elastic else missed_kw(stairs, point.value)
        point = replace(point, iterations=iterations + point.iterations)
        return self._point(point, member_kw, gave_kw)

    @property
    def _largest_price(self) -> float:
        """The largest price that the utility or a member names, at least 1 [$/kWh]."""
        members = self.members
        return max(1.0, abs(members.tariff.retail), float(np.abs(members.supply.price).max()))

    def _start(self, stairs: Staircases, pool_price: float, row_price: Floats) -> Floats:
        """Prices to start from, ``(2 + m,)``."""
        y = np.concatenate([[pool_price, 0.0], row_price])
        return np.asarray(np.clip(y, stairs.kink[:, 0], -stairs.kink[:, 0]))

    def _point(self, point: DualPoint, member_kw: Floats, gave_kw: float) -> PoolPoint:
        """What a solution of the dual stands for, where limits gave way by so much."""
        left_kw = max(gave_kw, point.residual_kw)
        if left_kw > CONVERGED_KW:
            raise NotConverged(point.iterations, left_kw)
        own, traded, drawn = np.split(point.kw, 3)
        return PoolPoint(
            own + traded,
            own + drawn,
            member_kw,
            float(point.y[0]),
            point.y[1:],
            point.iterations,
            point.residual_kw,
        )

    def _stairs(self, cap: float) -> Staircases:
        """Nothing left over of shared energy, and limits that cost nothing until they bind."""
        tariff, limits = self.members.tariff, self.limits
        free = replace(limits, grid=replace(limits.grid, import_price=0.0, export_price=0.0)).stairs(cap)
        kink = [-cap, tariff.feed_in, tariff.retail, cap]
        level = [-np.inf, 0.0, 0.0, 0.0, np.inf]
        return Staircases(np.concatenate([[kink], free.kink]), np.concatenate([[level], free.level]))

    def _at(self, stairs: Staircases, y: Floats, flow_kw: Floats) -> tuple[DualPoint, Floats]:
        """Solve the dual; by proximal steps around flows where these jump, until they stay.

        Returns
        -------
        point, flow_kw
            The solution, and what flows to each member, ``(n,)`` [kW].
        """
        members = self.members
        start = DualPoint(y, flow_kw, flow_kw, np.inf, 0)
        if not members.has_jumps:
            answers = self._answers(members.supply)
            point = self._solved(answers, stairs, start)
            return point, answers.flows(point.y @ self._over_answers)
        supply = members.supply
        reach = np.maximum(np.abs(supply.highest_kw), np.abs(supply.lowest_kw))
        price = max(abs(members.tariff.retail), abs(members.tariff.feed_in))
        first = PROXIMAL * price / np.where(reach > 0, reach, 1.0)
        for times in COARSER:
            try:
                return self._at_rest(stairs, start, first, times * first)
            except NotConverged as failure:
                last = failure
        raise last

    def _at_rest(
        self, stairs: Staircases, start: DualPoint, first: Floats, slope: Floats
    ) -> tuple[DualPoint, Floats]:
        """Take proximal steps until flows stay, from a slope on; those at ``first`` are fine enough."""
        supply, point, flow_kw = self.members.supply, start, start.kw
        for _ in range(PROXIMAL_STEPS):
            answers = self._answers(shift(supply, slope, 0.0, flow_kw))
            point = self._solved(answers, stairs, point)
            if (found := self._exact_near(answers, stairs, point)) is not None:
                return found, answers.flows(found.y @ self._over_answers)
            last, flow_kw = flow_kw, answers.flows(point.y @ self._over_answers)
            moved_kw = float(np.abs(flow_kw - last).max())
            rest_kw = REST * (1.0 + float(np.abs(flow_kw).max()))
            # Nor can flows rest closer than what the last bits of their prices move.
            blur = EPS * float((np.abs(point.y) @ np.abs(self._over_answers)).max())
            if moved_kw <= max(rest_kw, blur / float(slope.min())):
                return point, flow_kw
            if point.iterations >= PATIENCE:
                break
            least = np.maximum(LEAST * first, np.minimum(blur / rest_kw, first))
            slope = np.maximum(SHRINK * slope, least)
        if moved_kw <= 0.1 * MISSED_KW:
            return point, flow_kw
        raise NotConverged(point.iterations, moved_kw, "flows of members do not come to rest within limits")

    def _exact_near(
        self, answers: PoolAnswers | DampedAnswers, stairs: Staircases, point: DualPoint
    ) -> DualPoint | None:
        """The solution itself, where a proximal step has come near enough."""
        if isinstance(answers, DampedAnswers):
            return None
        exact = self.exact.with_fixed(self.fixed, EDGE)
        dual = Dual(exact, self._over_answers, self._base, stairs)
        return exact_point(dual, exact, answers, point, self.limits.tolerance_kw)

    def _answers(self, supply: Curves) -> PoolAnswers | DampedAnswers:
        answers = PoolAnswers(self.members, supply, self.fixed, self.exact)
        return answers if self.damping is None else DampedAnswers(answers, self.damping)

    def _solved(
        self, answers: PoolAnswers | DampedAnswers, stairs: Staircases, start: DualPoint
    ) -> DualPoint:
        """Solve the dual from prices near the solution, or from further away where these lead nowhere."""

        def solved(*, near: bool) -> DualPoint:
            limits = self._over_answers, self._base, stairs
            tolerance = self.limits.tolerance_kw
            return solve_dual(answers, *limits, start.y, tolerance, near=near, ease=EASE, is_kept=True)

        point = solved(near=True)
        if point.residual_kw > MISSED_KW:
            point = solved(near=False)
        return replace(point, iterations=start.iterations + point.iterations)

    @cached_property
    def _base(self) -> Floats:
        """Values of the limits at zero, ``(2 + m,)`` [kW]."""
        return np.concatenate([[0.0], self.limits.base])

    @cached_property
    def _over_answers(self) -> Floats:
        """Limits over the three variables of each LAM, ``(2 + m, 3 M)``."""
        lams, rows = self.members.lams, self.limits.A
        ones, none = np.ones((1, lams)), np.zeros((1, lams))
        return np.block([[ones, ones, none], [rows, np.zeros_like(rows), rows]])
