"""Derivatives of a feeder of which a part, or nothing, is fed, as those of the whole feeder."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.derivatives import Derivatives, Ints


@dataclass(frozen=True)
class Spread:
    """Derivatives of a part of a feeder as those of the whole feeder, where the rest moves nothing.

    Attributes
    ----------
    part
        The derivatives of the part.
    nodes, branches, neutrals
        Places in the part of voltages ``(n,)``, branches ``(b,)``, neutrals ``(z,)``; -1 where it has none.
    lams, count
        Places of the part's LAMs among all M, and M.
    """

    part: Derivatives
    nodes: Ints
    branches: Ints
    neutrals: Ints
    lams: Ints
    count: int

    @property
    def is_whole(self) -> bool:
        """As of the part."""
        return self.part.is_whole

    def find(self, nodes: Ints, branches: Ints) -> None:
        """See `Derivatives`."""
        there = self.nodes[nodes], self.branches[branches]
        self.part.find(*(places[places >= 0] for places in there))

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        there = self.nodes[nodes] >= 0
        rows = self.part.volts(self.nodes[nodes][there], self._of_part(count))
        return self._wide(rows, there)[:, :count]

    def seen(self, weights: sparse.csr_array) -> Floats:
        """See `Derivatives`."""
        return self._wide(self.part.seen(_inside(weights, self.nodes)), np.ones(weights.shape[0], dtype=bool))

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """See `Derivatives`."""
        inside = _inside(weights, joined_places(self.nodes, self.neutrals))
        return self._wide(self.part.phasors(inside), np.ones(weights.shape[0], dtype=bool))

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """See `Derivatives`."""
        there = self.branches[branches] >= 0
        rows = self.part.currents(self.branches[branches][there], self._of_part(count))
        return self._wide(rows, there)[:, :count]

    def head(self, count: int | None = None) -> Floats:
        """See `Derivatives`; what the part does not have draws what it draws, without losses."""
        wide = np.concatenate([np.ones(self.count), np.zeros(self.count)])
        there = self.part.head(self._of_part(count))
        wide[self._columns[: len(there)]] = there
        return wide[:count]

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """See `Derivatives`."""
        dv, di = self.part.along(change[self._columns])
        return _at(self.nodes, dv), _at(self.branches, di)

    @property
    def _columns(self) -> Ints:
        return np.concatenate([self.lams, self.count + self.lams])

    def _of_part(self, count: int | None) -> int | None:
        """Directions of the part that the first ``count`` lie among: all kW, or all."""
        return len(self.lams) if count is not None and count <= self.count else None

    def _wide(self, rows: np.ndarray, there: NDArray[np.bool_]) -> np.ndarray:
        """Rows along as many of the part's directions as they have, along all of the feeder's."""
        wide = np.zeros((len(there), 2 * self.count), dtype=rows.dtype)
        wide[np.ix_(there, self._columns[: rows.shape[1]])] = rows
        return wide


@dataclass(frozen=True)
class Nothing:
    """Derivatives of a feeder in which nothing is fed: of what and for how many LAMs."""

    nodes: int
    branches: int
    lams: int

    @property
    def is_whole(self) -> bool:
        """All are known."""
        return True

    def find(self, nodes: Ints, branches: Ints) -> None:
        """See `Derivatives`: all are nothing."""

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        return np.zeros((len(nodes), 2 * self.lams))[:, :count]

    def seen(self, weights: sparse.csr_array) -> Floats:
        """See `Derivatives`."""
        return np.zeros((weights.shape[0], 2 * self.lams))

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """See `Derivatives`."""
        return np.zeros((weights.shape[0], 2 * self.lams), dtype=np.complex128)

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """See `Derivatives`."""
        return np.zeros((len(branches), 2 * self.lams), dtype=np.complex128)[:, :count]

    def head(self, count: int | None = None) -> Floats:
        """See `Derivatives`: what is drawn is drawn without losses."""
        return np.concatenate([np.ones(self.lams), np.zeros(self.lams)])[:count]

    def along(self, change: Floats) -> tuple[Floats, Complexes]:  # noqa: ARG002
        """See `Derivatives`."""
        return np.zeros(self.nodes), np.zeros(self.branches, dtype=np.complex128)


def _at(places: Ints, values: np.ndarray) -> np.ndarray:
    """Values at their places, 0 where there is none."""
    found = np.zeros(len(places), dtype=values.dtype)
    found[places >= 0] = values[places[places >= 0]]
    return found


def places_of(whole: tuple[str, ...], part: tuple[str, ...]) -> np.ndarray:
    """Place in ``part`` of each name of ``whole``, -1 where it has none."""
    at = {name: place for place, name in enumerate(part)}
    return np.array([at.get(name, -1) for name in whole], dtype=np.intp)


def spread_out(values: np.ndarray, places: np.ndarray, otherwise: float) -> np.ndarray:
    """Values at their places, along the first axis."""
    full = np.full((len(places), *values.shape[1:]), otherwise, dtype=values.dtype)
    full[places >= 0] = values[places[places >= 0]]
    return full


def joined_places(nodes: Ints, neutrals: Ints) -> Ints:
    """Place of each voltage and neutral of a whole among those of its part, one after the other."""
    return np.concatenate([nodes, np.where(neutrals >= 0, neutrals + nodes.max(initial=-1) + 1, -1)])


def _inside(weights: sparse.csr_array, places: Ints) -> sparse.csr_array:
    """Weights of a part's values, of those of the whole; what is not in the part moves nothing."""
    there = np.flatnonzero(places >= 0)
    return weights[:, there] @ _selection(places[there], int(places.max(initial=-1)) + 1)


def _selection(places: Ints, count: int) -> sparse.csr_array:
    """Rows that each pick one of ``count`` values."""
    ones = np.ones(len(places))
    return sparse.csr_array((ones, (np.arange(len(places)), places)), shape=(len(places), count))
