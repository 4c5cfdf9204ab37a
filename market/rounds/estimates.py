"""What the receiver of bids believes its senders would do: a curve for each, learnt from their answers.

One class per form of bid. The same serve both layers: a LAM that hears its members, and the WAM that hears
its LAMs. Every sender's arithmetic is its own, so any number of operators gives the same bits.
"""

from __future__ import annotations

import itertools
from typing import Literal, Protocol

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, join, starts, take

CYCLES = 0.95
"""An answer that misses on the other side, and by more than this part of the last miss, is cycling."""

CREEPS = 0.5
"""An answer that misses on the same side, and by more than this part of the last miss, is creeping."""

NOISE_KW = 1e-8
"""Misses below this tell of rounding only."""

TRUST = 0.02
"""A slope is believed this far beyond the last price that was answered [$/kWh]."""

SETTLED_PRICE = 1e-8
"""Prices this near [$/kWh] are the same."""

JUMP_PRICE = 1e-9
"""A power between the answers to two prices this near [$/kWh] lies in a jump of the sender's response."""

REACH = 0.1
"""Beyond, the rest of a sender's range is spread over at least this much, lest prices creep [$/kWh]."""

Form = Literal["plain", "slope", "curve"]


class Record:
    """What ``n`` senders answered, and whether it agrees with what is meant for them.

    Attributes
    ----------
    price, kw
        Prices asked last [$/kWh] and the answers to them [kW], ``(n,)`` each; NaN before the first.
    """

    def __init__(self, n: int) -> None:
        self.price, self.kw = np.full(n, np.nan), np.full(n, np.nan)
        self._who = np.zeros(0, dtype=np.intp)
        self._prices, self._kws = np.zeros(0), np.zeros(0)

    def keep(self, who: Ints, price: Floats, kw: Floats) -> None:
        """Take in the answers of the senders ``who``, ``(m,)`` each."""
        self.price[who], self.kw[who] = price, kw
        self._who = np.concatenate([self._who, who])
        self._prices = np.concatenate([self._prices, price])
        self._kws = np.concatenate([self._kws, kw])

    def forget(self, who: Ints) -> None:
        """Forget the answers of the senders ``who``."""
        self.price[who] = self.kw[who] = np.nan
        kept = ~np.isin(self._who, who)
        self._who, self._prices, self._kws = self._who[kept], self._prices[kept], self._kws[kept]

    def agrees(self, price: Floats, kw: Floats, tolerance_kw: Floats | float) -> Bools:
        """Whether senders would take ``kw`` at ``price``, ``(n,)`` each, as far as their answers tell.

        A power within a jump of a sender's response agrees where its answers, the last one among them, lie on
        both sides of it at nearly one price.
        """
        near = (np.abs(self.price - price) <= SETTLED_PRICE) & (np.abs(self.kw - kw) <= tolerance_kw)
        beside = np.abs(self._prices - self.price[self._who]) <= JUMP_PRICE
        who, answered = self._who[beside], self._kws[beside]
        most, least = np.full(kw.size, -np.inf), np.full(kw.size, np.inf)
        np.maximum.at(most, who, answered)
        np.minimum.at(least, who, answered)
        jumps = (least <= kw) & (kw <= most) & (np.abs(self.price - price) <= JUMP_PRICE)
        return np.asarray(near | jumps)


def tolerance_of(low_kw: Floats, high_kw: Floats) -> Floats:
    """Part of a tolerance for powers near 1 kW that senders with smaller ranges may take, ``(n,)``."""
    return np.minimum(np.maximum(np.abs(low_kw), np.abs(high_kw)), 1.0)


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


