"""All LAMs over the horizon, each at its equilibrium at given locational prices, on all cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from market.horizon.case import HorizonCase
from market.horizon.home_centres import centre_homes
from market.horizon.lam import Found, LamMembers, WamTerms, settle
from market.horizon.members import FLATTEST, Answers, Members, lam_reach, price_size
from market.horizon.replies import ROUNDING, PlanColumns, PriceTerms
from market.horizon.step import Point
from market.model.arrays import Floats

HOMES_SETTLED = 1e-9
"""Part of the prices that moving centres of members with several stores may still change."""


@dataclass(frozen=True)
class Settled:
    """LAMs at their equilibria.

    Attributes
    ----------
    point, answers
        Where, and what members answer there.
    off_kw
        How far answers are from what each LAM wants, ``(M, T)`` [kW].
    """

    point: Point
    answers: Answers
    off_kw: Floats

    @property
    def missed_kw(self) -> float:
        """How far any answer is off [kW]."""
        return float(self.off_kw.max())


def centre_held(
    mine: LamMembers, terms: PriceTerms, plans: PlanColumns, least: float, until: float, rounds: int
) -> float:
    """Centres of homes moved as by `centre_homes`, one by one, each at a price of its own."""
    price, most = terms.price.copy(), 0.0
    for k, h in enumerate(mine.several):
        terms.price[:] = price + mine.held[mine.homes.store[mine.homes.first[h]]]
        moved = centre_homes(
            mine.several[k : k + 1], mine.homes, terms, mine.hours, mine.columns, plans, least, until, rounds
        )
        most = max(most, float(moved))
    return most


class Lams:
    """LAMs of one case.

    Where a party's answer would jump at a price, as that of a lone member or of a LAM that takes prices as
    given, a small slope is added around a centre (a proximal step), which the caller moves until it makes no
    difference.

    Attributes
    ----------
    terms
        What LAMs reckon with beside locational prices.
    swing
        All power of each LAM's members over the prices, ``(M,)`` [kW per $/kWh].
    resting
        Fall that is added where a LAM rests, ``(M,)`` [kW per $/kWh].
    """

    def __init__(self, case: HorizonCase, members: Members, firm: float = 0.0) -> None:
        self._members, self._stores = members, len(case.stores)
        self.swing, self.resting = members.swing, members.resting
        self._size = price_size(case)
        most = max(float(lam_reach(case).max()), 1e-9)
        true = np.stack([interval.wam_slope for interval in case.intervals], axis=1)
        slope = np.where(true > 0, true, FLATTEST * self._size / most)
        if firm:
            slope = true + firm * self._size / most
        fee = np.stack([interval.wam_fee for interval in case.intervals], axis=1)
        self.terms = WamTerms(slope, fee, np.zeros_like(fee))
        self._added, self._offset = slope - true, np.zeros_like(fee)
        self._least_slope = slope.min(axis=1)

    def at(self, guess: Point, wam_price: Floats, allowed_kw: Floats) -> Settled:
        """LAMs at locational prices ``(M, T)``, their own prices and sides sought from a guess.

        Parameters
        ----------
        allowed_kw
            How far answers may be off, ``(M, T)`` [kW].
        """
        M, T = guess.price.shape
        found = Found(
            guess.price.copy(), guess.side.copy(), np.empty((M, T)), np.empty((M, T, T)), np.empty((M, 1))
        )
        off_kw = np.empty((M, T))
        plans = PlanColumns(*(np.zeros((self._stores, T)) for _ in range(5)))
        terms = self.terms

        def one(lam: int) -> None:
            mine = Found(*(column[lam] for column in found))
            wide = WamTerms(*(column[lam] for column in terms))
            members, prices = self._members.of_lam(lam, self._offset[lam])
            settle(members, prices, wide, wam_price[lam], allowed_kw[lam], mine, plans, off_kw[lam])

        with ThreadPoolExecutor(os.cpu_count()) as cores:
            list(cores.map(one, range(M)))
        point = Point(found.price, guess.y, found.side)
        return Settled(point, Answers(found.price + self._offset, found.kw, found.fall, plans), off_kw)

    def recentre(self, kw: Floats) -> float:
        """Move the centres to net purchases ``(M, T)``; the most that this changes a price [$/kWh]."""
        own, wide = -self._members.added * kw, -self._added * kw
        changed = max(np.abs(own - self._offset).max(), np.abs(wide - self.terms.offset).max())
        self._offset, self.terms = own, self.terms._replace(offset=wide)
        return float(changed)

    def centre_homes(self, answers: Answers, far: float, part: float, rounds: int) -> float:
        """Move the centres of members with several stores until, at the prices of some answers, they stay.

        Parameters
        ----------
        answers
            The answers; plans of those whose centres move are written over.
        far
            What the last step moved prices by [$/kWh].
        part
            Part of it that moves of centres may still come to.
        rounds
            How often each one's centres are moved at most.

        Returns
        -------
        float
            What centres that moved were off by, as what it changes a price by [$/kWh]; zero where none moved.
        """
        until = max(part * far, HOMES_SETTLED * self._size)

        def one(lam: int) -> float:
            mine, terms = self._members.of_lam(lam, self._offset[lam])
            terms.price[:] = answers.price[lam]
            if mine.held.size:
                return centre_held(mine, terms, answers.plans, far / self._size, until, rounds)
            return float(
                centre_homes(
                    mine.several, mine.homes, terms, mine.hours, mine.columns, answers.plans,
                    far / self._size, until, rounds,
                )
            )  # fmt: skip

        with ThreadPoolExecutor(os.cpu_count()) as cores:
            return max(cores.map(one, range(len(self.swing))))

    def tie_homes(self, part: float) -> None:
        """Hold members with several stores to their centres, as `Members.tie`."""
        self._members.tie(part)

    @property
    def has_homes(self) -> bool:
        """Whether any member has several stores."""
        return self._members.has_several

    def rounding_kw(self, price: Floats) -> Floats:
        """What rounding of prices alone may make of answers, ``(M, T)`` each [$/kWh], [kW]."""
        least = np.minimum(self._members.least_slope, self._least_slope)
        return np.asarray(ROUNDING * np.abs(price) / least[:, None])
