"""The least that each prosumer's own program can cost, bounded from below by its Lagrangian dual.

Written for the certificate, apart from everything that finds outcomes: no curves, no sorted vertices, but
one marginal value for each prosumer, at which the dual's value is a lower bound whatever it is. A best reply
tells the marginal value that proves it; where a reply does not, bisection finds the best one's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.case import Resources

BISECTIONS = 100

ROUNDING = 64.0 * float(np.finfo(np.float64).eps)
"""A bound may miss a best reply's cost by this part of the sums that make both."""

IDLE_KW = 1e-9
"""Trades and distances to a limit below this count as none when a reply is asked for its marginal value."""


@dataclass(frozen=True)
class Programs:
    """``n`` prosumers' programs: least of resource cost + fee |q| + curvature q^2 / 2 + linear q.

    The outputs x of a prosumer's resources are within their limits and add up with its trade q to its demand.

    Attributes
    ----------
    demand_kw
        Inflexible net demand, ``(n,)`` [kW].
    resources
        Their resources, ``(r,)``, in any order.
    curvature, linear, fee
        Of the trade, ``(n,)`` each, curvature and fee >= 0 [$/kWh per kW], [$/kWh], [$/kWh].
    utility
        What a utility pays and asks for a kWh, where it gives and takes what else is missing, ``(n,)`` each,
        the lower first [$/kWh]. Nobody then gains by a trade against its own flow, and none is looked for.
    """

    demand_kw: Floats
    resources: Resources
    curvature: Floats
    linear: Floats
    fee: Floats
    utility: tuple[Floats, Floats] | None = None

    @cached_property
    def range_kw(self) -> tuple[Floats, Floats]:
        """Least and most that each prosumer may trade, ``(n,)`` each [kW]."""
        low_kw = self.demand_kw - self._sum(self.resources.max_kw)
        high_kw = self.demand_kw - self._sum(self.resources.min_kw)
        if self.utility is None:
            return low_kw, high_kw
        return np.minimum(low_kw, 0.0), np.maximum(high_kw, 0.0)

    def cost(self, trade_kw: Floats, output_kw: Floats) -> Floats:
        """Cost of a reply, ``(n,)`` [$/h]."""
        own = self._sum(self.resources.cost(output_kw))
        if self.utility is not None:
            bought_kw = self.demand_kw - self._sum(output_kw) - trade_kw
            own += np.where(bought_kw > 0, self.utility[1], self.utility[0]) * bought_kw
        return own + self.fee * np.abs(trade_kw) + (0.5 * self.curvature * trade_kw + self.linear) * trade_kw

    def least(self, trade_kw: Floats, output_kw: Floats) -> tuple[Floats, Floats]:
        """Lower bounds of the programs' values.

        Parameters
        ----------
        trade_kw, output_kw
            Replies that may be the best, ``(n,)`` and ``(r,)`` [kW]; those that are save the search.

        Returns
        -------
        bound, rounding
            Bounds, and what the rounding of the sums that make them and a reply's cost may amount to,
            ``(n,)`` each [$/h].
        """
        nu = self._possible(self._told_by(trade_kw, output_kw))
        bound = self.dual(nu)
        low_kw, high_kw = self.range_kw
        held = self.cost(trade_kw, output_kw)
        # A marginal value near zero is still the difference of prices that have been rounded.
        prices = np.abs(self.linear) + self.curvature * np.abs(trade_kw) + self.fee + np.abs(nu)
        amounts = np.abs(self.demand_kw) + np.maximum(np.abs(low_kw), np.abs(high_kw))
        rounding = ROUNDING * (np.abs(held) + prices * amounts)
        loose = np.flatnonzero(~(held - bound <= rounding))
        if loose.size:
            bound[loose] = np.fmax(bound[loose], self._take(loose)._bisected())
        return bound, rounding

    def dual(self, nu: Floats) -> Floats:
        """Value of the dual at marginal values of the balances, ``(n,)`` [$/kWh]: a lower bound [$/h]."""
        resources = self.resources
        x, q = self._outputs(nu), self._trades(nu)
        net = resources.cost(x)
        net -= nu[resources.owner] * x
        value = self.fee * np.abs(q) + (0.5 * self.curvature * q + self.linear - nu) * q
        return np.asarray(nu * self.demand_kw + self._sum(net) + value)

    def _possible(self, nu: Floats) -> Floats:
        """Marginal values at which the utility's trade is bounded; beyond, the dual proves nothing."""
        if self.utility is None:
            return nu
        return np.asarray(np.minimum(np.maximum(nu, self.utility[0]), self.utility[1]))

    def _told_by(self, trade_kw: Floats, output_kw: Floats) -> Floats:
        """Marginal values that a reply tells if it is the best, ``(n,)`` [$/kWh].

        A trade tells its own. Within the fee's dead band the dearest resource that runs does: one above its
        lower limit asks for no less than its marginal cost, and all others for no more than that.
        """
        resources = self.resources
        slope = self.linear + self.curvature * trade_kw
        floor = slope + np.where(trade_kw > IDLE_KW, self.fee, -self.fee)
        roof = slope + np.where(trade_kw < -IDLE_KW, -self.fee, self.fee)
        runs = np.flatnonzero(
            (output_kw > resources.min_kw + IDLE_KW) & (np.abs(trade_kw) <= IDLE_KW)[resources.owner]
        )
        marginal = resources.cost_linear[runs] + resources.cost_quadratic[runs] * output_kw[runs]
        dearest = floor.copy()
        np.maximum.at(dearest, resources.owner[runs], marginal)
        return np.asarray(np.minimum(dearest, roof))

    def _bisected(self) -> Floats:
        """Bounds by bisection on the balance, to the last bits of the marginal value, ``(n,)`` [$/h]."""
        resources, owner = self.resources, self.resources.owner
        low_kw, high_kw = self.range_kw
        low = self.linear - self.fee + self.curvature * np.minimum(low_kw, 0.0)
        high = self.linear + self.fee + self.curvature * np.maximum(high_kw, 0.0)
        np.minimum.at(low, owner, resources.cost_linear + resources.cost_quadratic * resources.min_kw)
        np.maximum.at(high, owner, resources.cost_linear + resources.cost_quadratic * resources.max_kw)
        low, high = self._possible(low), self._possible(high)
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            if ((middle == low) | (middle == high)).all():
                break
            short = self._missing(middle) > 0
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        # Between two prices that a resource's step does not part, the balance is a line.
        at_low, at_high = self._missing(low), self._missing(high)
        fall = at_low - at_high
        part = np.divide(at_low, fall, out=np.zeros_like(low), where=fall > 0)
        crossing = low + np.minimum(np.maximum(part, 0.0), 1.0) * (high - low)
        return np.maximum(np.maximum(self.dual(low), self.dual(high)), self.dual(crossing))

    def _missing(self, nu: Floats) -> Floats:
        """What each prosumer's balance lacks at its marginal value, ``(n,)`` [kW]; it falls as that rises."""
        return self.demand_kw - self._sum(self._outputs(nu)) - self._trades(nu)

    def _outputs(self, nu: Floats) -> Floats:
        """What each resource gives for its prosumer's marginal value, ``(r,)`` [kW]."""
        resources = self.resources
        c = resources.cost_quadratic
        x = nu[resources.owner]
        x -= resources.cost_linear
        step = np.flatnonzero(c == 0)
        x[step] = np.copysign(np.inf, x[step])
        with np.errstate(over="ignore"):
            np.divide(x, c, out=x, where=c > 0)
        np.maximum(x, resources.min_kw, out=x)
        np.minimum(x, resources.max_kw, out=x)
        return x

    def _trades(self, nu: Floats) -> Floats:
        """What each prosumer trades at its marginal value, ``(n,)`` [kW]."""
        low_kw, high_kw = self.range_kw
        at = nu - self.linear
        beyond = at - np.minimum(np.maximum(at, -self.fee), self.fee)
        flat = np.flatnonzero(self.curvature == 0)
        with np.errstate(over="ignore"):
            q = np.divide(beyond, self.curvature, out=np.zeros_like(at), where=self.curvature > 0)
        q[flat] = np.where(beyond[flat] == 0, 0.0, np.copysign(np.inf, at[flat]))
        return np.minimum(np.maximum(q, low_kw), high_kw)

    def _sum(self, values: Floats) -> Floats:
        """Sums over each prosumer's resources, ``(n,)``."""
        return np.asarray(
            np.bincount(self.resources.owner, values, minlength=self.demand_kw.size), dtype=float
        )

    def _take(self, some: Ints) -> Programs:
        """The programs at some indices, ascending."""
        place = np.full(self.demand_kw.size, -1)
        place[some] = np.arange(some.size)
        owner = place[self.resources.owner]
        kept = np.flatnonzero(owner >= 0)
        columns = {name: values[kept] for name, values in vars(self.resources).items()}
        resources = replace(Resources(**columns), owner=owner[kept])
        utility = self.utility and (self.utility[0][some], self.utility[1][some])
        return Programs(
            self.demand_kw[some], resources, self.curvature[some], self.linear[some], self.fee[some], utility
        )
