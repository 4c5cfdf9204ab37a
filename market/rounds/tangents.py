"""A response believed by all its tangents: a curve through every answer of a sender, with its slope there."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, starts
from market.rounds.record import tolerance_of

TRUST = 0.02
"""A slope is believed this far beyond the last price that was answered [$/kWh]."""

REACH = 0.1
"""Beyond, the rest of a sender's range is spread over at least this much, lest prices creep [$/kWh]."""

Vertices = tuple[Floats, Floats]
"""Prices [$/kWh] and powers [kW]."""


@dataclass(frozen=True)
class Answered:
    """Answers sorted by sender and price, ``(m,)`` each: who gave it, at which price, its power and slope."""

    who: Ints
    price: Floats
    kw: Floats
    slope: Floats

    @classmethod
    def nothing(cls) -> Answered:
        """No answers."""
        return cls(np.zeros(0, dtype=np.intp), np.zeros(0), np.zeros(0), np.zeros(0))

    def take(self, index: Ints | Bools) -> Answered:
        """Some of the answers."""
        return Answered(self.who[index], self.price[index], self.kw[index], self.slope[index])

    def followed_by(self, other: Answered) -> Answered:
        """Both, this one's first."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Answered(*(np.concatenate(pair) for pair in pairs))

    def starts(self, n: int) -> Ints:
        """Where the answers of each of n senders begin, and their end, ``(n+1,)``."""
        return starts(np.bincount(self.who, minlength=n))


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
        Price at which a sender without an answer yet is taken to be in the middle of its range, ``(n,)``
        [$/kWh].
    """

    def __init__(self, slope: Floats, low_kw: Floats, high_kw: Floats, price: Floats) -> None:
        self._fallback = slope
        self._start = price
        self.low_kw, self.high_kw = low_kw.copy(), high_kw.copy()
        self._answered = Answered.nothing()
        self._lowest_asked, self._highest_asked = np.full(slope.size, np.inf), np.full(slope.size, -np.inf)

    @property
    def fineness(self) -> Floats:
        """Part of any tolerance of powers that senders of their size may take, ``(n,)``."""
        return tolerance_of(self.low_kw, self.high_kw)

    def learn(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:
        """Keep answers, sorted by sender and price; an answer to a price asked before is the same answer."""
        self._lowest_asked[who] = np.minimum(self._lowest_asked[who], price)
        self._highest_asked[who] = np.maximum(self._highest_asked[who], price)
        answered = self._answered.followed_by(Answered(who, price, kw, slope))
        answered = answered.take(np.lexsort((answered.price, answered.who)))
        again = np.zeros(answered.who.size, dtype=bool)
        again[1:] = (np.diff(answered.who) == 0) & (np.diff(answered.price) == 0)
        # One that is the same must be gone before, or it and its twin would each give way to the other.
        answered = answered.take(~again)
        answered = answered.take(~self._beyond_an_end(answered))
        for begin, end in itertools.pairwise(answered.starts(self._fallback.size).tolist()):
            # Rounding of sums may leave an answer a last bit above the one before.
            np.minimum.accumulate(answered.kw[begin:end], out=answered.kw[begin:end])
        self._answered = answered

    def _beyond_an_end(self, answered: Answered) -> Bools:
        """Answers that repeat an end of the range further out than another one; they tell nothing.

        Were they kept, the belief would reach beyond them anew, and prices would drift away round by round.
        """
        who = answered.who
        beyond = np.zeros(who.size, dtype=bool)
        same = np.diff(who) == 0
        high, low = answered.kw >= self.high_kw[who], answered.kw <= self.low_kw[who]
        beyond[:-1] |= same & high[:-1] & high[1:]
        beyond[1:] |= same & low[:-1] & low[1:]
        return beyond

    def forget(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Drop the answers of some senders, whose ranges are others now."""
        self.low_kw[who], self.high_kw[who] = low_kw, high_kw
        self._answered = self._answered.take(~np.isin(self._answered.who, who))
        self._lowest_asked[who], self._highest_asked[who] = np.inf, -np.inf

    def around(self, kw: Floats) -> tuple[Answered, Answered]:
        """Each sender's last answer of no less, and first of no more than ``kw``, ``(n,)``; NaN for none."""
        n, answered = self._fallback.size, self._answered
        start = answered.starts(n)
        before = np.bincount(answered.who[answered.kw >= kw[answered.who]], minlength=n)
        upto = np.bincount(answered.who[answered.kw > kw[answered.who]], minlength=n)
        left = np.where(before > 0, start[:-1] + before - 1, -1)
        right = np.where(start[:-1] + upto < start[1:], start[:-1] + upto, -1)
        unknown = Answered(np.array([-1]), *np.full((3, 1), np.nan))
        padded = answered.followed_by(unknown)
        return padded.take(left), padded.take(right)

    @property
    def curves(self) -> Curves:
        """The tangents' curves; the fallback slope's line around the first price without answers."""
        n = self._fallback.size
        answered = self._with_silent()
        start = answered.starts(n)
        first, last = answered.take(start[:-1]), answered.take(start[1:] - 1)
        gaps = np.flatnonzero(np.diff(answered.who) == 0)
        asked = np.maximum(self._highest_asked - self._lowest_asked, 0.0)
        near_high, high = self._reach(first, self.high_kw, asked, -1.0)
        left, right = _fill(answered.take(gaps), answered.take(gaps + 1))
        near_low, low = self._reach(last, self.low_kw, asked, 1.0)
        # Vertices of a sender in the order of their ranks: an answer has three times its index.
        every, index = np.arange(n), np.arange(answered.who.size)
        behind_all = 3 * answered.who.size
        return _curves_of(
            n,
            [
                (every, np.full(n, -2), high),
                (every, np.full(n, -1), near_high),
                (answered.who, 3 * index, (answered.price, answered.kw)),
                (answered.who[gaps], 3 * gaps + 1, left),
                (answered.who[gaps], 3 * gaps + 2, right),
                (every, np.full(n, behind_all + 1), near_low),
                (every, np.full(n, behind_all + 2), low),
            ],
        )

    def _with_silent(self) -> Answered:
        """Answers of all senders; one without any is in the middle of its range at the first price."""
        silent = np.flatnonzero(np.diff(self._answered.starts(self._fallback.size)) == 0)
        middle_kw = 0.5 * (self.low_kw + self.high_kw)
        stand_ins = Answered(silent, self._start[silent], middle_kw[silent], np.zeros(silent.size))
        both = self._answered.followed_by(stand_ins)
        return both.take(np.argsort(both.who, kind="stable"))

    def _reach(
        self, outermost: Answered, end_kw: Floats, asked: Floats, side: float
    ) -> tuple[Vertices, Vertices]:
        """Two vertices beyond the outermost answers, the second at ``end_kw``; side +1 is higher prices.

        The end is believed as far again as prices were ``asked`` so far, so that one far away is reached in
        few rounds.
        """
        slope = outermost.slope
        left = np.abs(end_kw - outermost.kw)
        falls = np.minimum(slope * TRUST, left)
        way = np.divide(left, slope, out=np.full(left.size, TRUST), where=slope * TRUST > left)
        near_price = outermost.price + side * way
        # What is left taken away may miss the end by a last bit, and the curve would rise there.
        near_kw = np.where(falls < left, outermost.kw - side * falls, end_kw)
        far_price = near_price + side * np.maximum(np.maximum((left - falls) / self._fallback, REACH), asked)
        return (near_price, near_kw), (far_price, end_kw)


def _curves_of(n: int, parts: list[tuple[Ints, Ints, Vertices]]) -> Curves:
    """Curves of n senders from vertices in parts: whose each is, its rank among its sender's, and where."""
    columns = zip(*((who, rank, *vertices) for who, rank, vertices in parts), strict=True)
    who, rank, price, kw = (np.concatenate(column) for column in columns)
    order = np.lexsort((rank, who))
    return Curves(price[order], kw[order], starts(np.bincount(who, minlength=n)))


def _fill(before: Answered, behind: Answered) -> tuple[Vertices, Vertices]:
    """Two vertices in each gap between the answers ``before`` it and ``behind`` it, of one sender each."""
    p, q, high, low = before.price, behind.price, before.kw, behind.kw
    from_left, from_right = before.slope, behind.slope
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
    left = np.where(meets, meet, middle - tenth), np.where(meets, at, np.where(explained, up, half))
    right = np.where(meets, meet, middle + tenth), np.where(meets, at, np.where(explained, down, half))
    return left, right
