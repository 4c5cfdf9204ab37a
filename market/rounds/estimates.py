"""What the receiver of bids believes its senders would do: a curve for each, learnt from their answers.

One class per form of bid. The same serve both layers: a LAM that hears its members, and the WAM that hears
its LAMs. Every sender's arithmetic is its own, so any number of operators gives the same bits.
"""

from __future__ import annotations

from typing import Literal, Protocol

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, join, take
from market.rounds.record import tolerance_of
from market.rounds.tangents import Tangents

CYCLES = 0.95
"""An answer that misses on the other side, and by more than this part of the last miss, is cycling."""

CREEPS = 0.5
"""An answer that misses on the same side, and by more than this part of the last miss, is creeping."""

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

    @property
    def damped(self) -> Bools:
        """Senders whose answers cycled and were damped, ``(n,)``."""
        ...

    @property
    def accelerated(self) -> Bools:
        """Senders whose answers crept and were accelerated, ``(n,)``."""
        ...

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:
        """Take in answers ``kw`` [kW] and slopes of senders ``who`` to ``price`` [$/kWh], all ``(m,)``."""
        ...

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Begin anew with the senders ``who``, whose ranges are now these, ``(m,)`` [kW]."""
        ...


def estimate_for(
    form: Form, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats, *, adapt: bool = True
) -> Estimate:
    """Belief for a form of bids that is told in rounds.

    Parameters
    ----------
    form
        ``"plain"`` or ``"slope"``; curves are told at once and need no estimate.
    slope
        What stands in where nothing is known: a_i N_i for a LAM, A for the WAM, ``(n,)`` [kW per $/kWh].
    low_kw, high_kw
        Senders' ranges, ``(n,)`` [kW].
    price
        Where a sender that was not heard yet is believed to be in the middle of its range, ``(n,)`` [$/kWh].
    adapt
        Whether plain bids are damped where they cycle and accelerated where they creep.
    """
    if form == "plain":
        return Lines(slope, low_kw, high_kw, price, adapt=adapt)
    return Tangents(slope, low_kw, high_kw, price)


class Lines:
    """Plain bids: a line of known slope through each sender's newest answer, which is its demand function.

    Answers that miss what was expected on one side and then as far on the other show a sender steeper than
    twice its line: prices would cycle or diverge. Answers that keep missing on one side show a line far too
    steep: prices would creep. Such a sender is believed by all its answers from then on, with slopes as seen
    between them, so that each answer narrows where the next may lie.

    Parameters
    ----------
    slope
        Slope of the bids' demand functions, ``(n,)`` > 0 [kW per $/kWh].
    low_kw, high_kw
        Senders' ranges, ``(n,)`` [kW].
    price
        Where a sender that was not heard yet is believed to be in the middle of its range, ``(n,)`` [$/kWh].
    adapt
        Whether cycling and creeping senders are treated otherwise.
    """

    def __init__(
        self, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats, *, adapt: bool = True
    ) -> None:
        n = slope.size
        self.slope = slope
        self.low_kw, self.high_kw = low_kw.copy(), high_kw.copy()
        self.adapt = adapt
        self.damped = np.zeros(n, dtype=bool)
        self.accelerated = np.zeros(n, dtype=bool)
        self._start = price
        self._price = np.full(n, np.nan)
        self._kw = np.full(n, np.nan)
        self._miss = np.zeros(n)
        self._memory = Tangents(slope, low_kw, high_kw, price)

    @property
    def fineness(self) -> Floats:
        """Part of any tolerance of powers that senders of their size may take, ``(n,)``."""
        return tolerance_of(self.low_kw, self.high_kw)

    @property
    def curves(self) -> Curves:
        """The lines between the ends of the senders' ranges, or what all answers tell."""
        price = np.where(np.isnan(self._price), self._start, self._price)
        kw = np.where(np.isnan(self._kw), 0.5 * (self.low_kw + self.high_kw), self._kw)
        ends = np.stack([self.high_kw, self.low_kw], axis=1)
        at = price[:, None] + (kw[:, None] - ends) / self.slope[:, None]
        lines = Curves(at.ravel(), ends.ravel(), 2 * np.arange(price.size + 1))
        remembers = self.damped | self.accelerated
        if not remembers.any():
            return lines
        return take(join([lines, self._memory.curves]), np.arange(price.size) + price.size * remembers)

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:  # noqa: ARG002
        """Take in answers; the slope of a plain bid is not told."""
        line = self.slope[who]
        moved = price - self._price[who]
        expected = np.clip(self._kw[who] - line * moved, self.low_kw[who], self.high_kw[who])
        miss, last = np.nan_to_num(kw - expected), self._miss[who]
        far = np.abs(kw - self._kw[who])
        seen = np.divide(far, np.abs(moved), out=line.copy(), where=np.abs(moved) > 0)
        self._memory.learn(who, price, kw, seen)
        if self.adapt:
            real = np.abs(miss) > NOISE_KW * self.fineness[who]
            self.damped[who] |= real & (miss * last < 0) & (np.abs(miss) > CYCLES * np.abs(last))
            self.accelerated[who] |= real & (miss * last > 0) & (np.abs(miss) > CREEPS * np.abs(last))
        self._miss[who] = miss
        self._price[who], self._kw[who] = price, kw

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Begin anew with some senders, whose ranges are others now."""
        self.low_kw[who], self.high_kw[who] = low_kw, high_kw
        self._price[who], self._kw[who], self._miss[who] = np.nan, np.nan, 0.0
        self.damped[who] = self.accelerated[who] = False
        self._memory.forget(who, low_kw, high_kw)