class Tangents:
    """Slope bids: every answer with its slope is a tangent of the sender's response, and all are kept.

    Between two answers the tangents meet where they can, else what they leave unexplained falls in the middle
    of the gap, so that the next answer shrinks it. Beyond the outermost answers a tangent is believed for a
    short way, and the fallback slope reaches for the end of the range.

    Parameters
    ----------
    slope
        Fallback slope, ``(n,)`` > 0 [kW per $/kWh].
    low_kw, high_kw
        Senders' ranges, ``(n,)`` [kW].
    price
        Where a sender that was not heard yet is believed to be in the middle of its range, ``(n,)`` [$/kWh].
    """

    def __init__(self, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats) -> None:
        self._fallback = slope
        self._start = price
        # Slopes are told, so nothing has to be found out by damping.
        self.damped = self.accelerated = np.zeros(slope.size, dtype=bool)
        self.low_kw, self.high_kw = low_kw.copy(), high_kw.copy()
        self._who = np.zeros(0, dtype=np.intp)
        self._price, self._kw, self._slope = np.zeros(0), np.zeros(0), np.zeros(0)

    @property
    def fineness(self) -> Floats:
        """Part of any tolerance of powers that senders of their size may take, ``(n,)``."""
        return tolerance_of(self.low_kw, self.high_kw)

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:
        """Keep answers, sorted by sender and price; an answer to a price asked before is the same answer."""
        all_who = np.concatenate([self._who, who])
        all_price = np.concatenate([self._price, price])
        order = np.lexsort((all_price, all_who))
        again = np.zeros(order.size, dtype=bool)
        again[1:] = (np.diff(all_who[order]) == 0) & (np.diff(all_price[order]) == 0)
        all_kw = np.concatenate([self._kw, kw])
        keep = order[~(again | self._beyond_an_end(all_who[order], all_kw[order]))]
        self._who, self._price = all_who[keep], all_price[keep]
        self._kw = all_kw[keep]
        self._slope = np.concatenate([self._slope, slope])[keep]
        for begin, end in itertools.pairwise(self._starts().tolist()):
            # Rounding of sums may leave an answer a last bit above the one before.
            np.minimum.accumulate(self._kw[begin:end], out=self._kw[begin:end])

    def _beyond_an_end(self, who: Ints, kw: Floats) -> Bools:
        """Answers, sorted, that repeat an end of the range further out than another one; they tell nothing.

        Were they kept, the belief would reach beyond them anew, and prices would drift away round by round.
        """
        beyond = np.zeros(who.size, dtype=bool)
        same = np.diff(who) == 0
        high, low = kw >= self.high_kw[who], kw <= self.low_kw[who]
        beyond[:-1] |= same & high[:-1] & high[1:]
        beyond[1:] |= same & low[:-1] & low[1:]
        return beyond

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Drop the answers of some senders, whose ranges are others now."""
        self.low_kw[who], self.high_kw[who] = low_kw, high_kw
        keep = ~np.isin(self._who, who)
        self._who, self._price = self._who[keep], self._price[keep]
        self._kw, self._slope = self._kw[keep], self._slope[keep]

    def _starts(self) -> Ints:
        return starts(np.bincount(self._who, minlength=self._fallback.size))

    @property
    def curves(self) -> Curves:
        """The tangents' curves; the fallback slope's line around the first price where nothing was heard."""
        n = self._fallback.size
        start = self._starts()
        silent = np.flatnonzero(np.diff(start) == 0)
        who = np.concatenate([self._who, silent])
        order = np.argsort(who, kind="stable")
        who = who[order]
        middle = 0.5 * (self.low_kw + self.high_kw)
        price = np.concatenate([self._price, self._start[silent]])[order]
        kw = np.concatenate([self._kw, middle[silent]])[order]
        slope = np.concatenate([self._slope, np.zeros(silent.size)])[order]
        start = starts(np.bincount(who, minlength=n))
        first, last = start[:-1], start[1:] - 1
        inner = np.flatnonzero(np.diff(who) == 0)
        every, answer = np.arange(n), np.arange(who.size)
        asked = price[last] - price[first]
        near, far = self._reach(price[first], kw[first], slope[first], self.high_kw, asked, -1.0)
        left, right = _fill(price, kw, slope, inner)
        beyond, end = self._reach(price[last], kw[last], slope[last], self.low_kw, asked, 1.0)
        # Sender, rank among the sender's vertices, and vertices: answers have ranks 0, 3, 6 ...
        parts = [
            (every, np.full(n, -2.0), *far),
            (every, np.full(n, -1.0), *near),
            (who, 3.0 * answer, price, kw),
            (who[inner], 3.0 * inner + 1.0, *left),
            (who[inner], 3.0 * inner + 2.0, *right),
            (every, np.full(n, 3.0 * who.size + 1.0), *beyond),
            (every, np.full(n, 3.0 * who.size + 2.0), *end),
        ]
        owner, rank, at, power = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.lexsort((rank, owner))
        return Curves(at[order], power[order], starts(np.bincount(owner, minlength=n)))

    def _reach(
        self, price: Floats, kw: Floats, slope: Floats, end_kw: Floats, asked: Floats, side: float
    ) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
        """Two vertices beyond the outermost answers, the second at ``end_kw``; side +1 is higher prices.

        The end is believed as far again as prices were ``asked`` so far, so that one far away is reached in
        few rounds.
        """
        left = np.abs(end_kw - kw)
        falls = np.minimum(slope * TRUST, left)
        way = np.divide(left, slope, out=np.full(left.size, TRUST), where=slope * TRUST > left)
        near_price, near_kw = price + side * way, kw - side * falls
        far_price = near_price + side * np.maximum(np.maximum((left - falls) / self._fallback, REACH), asked)
        return (near_price, near_kw), (far_price, end_kw)


def _fill(
    price: Floats, kw: Floats, slope: Floats, left: Ints
) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Two vertices, prices and powers of each, in the gaps between answers ``left`` and ``left + 1``."""
    p, q = price[left], price[left + 1]
    high, low = kw[left], kw[left + 1]
    from_left, from_right = slope[left], slope[left + 1]
    bend = from_left - from_right
    # Where tangents are parallel they meet nowhere: a price before the gap says so.
    meet = np.divide(high - low + from_left * p - from_right * q, bend, out=p - 1.0, where=bend != 0)
    at = high - from_left * (meet - p)
    meets = (meet >= p) & (meet <= q) & (at <= high) & (at >= low)
    tenth = 0.1 * (q - p)
    middle = 0.5 * (p + q)
    up = np.clip(high - from_left * (middle - tenth - p), low, high)
    down = np.clip(low + from_right * (q - middle - tenth), low, high)
    explained = up >= down
    half = 0.5 * (high + low)
    before = np.where(meets, meet, middle - tenth), np.where(meets, at, np.where(explained, up, half))
    behind = np.where(meets, meet, middle + tenth), np.where(meets, at, np.where(explained, down, half))
    return before, behind
