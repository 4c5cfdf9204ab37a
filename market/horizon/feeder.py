"""Limits of the feeder in every interval: values, staircases, and what they miss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.horizon import allowed
from market.horizon.case import HorizonCase
from market.model.arrays import Bools, Floats, Ints
from market.model.case import Network
from market.model.limits import row_scale
from market.solver.elastic import ELASTIC
from market.solver.staircase import Staircases


@dataclass(frozen=True)
class FeederLimits:
    """Heads and rows of T intervals over M LAMs, one after the other, each interval's head first.

    Attributes
    ----------
    interval
        Interval of each limit, ``(n,)``.
    A, base
        Sensitivities ``(n, M)`` and values at Q = 0 ``(n,)``, rows in kW of their most sensitive LAM.
    scale
        Row units per kW, ``(n,)``; one for heads. Prices here are per kW: divided by it, per row unit.
    stairs
        n staircases, elastic.
    head
        Positions of the heads, ``(T,)``.
    allowed_kw
        By how much each may be missed at a search's end, ``(n,)``.
    alike
        Intervals whose limits are equal but for their base, one array for each kind.
    """

    interval: Ints
    A: Floats
    base: Floats
    scale: Floats
    stairs: Staircases
    head: Ints
    allowed_kw: Floats
    alike: tuple[Ints, ...]

    @classmethod
    def of(cls, case: HorizonCase, price_size: float) -> FeederLimits:
        """Limits of a case whose prices are of a size; they give way far beyond that."""
        cap = ELASTIC * max(1.0, price_size)
        parts = [_interval(case, t, cap) for t in range(len(case.intervals))]
        size = np.array([part[0].shape[0] for part in parts])
        interval = np.repeat(np.arange(len(parts)), size)
        A, base, scale, kink, level = (np.concatenate(column) for column in zip(*parts, strict=True))
        stairs = Staircases(kink, level)
        head = np.cumsum(size) - size
        allowed_kw = allowed.of_limits(case, interval, base)
        return cls(interval, A, base, scale, stairs, head, allowed_kw, _alike(case))

    def values(self, net_kw: Floats) -> Floats:
        """Values at net purchases ``(M, T)``, ``(n,)`` [kW]."""
        found = np.empty(self.base.size)
        for some in self.alike:
            begin = int(self.head[some[0]])
            rows = int(np.searchsorted(self.interval, some[0], side="right")) - begin
            each = self.head[some] + np.arange(rows)[:, None]
            found[each] = self.A[begin : begin + rows] @ net_kw[:, some]
        return np.asarray(self.base + found)

    def prices(self, y: Floats) -> Floats:
        """Locational prices that limits' prices make, ``(M, T)`` [$/kWh]."""
        found = np.zeros((self.head.size, self.A.shape[1]))
        some = np.flatnonzero(y)
        if some.size:
            here = self.interval[some]
            first = np.flatnonzero(np.diff(here, prepend=-1))
            found[here[first]] = np.add.reduceat(self.A[some] * y[some, None], first)
        return np.ascontiguousarray(found.T)

    def gave_way(self, y: Floats) -> Bools:
        """Limits whose prices are as high as they go, ``(n,)``."""
        return np.asarray(np.abs(y) >= -self.stairs.kink[:, 0])

    def beyond(self, net_kw: Floats, y: Floats) -> Floats:
        """How far values lie outside what the prices ``(n,)`` allow, + above, ``(n,)`` [kW]."""
        value = self.values(net_kw)
        low, high = self.stairs.admissible(y)
        return np.asarray(np.maximum(value - high, 0.0) - np.maximum(low - value, 0.0))

    def are_met(self, net_kw: Floats, y: Floats, rounding_kw: Floats) -> bool:
        """Whether limits are met at prices ``(n,)`` as exactly as the certificate asks.

        As in `market.analysis.measure.Measure`, misses of one interval also add up.

        Parameters
        ----------
        net_kw, rounding_kw
            Net purchases ``(M, T)``, and what rounding may make of each interval's, ``(T,)``.
        """
        missed = np.maximum(np.abs(self.beyond(net_kw, y)) - rounding_kw[self.interval], 0.0)
        part = np.divide(
            missed, self.allowed_kw, out=np.where(missed > 0, np.inf, 0.0), where=self.allowed_kw > 0
        )
        rows = np.diff(self.head, append=part.size)
        return bool(part.max() <= 1.0 and (np.add.reduceat(part, self.head) <= np.sqrt(rows)).all())


def _alike(case: HorizonCase) -> tuple[Ints, ...]:
    """Intervals of the same network and balance, one array for each."""
    found: dict[tuple[int, bytes], list[int]] = {}
    for t, one in enumerate(case.intervals):
        found.setdefault((id(one.network), one.balance.tobytes()), []).append(t)
    return tuple(np.array(some) for some in found.values())


def _interval(case: HorizonCase, t: int, cap: float) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Sensitivities, base, scale, kinks and levels of one interval."""
    interval = case.intervals[t]
    lams = len(interval.lam_id)
    network = interval.network or Network(np.zeros((0, lams)), np.zeros(0), np.zeros(0), np.zeros(0))
    scale, grid = row_scale(network), interval.grid
    ones, inf = np.ones(scale.size), np.inf * np.ones(scale.size)
    kink = np.stack([-cap * ones, 0 * ones, cap * ones, inf], axis=1)
    level = np.stack([-inf, network.lower / scale, network.upper / scale, inf, inf], axis=1)
    head_kink = [-cap, grid.export_price, grid.import_price, cap]
    head_level = [-np.inf, -grid.export_limit_kw, 0.0, grid.import_limit_kw, np.inf]
    return (
        np.concatenate([interval.balance[None, :], network.matrix / scale[:, None]]),
        np.concatenate([[interval.offset_kw], network.base / scale]),
        np.concatenate([[1.0], scale]),
        np.concatenate([[head_kink], kink]),
        np.concatenate([[head_level], level]),
    )
