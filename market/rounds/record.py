"""What senders answered in rounds of bidding, and whether it agrees with what is meant for them."""

from __future__ import annotations

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, respond

SAME_PRICE = 1e-8
"""Prices this near [$/kWh] are the same."""

JUMP_PRICE = 1e-10
"""A power between the answers to two prices this near [$/kWh] lies in a jump of the sender's response.

Times the jump's power, this is what a LAM may still gain by another bid: it must stay within the certificate.
"""

ROUNDING = 4.0 * float(np.finfo(np.float64).eps)
"""Prices this near, as a part of them, cannot be told apart."""


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

    def agrees(
        self,
        price: Floats,
        kw: Floats,
        tolerance_kw: Floats | float,
        believed: Curves | None = None,
        blur: float = 0.0,
    ) -> Bools:
        """Whether senders would take ``kw`` at ``price``, ``(n,)`` each, as far as their answers tell.

        A power within a jump of a sender's response agrees where its answers, the last one among them, lie on
        both sides of it at nearly one price. Where the response is so steep that no other price can be asked,
        it agrees within what the sender is ``believed`` to change by for the least difference of prices.
        Prices nearer than their ``blur`` [$/kWh] are one.
        """
        same, jump = max(SAME_PRICE, blur), max(JUMP_PRICE, blur)
        near = (np.abs(self.price - price) <= same) & (np.abs(self.kw - kw) <= tolerance_kw)
        beside = np.abs(self._prices - self.price[self._who]) <= jump
        who, answered = self._who[beside], self._kws[beside]
        most, least = np.full(kw.size, -np.inf), np.full(kw.size, np.inf)
        np.maximum.at(most, who, answered)
        np.minimum.at(least, who, answered)
        jumps = (least <= kw) & (kw <= most) & (np.abs(self.price - price) <= jump)
        if believed is None:
            return np.asarray(near | jumps)
        change_kw = respond(believed, price - jump) - respond(believed, price + jump)
        is_asked = np.abs(self.price - price) <= np.maximum(ROUNDING * np.abs(price), blur)
        return np.asarray(near | jumps | (is_asked & (np.abs(self.kw - kw) <= change_kw)))

    def leaves_only(
        self, price: Floats, kw: Floats, low_kw: Floats, high_kw: Floats, tolerance_kw: Floats | float
    ) -> Bools:
        """Whether answers to other prices leave only ``kw`` to be taken at ``price``, ``(n,)`` each.

        Nobody takes more at a higher price. Answers on both sides, or one side and an end of a sender's range
        ``low_kw`` to ``high_kw``, may so leave no room.
        """
        most, least = high_kw.copy(), low_kw.copy()
        cheaper = self._prices <= price[self._who]
        np.minimum.at(most, self._who[cheaper], self._kws[cheaper])
        dearer = self._prices >= price[self._who]
        np.maximum.at(least, self._who[dearer], self._kws[dearer])
        heard = np.isin(np.arange(kw.size), self._who)
        return np.asarray(heard & (np.abs(most - kw) <= tolerance_kw) & (np.abs(least - kw) <= tolerance_kw))


def tolerance_of(low_kw: Floats, high_kw: Floats) -> Floats:
    """Part of a tolerance for powers near 1 kW that senders with smaller ranges may take, ``(n,)``."""
    return np.minimum(np.maximum(np.abs(low_kw), np.abs(high_kw)), 1.0)
