"""All LAMs over the horizon, each at its equilibrium at given locational prices, on all cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from market.horizon.case import HorizonCase
from market.horizon.lam import Found, WamTerms, settle
from market.horizon.members import FLATTEST, Answers, Members, lam_reach, price_size
from market.horizon.replies import ROUNDING, PlanColumns
from market.horizon.step import Point
from market.model.arrays import Floats


@dataclass(frozen=True)
class Settled:
    """LAMs at their equilibria: where, what members answer there, and how far answers are off [kW]."""

    point: Point
    answers: Answers
    missed_kw: float


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
    """

    def __init__(self, case: HorizonCase, members: Members) -> None:
        self._members, self._stores, self.swing = members, len(case.stores), members.swing
        most = max(float(lam_reach(case).max()), 1e-9)
        true = np.stack([interval.wam_slope for interval in case.intervals], axis=1)
        slope = np.where(true > 0, true, FLATTEST * price_size(case) / most)
        fee = np.stack([interval.wam_fee for interval in case.intervals], axis=1)
        self.terms = WamTerms(slope, fee, np.zeros_like(fee))
        self._added, self._offset = slope - true, np.zeros_like(fee)
        self._least_slope = float(slope.min())

    def at(self, guess: Point, wam_price: Floats, tolerance: float) -> Settled:
        """LAMs at locational prices ``(M, T)``, their own prices and sides sought from a guess.

        Parameters
        ----------
        tolerance
            How far answers may be off [kW].
        """
        M, T = guess.price.shape
        found = Found(
            guess.price.copy(), guess.side.copy(), np.empty((M, T)), np.empty((M, T, T)), np.empty((M, 1))
        )
        plans = PlanColumns(*(np.zeros((self._stores, T)) for _ in range(5)))
        terms = self.terms

        def one(lam: int) -> float:
            mine = Found(*(column[lam] for column in found))
            wide = WamTerms(*(column[lam] for column in terms))
            members, prices = self._members.of_lam(lam, self._offset[lam])
            return float(settle(members, prices, wide, wam_price[lam], tolerance, mine, plans))

        with ThreadPoolExecutor(os.cpu_count()) as cores:
            missed_kw = max(cores.map(one, range(M)))
        point = Point(found.price, guess.y, found.side)
        return Settled(point, Answers(found.price + self._offset, found.kw, found.fall, plans), missed_kw)

    def recentre(self, kw: Floats) -> float:
        """Move the centres to net purchases ``(M, T)``; the most that this changes a price [$/kWh]."""
        own, wide = -self._members.added * kw, -self._added * kw
        changed = max(np.abs(own - self._offset).max(), np.abs(wide - self.terms.offset).max())
        self._offset, self.terms = own, self.terms._replace(offset=wide)
        return float(changed)

    def recentre_homes(self, plans: PlanColumns) -> float:
        """Move the centres of members with several stores; the most that this changes a price [$/kWh]."""
        return self._members.recentre(plans.power_kw)

    def tie_homes(self, part: float) -> None:
        """Hold members with several stores to their centres, as `Members.tie`."""
        self._members.tie(part)

    @property
    def has_homes(self) -> bool:
        """Whether any member has several stores."""
        return self._members.has_several

    def rounding_kw(self, price: Floats) -> float:
        """What rounding of prices alone may make of answers [kW]."""
        least = min(self._members.least_slope, self._least_slope)
        return ROUNDING * float(np.abs(price).max()) / least
