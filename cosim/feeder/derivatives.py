"""How a feeder's voltages, currents and head power change with its LAMs' powers: all at once, or row by row.

Both hold the derivatives along all kW, then all kvar of M LAMs, ``2 M`` directions. A small feeder's are one
matrix each; those of a feeder with thousands of LAMs would fill the memory, and a clearing asks for few rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.circuit import Complexes, Floats

Ints = NDArray[np.intp]


class Derivatives(Protocol):
    """Derivatives of n voltages [pu], b complex branch currents [A] and the power from the sources [kW].

    They are per kW and per kvar of M LAMs.
    """

    @property
    def is_whole(self) -> bool:
        """Whether all of them are at hand, so that rows cost nothing."""

    def find(self, nodes: Ints, branches: Ints) -> None:
        """Find rows of some voltages and currents, and the head's, that are about to be asked for."""

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """Rows of some voltages along the first ``count`` directions ``(k, count)``; along all without."""

    def seen(self, weights: sparse.csr_array) -> Floats:
        """Rows of weighted sums of voltages ``(k, 2 M)``, for weights ``(k, n)``."""

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """Rows of sums of complex voltages, nodes [pu] and neutrals [V] ``(k, 2 M)``.

        Complex weights ``(k, n + z)``, as `cosim.feeder.circuit.AcState.phasors`.
        """

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """The same of some currents."""

    def head(self, count: int | None = None) -> Floats:
        """Change of the power from the sources along the first ``count`` directions ``(count,)`` [kW]."""

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """Change of all voltages ``(n,)`` and currents ``(b,)`` along a change of all powers ``(2 M,)``."""


@dataclass(frozen=True)
class WholeDerivatives:
    """`Derivatives` as ``dv`` ``(n, 2 M)``, ``di`` ``(b, 2 M)``, ``dp`` ``(2 M,)``; few ask for phasors."""

    dv: Floats
    di: Complexes
    dp: Floats
    find_phasors: Callable[[sparse.csr_array], Complexes]

    @property
    def is_whole(self) -> bool:
        """All are at hand."""
        return True

    def find(self, nodes: Ints, branches: Ints) -> None:
        """See `Derivatives`: all are at hand."""

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        return self.dv[nodes][:, :count]

    def seen(self, weights: sparse.csr_array) -> Floats:
        """See `Derivatives`."""
        rows: Floats = weights @ self.dv
        return rows

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """See `Derivatives`."""
        return self.find_phasors(weights)

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """See `Derivatives`."""
        return self.di[branches][:, :count]

    def head(self, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        return self.dp[:count]

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """See `Derivatives`."""
        return self.dv @ change, self.di @ change


@dataclass(frozen=True)
class PerKw:
    """`Derivatives` per kW as matrices; few ask for any per kvar.

    Attributes
    ----------
    dv, di, dp
        Of voltages ``(n, M)``, currents ``(b, M)`` and head power ``(M,)``.
    find_whole
        Finds all of them but those of the head power, per kW and per kvar.
    rows
        The same row by row.
    """

    dv: Floats
    di: Complexes
    dp: Floats
    find_whole: Callable[[], tuple[Floats, Complexes]]
    rows: Derivatives

    @property
    def is_whole(self) -> bool:
        """All are at hand, or soon are."""
        return True

    @cached_property
    def whole(self) -> WholeDerivatives:
        """Those per kW and per kvar."""
        return WholeDerivatives(*self.find_whole(), self.head(), self.rows.phasors)

    def find(self, nodes: Ints, branches: Ints) -> None:
        """See `Derivatives`: all are at hand."""

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        if count is not None and count <= self.dv.shape[1]:
            return self.dv[nodes, :count]
        return self.whole.volts(nodes, count)

    def seen(self, weights: sparse.csr_array) -> Floats:
        """See `Derivatives`."""
        return self.whole.seen(weights)

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """See `Derivatives`."""
        return self.rows.phasors(weights)

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """See `Derivatives`."""
        if count is not None and count <= self.di.shape[1]:
            return self.di[branches, :count]
        return self.whole.currents(branches, count)

    def head(self, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        lams = len(self.dp)
        if count is not None and count <= lams:
            return self.dp[:count]
        return np.concatenate([self.dp, self.rows.head()[lams:]])[:count]

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """See `Derivatives`."""
        lams = self.dv.shape[1]
        if change[lams:].any():
            return self.whole.along(change)
        return self.dv @ change[:lams], self.di @ change[:lams]


@dataclass(frozen=True)
class Following:
    """Derivatives of a feeder in which reactive power follows all powers: ``dQ = follow [dP, dQ_given]``.

    Attributes
    ----------
    held
        The derivatives at held reactive power.
    follow
        kvar that follow ``(M, 2 M)``.
    """

    held: Derivatives
    follow: Floats

    @property
    def is_whole(self) -> bool:
        """As of the feeder whose reactive power is held."""
        return self.held.is_whole

    def find(self, nodes: Ints, branches: Ints) -> None:
        """See `Derivatives`."""
        self.held.find(nodes, branches)

    def volts(self, nodes: Ints, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        return self._mixed(self.held.volts(nodes), count)

    def seen(self, weights: sparse.csr_array) -> Floats:
        """See `Derivatives`."""
        return self._mixed(self.held.seen(weights))

    def phasors(self, weights: sparse.csr_array) -> Complexes:
        """See `Derivatives`."""
        return self._mixed(self.held.phasors(weights))

    def currents(self, branches: Ints, count: int | None = None) -> Complexes:
        """See `Derivatives`."""
        return self._mixed(self.held.currents(branches), count)

    def head(self, count: int | None = None) -> Floats:
        """See `Derivatives`."""
        head, lams = self.held.head(), len(self.follow)
        kw, kvar = head[:lams], head[lams:]
        ahead = kw + kvar @ self.follow[:, :lams], kvar + kvar @ self.follow[:, lams:]
        return np.concatenate(ahead)[:count]

    def along(self, change: Floats) -> tuple[Floats, Complexes]:
        """See `Derivatives`."""
        followed = change.copy()
        followed[len(self.follow) :] += self.follow @ change
        return self.held.along(followed)

    def _mixed(self, rows: np.ndarray, count: int | None = None) -> np.ndarray:
        return (rows + rows[:, len(self.follow) :] @ self.follow)[:, :count]
