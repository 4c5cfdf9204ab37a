"""What LAMs buy at given locational prices where their members' answers are linear.

A LAM that trades in an interval has the price ``wam price + side fee + slope net + offset``; one that rests
buys nothing, whatever its price is. With what local prices differ by from where the model is exact, ``x``,
and members' answers ``net = kw - fall x``, both say ``(fall + E) x = b``: ``E`` is one over the slope of who
trades, and next to nothing of who rests. A change of who trades changes one entry of ``E`` and so the
inverse by a matrix of rank one.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from market.horizon.lam import WamTerms
from market.horizon.turn import change
from market.model.arrays import Bools, Floats, Ints

CORES = os.cpu_count() or 1

CORRECTED = 1e-6
"""Part of the largest net purchase below which an accuracy asks for all digits of the answers."""


class Response:
    """Net purchases and local prices as linear functions of the locational prices, with sides held.

    Parameters
    ----------
    price, kw, fall
        Where the model is exact, net purchases there, ``(M, T)`` each, and their fall ``(M, T, T)``.
    resting
        Fall that is added where a LAM rests, ``(M,)`` [kW per $/kWh].
    terms
        What a LAM reckons with beside its locational price.
    side
        Who buys, sells or rests, ``(M, T)``.
    tolerance
        How far net purchases may be off [kW].

    Attributes
    ----------
    inverse
        Of ``fall + E``, ``(M, T, T)`` [$/kWh per kW].
    trades
        Where `E` is one over the slope, ``(M, T)``.
    ease
        ``E``, ``(M, T)`` [kW per $/kWh].
    """

    def __init__(
        self, price: Floats, kw: Floats, fall: Floats, resting: Floats, terms: WamTerms, side: Ints,
        tolerance: float,
    ) -> None:  # fmt: skip
        self._corrects = tolerance < CORRECTED * float(np.abs(kw).max(initial=0.0))
        self._now, self._kw, self._fall, self._terms = price, kw, fall, terms
        self._resting, self._trading = resting[:, None], 1.0 / terms.slope
        self._side, self.trades = side, self._who_trades(side)
        self.ease = np.where(self.trades, self._trading, self._resting)
        self.inverse = np.empty_like(fall)
        with ThreadPoolExecutor(CORES) as cores:
            list(cores.map(self._invert, np.array_split(np.arange(len(kw)), min(CORES, len(kw)))))

    def turn(self, side: Ints) -> None:
        """Hold other sides."""
        self._side, self.trades = side, self._who_trades(side)
        ease = np.where(self.trades, self._trading, self._resting)
        lams = np.flatnonzero((ease != self.ease).any(axis=1))
        with ThreadPoolExecutor(CORES) as cores:
            parts = np.array_split(lams, min(CORES, max(lams.size, 1)))
            unsure = list(cores.map(lambda some: change(some, self.inverse, self.ease, ease), parts))
        self.ease = ease
        anew = lams[np.concatenate(unsure)]
        if anew.size:
            self._invert(anew)

    def _who_trades(self, side: Ints) -> Bools:
        return np.asarray((side != 0) | (self._terms.fee == 0))

    def _invert(self, lams: Ints) -> None:
        """Work out the inverses of some LAMs from their beginning."""
        system, each = self._fall[lams], np.arange(self._kw.shape[1])
        system[:, each, each] += self.ease[lams]
        self.inverse[lams] = np.linalg.inv(system)

    def at(self, wam_price: Floats) -> tuple[Floats, Floats]:
        """Local prices and net purchases, ``(M, T)`` each, at locational prices ``(M, T)``."""
        moved, _ = self._moved(wam_price)
        return self._now + moved, self._kw - times(self._fall, moved)

    def net_kw(self, wam_price: Floats) -> Floats:
        """Net purchases alone, less exact by the last digits of prices over the slopes; in less time."""
        moved, pulled = self._moved(wam_price)
        return self._kw - pulled + self.ease * moved

    def _moved(self, wam_price: Floats) -> tuple[Floats, Floats]:
        """What local prices differ by from where the model is exact, and ``b``.

        Where little may be off, corrected once by what the first answer misses: digits that changes of sides
        cost the inverse would else be missing from limits.
        """
        terms = self._terms
        rise = wam_price + self._side * terms.fee + terms.slope * self._kw + terms.offset - self._now
        pulled = np.where(self.trades, self.ease * rise, self._kw)
        moved = times(self.inverse, pulled)
        if not self._corrects:
            return moved, pulled
        missed = pulled - times(self._fall, moved) - self.ease * moved
        return moved + times(self.inverse, missed), pulled


def times(matrices: Floats, vectors: Floats) -> Floats:
    """Matrices ``(M, T, T)`` times vectors ``(M, T)``, one by one."""
    return np.asarray(np.matmul(matrices, vectors[:, :, None])[:, :, 0])
