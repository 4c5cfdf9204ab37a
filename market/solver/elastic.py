"""Limits that give way at a very high price, so that a dual always has an optimum, and what that shows.

A limit whose price is as high as it goes may be impossible to keep. The least total violation of all limits,
whatever it costs, then tells: either what cannot be met, or by how little the limits must give way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Grid, Network
from market.model.curves import Curves
from market.model.limits import MISSED_KW, explain, grid_excess, row_scale
from market.solver.dual import DualPoint, solve_dual
from market.solver.dual_function import CurveAnswers
from market.solver.staircase import Staircases

ELASTIC = 1e3
"""Price at which a limit gives way, in terms of the largest price of all curves."""

STIFF = 1e6
"""The same where limits can be met but a price must rise far beyond the curves' to tell."""

SUM = 4e-15
"""Part of its largest terms that rounding leaves of a sum."""


@dataclass(frozen=True)
class Limits:
    """Limits at the feeder head and of the rows that matter, ``m`` of these, over M net purchases.

    Attributes
    ----------
    network, grid
        All rows and the grid.
    relevant
        Rows that some admissible trade can bring to a limit.
    scale
        Units of the relevant rows per kW of their most sensitive LAM, ``(m,)``.
    A, base
        Head power and relevant rows: sensitivities ``(1 + m, M)`` and values at Q = 0 ``(1 + m,)`` [kW].
    power_kw
        Size of the largest sum that these limits are about [kW].
    """

    network: Network
    grid: Grid
    relevant: Bools
    scale: Floats
    A: Floats
    base: Floats
    power_kw: float

    @classmethod
    def of(cls, curves: Curves, network: Network, grid: Grid, balance: Floats, offset_kw: float) -> Limits:
        """Limits that matter to LAMs with these responses; other arguments as `clear_wam` has them."""
        middle = 0.5 * (curves.highest_kw + curves.lowest_kw)
        half = 0.5 * (curves.highest_kw - curves.lowest_kw)
        centre = network.base + network.matrix @ middle
        span = np.abs(network.matrix) @ half
        relevant = np.asarray((centre + span > network.upper) | (centre - span < network.lower))
        kept = network.take(relevant)
        scale = row_scale(kept)
        A = np.concatenate([balance[None, :], kept.matrix / scale[:, None]])
        base = np.concatenate([[offset_kw], kept.base / scale])
        reach = np.maximum(np.abs(curves.highest_kw), np.abs(curves.lowest_kw))
        power_kw = float(np.abs(A).max(axis=0) @ reach + np.abs(base).max())
        return cls(network, grid, relevant, scale, A, base, power_kw)

    @property
    def tolerance_kw(self) -> float:
        """What rounding leaves of sums of this size [kW]."""
        return 1e-12 * min(1.0, self.power_kw) + SUM * self.power_kw

    @property
    def negligible_kw(self) -> float:
        """What a limit may be missed by and still be kept [kW]."""
        return MISSED_KW * min(1.0, self.power_kw)

    def beyond_kw(self, kw: Floats) -> Floats:
        """How far powers ``(M,)`` are beyond the head's limits and the relevant rows, ``(1 + m,)`` [kW].

        Negative within limits.
        """
        value = self.base + self.A @ kw
        lower, upper = self._rows
        beyond = np.empty(value.size)
        beyond[0] = max(value[0] - self.grid.import_limit_kw, -self.grid.export_limit_kw - value[0])
        np.maximum(value[1:] - upper, lower - value[1:], out=beyond[1:])
        return beyond

    @cached_property
    def _rows(self) -> tuple[Floats, Floats]:
        """Lower and upper limits of the relevant rows, ``(m,)`` each [kW]."""
        return self.network.lower[self.relevant] / self.scale, self.network.upper[self.relevant] / self.scale

    def only(self, rows: Ints) -> Limits:
        """The head's limits and some of the relevant rows, ascending, ``(k,)``."""
        relevant = np.zeros_like(self.relevant)
        relevant[np.flatnonzero(self.relevant)[rows]] = True
        kept = np.append(0, 1 + rows)
        return replace(self, relevant=relevant, scale=self.scale[rows], A=self.A[kept], base=self.base[kept])

    def largest_price(self, curves: Curves) -> float:
        """The largest price that the grid or a curve names, at least 1 [$/kWh]."""
        grid = self.grid
        low, high = float(curves.price.min()), float(curves.price.max())
        return max(1.0, abs(grid.import_price), abs(grid.export_price), -low, high)

    def row_values(self, price: Mapping[str, float]) -> Floats:
        """Prices of the relevant rows, ``(m,)`` [$/kWh], from those of rows by name [$/h per row unit]."""
        values = np.zeros(self.scale.size)
        if price:
            names = map(self.network.row_name, np.flatnonzero(self.relevant).tolist())
            values[:] = [price.get(name, 0.0) for name in names]
        return values * self.scale

    def unresolved(self, enough_kw: float) -> str | None:
        """The row whose sensitivity is lost in the rounding of its own size, in words; None without one.

        Parameters
        ----------
        enough_kw
            Least difference that must be seen [kW].
        """
        size = np.abs(self.base[1:])
        # Where powers themselves are as large, no row is to blame.
        if not size.size or SUM * size.max() <= max(enough_kw, SUM * (self.power_kw - size.max())):
            return None
        worst = int(np.argmax(size))
        row = int(np.flatnonzero(self.relevant)[worst])
        return (
            f"network row {self.network.row_name(row)}: its largest sensitivity of "
            f"{self.scale[worst]:.3g} per kW is lost beside its base of {self.network.base[row]:.6g}; "
            "leave the row out or state both in other units"
        )

    def stairs(self, cap: float, *, felt: bool = True) -> Staircases:
        """The grid's staircase and the rows', elastic at a price of ``cap``, for the head as LAMs feel it.

        With ``felt`` False, a kW beyond the head's limit counts as much as one beyond a row's.
        """
        lower, upper = self._rows
        ones = np.ones(lower.size)
        kink = np.stack([-cap * ones, 0 * ones, cap * ones, np.inf * ones], axis=1)
        level = np.stack([-np.inf * ones, lower, upper, np.inf * ones, np.inf * ones], axis=1)
        grid = self.grid
        if felt:
            cap /= min(max(float(np.abs(self.A[0]).max()), 1e-9), 1.0)
        head_kink = [-cap, grid.export_price, grid.import_price, cap]
        head_level = [-np.inf, -grid.export_limit_kw, 0.0, grid.import_limit_kw, np.inf]
        return Staircases(np.concatenate([[head_kink], kink]), np.concatenate([[head_level], level]))

    def kept(self, curves: Curves) -> Limits:
        """Limits that can be met: the same, or wider by so little that it counts as nothing.

        Raises
        ------
        Infeasible
            A limit cannot be met by any trade; names the one missed most at the least total violation.
        """
        least = self.least_violation(curves)
        refusal = explain(self.network, self.grid, least.kw, float(least.value[0]), self.negligible_kw)
        if refusal is not None:
            raise refusal
        return self._widened(least)

    def least_violation(self, curves: Curves) -> DualPoint:
        """Outcome of least total violation within the LAMs' ranges, whatever it costs.

        Rows count by their most sensitive LAM's power; the first of the values is the head's. Every LAM's
        whole range is spread over prices as small as its part in what it moves most, so that no LAM's scale
        drowns another's.
        """
        part = np.abs(self.A).max(axis=0)
        spread = np.outer(np.where(part > 0, part, 1.0), [-1.0, 1.0]).ravel()
        ends = np.stack([curves.highest_kw, curves.lowest_kw], axis=1).ravel()
        free = Curves(spread, ends, 2 * np.arange(len(curves) + 1))
        indifferent = replace(self, grid=replace(self.grid, import_price=0.0, export_price=0.0))
        stairs = indifferent.stairs(STIFF, felt=False)
        return solve_dual(
            CurveAnswers(free), self.A, self.base, stairs, np.zeros(self.base.size), self.tolerance_kw
        )

    def _widened(self, least: DualPoint) -> Limits:
        """Limits that those missed at the least violation give way to, and no others."""
        # One row of a great size says what rounding leaves of all; none may give way by more than counts.
        slack_kw = min(self.tolerance_kw, 0.5 * self.negligible_kw)
        network, slack = self.network, slack_kw * row_scale(self.network)
        value = network.base + network.matrix @ least.kw
        lower = np.where(value < network.lower, value - slack, network.lower)
        upper = np.where(value > network.upper, value + slack, network.upper)
        beyond = grid_excess(self.grid, float(least.value[0]))
        import_kw = self.grid.import_limit_kw + (beyond + slack_kw if beyond > 0 else 0.0)
        export_kw = self.grid.export_limit_kw + (slack_kw - beyond if beyond < 0 else 0.0)
        return replace(
            self,
            network=replace(network, lower=lower, upper=upper),
            grid=replace(self.grid, import_limit_kw=import_kw, export_limit_kw=export_kw),
        )


def gives_way(stairs: Staircases, y: Floats) -> bool:
    """Whether any limit's price is as high as it goes: its limit is missed, or hard to keep."""
    return bool((np.abs(y) >= -stairs.kink[:, 0]).any())


def missed_kw(stairs: Staircases, value: Floats) -> float:
    """Most that a limit is missed by, which takes a price at the elastic cap [kW]."""
    over = value - np.where(stairs.kink[:, 3] < np.inf, stairs.level[:, 3], stairs.level[:, 2])
    return float(np.maximum(over, stairs.level[:, 1] - value).max(initial=0.0))
