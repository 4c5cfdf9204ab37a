"""What the receiver of bids believes its senders would do: a curve for each, learnt from their answers.

One class per form of bid. The same serve both layers: a LAM that hears its members, and the WAM that hears
its LAMs. Every sender's arithmetic is its own, so any number of operators gives the same bits.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from market.model.arrays import Floats, Ints
from market.model.curves import Curves
from market.rounds.record import tolerance_of
from market.rounds.tangents import Tangents

NOISE_KW = 1e-8
"""Misses below this tell of rounding only."""

Form = Literal["plain", "slope", "curve"]


class Estimate(Protocol):
    """Belief about ``n`` senders."""

    @property
    def fineness(self) -> Floats:
        """Part of any tolerance of powers that senders of their size may take, ``(n,)``, 1 from 1 kW on."""
        ...

    @property
    def curves(self) -> Curves:
        """What each sender would do at each price, n curves within the senders' ranges."""
        ...

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:
        """Take in answers ``kw`` [kW] and slopes of senders ``who`` to ``price`` [$/kWh], all ``(m,)``."""
        ...

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Begin anew with the senders ``who``, whose ranges are now these, ``(m,)`` [kW]."""
        ...


def estimate_for(
    form: Form, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats, *, secants: bool = True
) -> Estimate:
    """Belief for a form of bids that comes in rounds.

    Parameters
    ----------
    form
        ``"plain"`` or ``"slope"``; curves come at once and need no estimate.
    slope
        What stands in where nothing is known: a_i N_i for a LAM, A for the WAM, ``(n,)`` [kW per $/kWh].
    low_kw, high_kw
        Senders' ranges, ``(n,)`` [kW].
    price
        Where a sender without an answer yet is taken to be in the middle of its range, ``(n,)`` [$/kWh].
    secants
        Whether slopes of plain bids are taken from answers instead of the demand function.
    """
    if form == "slope":
        return Tangents(slope, low_kw, high_kw, price)
    return (Secants if secants else Lines)(slope, low_kw, high_kw, price)


class Lines:
    """Plain bids left alone: a line of known slope through each sender's newest answer, its demand function.

    Where a sender is steeper than twice its line prices cycle or diverge; where it is far flatter they creep.

    Parameters
    ----------
    slope
        Slope of the bids' demand functions, ``(n,)`` > 0 [kW per $/kWh].
    low_kw, high_kw
        Senders' ranges, ``(n,)`` [kW].
    price
        Where a sender without an answer yet is taken to be in the middle of its range, ``(n,)`` [$/kWh].
    """

    def __init__(self, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats) -> None:
        self.slope = slope
        self.low_kw, self.high_kw = low_kw.copy(), high_kw.copy()
        self._start = price
        self._price, self._kw = price.copy(), 0.5 * (low_kw + high_kw)

    @property
    def fineness(self) -> Floats:
        """Part of any tolerance of powers that senders of their size may take, ``(n,)``."""
        return tolerance_of(self.low_kw, self.high_kw)

    @property
    def curves(self) -> Curves:
        """The lines between the ends of the senders' ranges."""
        ends = np.stack([self.high_kw, self.low_kw], axis=1)
        at = self._price[:, None] + (self._kw[:, None] - ends) / self.slope[:, None]
        return Curves(at.ravel(), ends.ravel(), 2 * np.arange(self._price.size + 1))

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:  # noqa: ARG002
        """Take in answers; a plain bid has no slope."""
        self._price[who], self._kw[who] = price, kw

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Begin anew with some senders, whose ranges are others now."""
        self.low_kw[who], self.high_kw[who] = low_kw, high_kw
        self._price[who], self._kw[who] = self._start[who], 0.5 * (low_kw + high_kw)


class Secants(Tangents):
    """Plain bids by all answers: like slope bids, with slopes as seen between an answer and the last one.

    A sender's first answer has the slope of its demand function.

    Parameters
    ----------
    slope
        Slope of the bids' demand functions, ``(n,)`` > 0 [kW per $/kWh].
    low_kw, high_kw, price
        As `Tangents` has them.
    """

    def __init__(self, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats) -> None:
        super().__init__(slope, low_kw, high_kw, price)
        self._line = slope
        self._price, self._kw = np.full(slope.size, np.nan), np.full(slope.size, np.nan)

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:  # noqa: ARG002
        """Take in answers; a plain bid has no slope."""
        moved = np.abs(price - self._price[who])
        seen = np.divide(np.abs(kw - self._kw[who]), moved, out=self._line[who], where=moved > 0)
        super().learn(who, price, kw, seen)
        self._price[who], self._kw[who] = price, kw

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Begin anew with some senders, whose ranges are others now."""
        super().forget(who, low_kw, high_kw)
        self._price[who] = self._kw[who] = np.nan
