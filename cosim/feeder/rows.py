"""Rows of a clearing and how they are made of linear quantities, complex ones within circles among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.linear import Kind, Linearisation

# Rows are kept unless they miss their limits by more than rounding could hide (in the row's unit).
_SCREENING_MARGIN = 1e-9


@dataclass(frozen=True)
class NetworkRows:
    """Rows ``lower <= base + matrix @ net_kw <= upper`` of the clearing, r of them.

    Attributes
    ----------
    name, kind
        Such as ``"83.1"`` and ``"voltage"``, or ``"line.l115.1 +30"`` (degrees from the present direction of
        the current) and ``"congestion"``.
    matrix
        Change of the row's value per kW of each LAM ``(r, M)``.
    base, lower, upper
        Value at zero net power and limits ``(r,)``, in pu for voltage, % of rating for congestion, % for
        unbalance and V for neutrals.
    """

    name: tuple[str, ...]
    kind: tuple[Kind, ...]
    matrix: Floats
    base: Floats
    lower: Floats
    upper: Floats


def join_rows(parts: Sequence[NetworkRows]) -> NetworkRows:
    """The rows of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return NetworkRows(
        name=tuple(chain.from_iterable(part.name for part in parts)),
        kind=tuple(chain.from_iterable(part.kind for part in parts)),
        matrix=np.concatenate([part.matrix for part in parts]),
        base=np.concatenate([part.base for part in parts]),
        lower=np.concatenate([part.lower for part in parts]),
        upper=np.concatenate([part.upper for part in parts]),
    )


def none_of(rows: NetworkRows) -> NetworkRows:
    """No rows, over the same LAMs."""
    nothing = np.zeros(0)
    return NetworkRows((), (), rows.matrix[:0], nothing, nothing, nothing)


@dataclass(frozen=True)
class Box:
    """Where powers may go, over as many of a model's directions as they have: all kW, or all kW and kvar."""

    at: Floats
    low: Floats
    high: Floats

    @classmethod
    def around(cls, lin: Linearisation, low: Floats, high: Floats) -> "Box":
        """The box between ``low`` and ``high``, seen from the point of a model."""
        return cls(np.concatenate([lin.net_kw, lin.net_kvar])[: len(low)], low, high)

    def reaches(self, value: Floats, change: Floats, lower: Floats, upper: Floats) -> NDArray[np.bool_]:
        """Which rows ``value + change @ (net - at)`` can leave their limits somewhere in the box."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        centre, span = value + change @ (middle - self.at), np.abs(change) @ half
        return (centre + span > upper - _SCREENING_MARGIN) | (centre - span < lower + _SCREENING_MARGIN)

    def rows(
        self,
        name: Callable[[int], str],
        kind: Kind,
        value: Floats,
        change: Floats,
        lower: Floats,
        upper: Floats,
    ) -> NetworkRows:
        """Rows of those of k real quantities that can leave their limits.

        Parameters
        ----------
        name, kind
            What they are, each by its place.
        value, change
            Their values at the point ``(k,)``, and change along the box's directions ``(k, D)``.
        lower, upper
            Their limits ``(k,)``.
        """
        reached = np.flatnonzero(self.reaches(value, change, lower, upper))
        matrix = change[reached]
        return NetworkRows(
            name=tuple(name(row) for row in reached.tolist()),
            kind=(kind,) * reached.size,
            matrix=matrix,
            base=value[reached] - matrix @ self.at,
            lower=lower[reached],
            upper=upper[reached],
        )


@dataclass(frozen=True)
class Circles:
    """Complex quantities whose magnitudes are limited, k of them.

    Attributes
    ----------
    name, kind
        What they are.
    present, change
        Their values at the point ``(k,)``, and change along a box's directions ``(k, D)``.
    radius, limit
        The limits of their magnitudes ``(k,)``, and what the rows call these limits.
    """

    name: Sequence[str]
    kind: Kind
    present: Complexes
    change: Complexes
    radius: Floats
    limit: float | Floats

    def rows(self, angles: Floats, box: Box) -> NetworkRows:
        """Facets around the circles at some angles from the present directions, each with its opposite.

        Magnitudes have a kink at zero, and no direction there; complex values are smooth everywhere.
        """
        near = np.flatnonzero(self._reachable(box))
        present, change = self.present[near], self.change[near]
        limit = np.broadcast_to(self.limit, self.radius.shape)[near]
        turn = (
            np.exp(-1j * (np.angle(present)[:, None] + angles[None, :]))
            * (limit / self.radius[near])[:, None]
        )
        value = np.real(turn * present[:, None]).ravel()
        along = np.real(turn[:, :, None] * change[:, None, :]).reshape(len(value), change.shape[1])
        full = np.repeat(limit, len(angles))
        # Of Python's own strings and numbers, which are ten times as quick to read one by one as an array's.
        names = [self.name[at] for at in near.tolist()]
        turns = [f" +{degrees:g}" for degrees in np.degrees(angles).tolist()]

        def name(row: int) -> str:
            quantity, turn = divmod(row, len(turns))
            return names[quantity] + turns[turn]

        return box.rows(name, self.kind, value, along, -full, full)

    def _reachable(self, box: Box) -> NDArray[np.bool_]:
        """Which can come near their limits at all, whatever their direction."""
        farthest = np.maximum(np.abs(box.low - box.at), np.abs(box.high - box.at))
        is_near: NDArray[np.bool_] = (
            np.abs(self.present) + np.abs(self.change) @ farthest > (1.0 - 1e-6) * self.radius
        )
        return is_near
