"""All members of a market over a horizon: what they trade along paths of local prices, and how it falls."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass

import numpy as np

from market.analysis.sizes import member_kw
from market.horizon.case import HorizonCase
from market.horizon.home_model import Homes
from market.horizon.lam import RESTING, LamMembers
from market.horizon.replies import PlanColumns, PriceTerms, StoreColumns, Vertices
from market.horizon.stores import Stores
from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, from_points, join, respond, shift, starts, take
from market.model.response import Supply, disaggregate, supply_curves
from market.solver.aggregation import aggregate

FLATTEST = 1e-3
"""Least price slope of a party over its whole size, as a part of the prices: jumps have none to follow.

Prices are the grid's, or what the LAM's own trade moves its price by where that is more: over less, the last
digits of a price would be many of a power.
"""

LEAST_KW = 1e-3
"""Power that several stores of a member count as at least, where a price slope is a part of the prices."""


@dataclass(frozen=True)
class Answers:
    """What members answer to prices.

    Attributes
    ----------
    price, kw
        Local prices [$/kWh] and net purchases of all members together [kW], ``(M, T)`` each.
    fall
        How net purchases fall with the prices of their LAM, ``(M, T, T)`` [kW per $/kWh].
    plans
        Plans of the stores behind them.
    """

    price: Floats
    kw: Floats
    fall: Floats
    plans: PlanColumns


class Members:
    """Members of a case, prepared for many paths of prices.

    Parameters
    ----------
    case
        The case, its stores' bounds within reach.
    blur
        Price slope that every member has at least over its LAM's mean size, as a part of the prices.

    Attributes
    ----------
    added
        Price slope that a lone member has beyond its own, which is none, ``(M, T)`` [$/kWh per kW]: a term of
        its trade whose centre the caller moves until it makes no difference.
    resting
        Fall that is added where a LAM rests, ``(M,)`` [kW per $/kWh].
    swing
        All power of each LAM's members over the prices, ``(M,)`` [kW per $/kWh].
    """

    def __init__(self, case: HorizonCase, blur: float = 0.0) -> None:
        first = case.first
        self._case, self._lams, self._T = case, len(first.lam_id), len(case.intervals)
        self._plain = np.flatnonzero(~case.has_store)
        self._plain_lam = first.lam_of[self._plain]
        self._columns = _columns(case.stores)
        self._units = _units(case)
        self._mine = [np.flatnonzero(self._units.lam == i) for i in range(self._lams)]
        self._weight = np.ones(self._lams)
        true = np.stack([interval.slope for interval in case.intervals], axis=1)
        reach = lam_reach(case)
        self.swing = np.maximum(reach, 1e-9 * max(float(reach.max()), 1e-9)) / price_size(case)
        steepest = np.stack([one.wam_slope for one in case.intervals]).max(axis=0)
        flattest = FLATTEST * np.maximum(price_size(case) / np.maximum(reach, 1e-9), steepest)
        self._whole = flattest / FLATTEST * np.maximum(first.members, 1)
        self._slope = np.maximum(np.where(true > 0, true, flattest[:, None]), blur * self._whole[:, None])
        self._least_slope = self._slope.min(axis=1)
        self._fee = np.stack([interval.fee for interval in case.intervals], axis=1)
        self.resting = RESTING * np.maximum(first.members, 1) / self._least_slope
        self.added = np.where(true > 0, 0.0, self._slope)
        self._true, self._held = true, np.zeros((0, self._T))
        with ThreadPoolExecutor(os.cpu_count()) as cores:
            self._supplies = list(cores.map(self._supply, range(self._T)))
        self._respond(None)
        self._own = self._curves_of_stores()
        self._homes = self._several()

    @property
    def stores(self) -> int:
        """How many stores answer, all of one member counted as one."""
        return sum(mine.size for mine in self._mine)

    @property
    def least_slope(self) -> Floats:
        """The least price slope in each LAM, with what was added, ``(M,)`` [$/kWh per kW]."""
        least: Floats = self._least_slope.copy()
        np.minimum.at(least, self._units.lam[self._units.several], self._homes.slope)
        return least

    @property
    def flatness(self) -> float:
        """The least price slope of a member over its LAM's mean size, as a part of the prices."""
        return float((self._least_slope / self._whole).min())

    @property
    def has_several(self) -> bool:
        """Whether any member has several stores."""
        return bool(self._homes.slope.size)

    def tie(self, part: float) -> None:
        """Hold powers of those with several stores to centres by slopes, a part of the prices over all."""
        self._homes.slope[:] = part * self._homes.whole
        self._homes.effort[:] = 0

    def sample(self, most: int) -> Members:
        """These members, but of each LAM's stores no more than about ``most``, which stand for all of them.

        They are taken at equal distances from all, those that never discharge first and by their size, and
        their answers are multiplied to the power of all.
        """
        some, units = copy(self), self._units
        power = units.power
        some._mine, some._weight = [], np.ones(self._lams)
        for lam, mine in enumerate(self._mine):
            every = max(-(-mine.size // most), 1)
            few = np.sort(mine[np.lexsort((units.size[mine], units.gives[mine]))][every // 2 :: every])
            some._mine.append(few)
            if power[few].any():
                some._weight[lam] = power[mine].sum() / power[few].sum()
        return some

    def steeper(self, factor: float) -> Members:
        """These members, but with a multiple of the price slopes of those with stores."""
        some = copy(self)
        some._slope = factor * self._slope
        return some

    def held(self, part: float, centre_kw: Floats) -> Members:
        """These members, but everybody's trade held to a centre by more slope: a proximal step.

        Parameters
        ----------
        part
            Slope that is added over a LAM's mean size, as a part of the prices.
        centre_kw
            Trades at which the added slope costs nothing, ``(N, T)`` [kW].
        """
        some, lam, stores = copy(self), self._case.first.lam_of, self._case.stores
        more = part * self._whole[:, None]
        some._slope = self._true + more
        some._least_slope = some._slope.min(axis=1)
        some.resting = RESTING * np.maximum(self._case.first.members, 1) / some._least_slope
        some.added = np.zeros_like(self.added)
        some._held = -more[lam[stores.owner]] * centre_kw[stores.owner]
        some._respond(centre_kw)
        return some

    def moved(self, part: float, by_kw: Floats) -> float:
        """What moving centres of members that are held, by ``(N, T)`` [kW], changes any price by [$/kWh]."""
        more = part * self._whole[self._case.first.lam_of, None]
        return float((more * np.abs(by_kw)).max())

    def of_lam(self, lam: int, offset: Floats) -> tuple[LamMembers, PriceTerms]:
        """Members of one LAM and what they face, with an offset ``(T,)`` of their price, and no price yet."""
        mine, units = self._mine[lam], self._units
        several = mine[units.several[mine]]
        members = LamMembers(
            lam, self._lams, self._totals, units.first[mine[~units.several[mine]]], self._own, self._columns,
            units.home[several], self._homes, self._case.hours, offset, float(self.swing[lam]),
            float(self._weight[lam]), float(self.resting[lam]), self._held,
        )  # fmt: skip
        return members, PriceTerms(np.empty(self._T), self._slope[lam], self._fee[lam])

    def trades(self, t: int, answers: Answers) -> Floats:
        """Everybody's trades in interval t, ``(N,)`` [kW]."""
        trade = np.zeros(self._case.first.demand_kw.size)
        trade[self._plain] = respond(self._curves[t], answers.price[self._plain_lam, t])
        np.add.at(trade, self._case.stores.owner, answers.plans.trade_kw[:, t])
        return trade

    def outputs(self, t: int, trade_kw: Floats, answers: Answers) -> Floats:
        """Cheapest outputs of resources in interval t that leave everybody with its trade, ``(r,)`` [kW]."""
        without = trade_kw.copy()
        np.add.at(without, self._case.stores.owner, answers.plans.power_kw[:, t])
        return disaggregate(self._supplies[t], without)

    def _supply(self, t: int) -> Supply:
        """Supply of all in interval t."""
        return supply_curves(self._case.intervals[t].demand_kw, self._case.intervals[t].resources)

    def _respond(self, centre_kw: Floats | None) -> None:
        """Fill in curves of those without a store and their sums, held to centres ``(N, T)`` [kW] if any."""

        def one(t: int) -> tuple[Curves, Curves]:
            lam, supply = self._plain_lam, take(self._supplies[t].curves, self._plain)
            slope = self._slope[lam, t]
            centre = 0.0
            if centre_kw is not None:
                centre = (slope - self._true[lam, t]) / slope * centre_kw[self._plain, t]
            curves = shift(supply, slope, self._fee[lam, t], centre)
            return curves, aggregate(curves, lam, self._lams)

        with ThreadPoolExecutor(os.cpu_count()) as cores:
            prepared = list(cores.map(one, range(self._T)))
        self._curves = [curves for curves, _ in prepared]
        totals = join([total for _, total in prepared])
        self._totals = Vertices(totals.start, totals.price, totals.kw)

    def _curves_of_stores(self) -> Vertices:
        """Curves over the marginal value of those who have a store, one store after the other.

        Of those with several stores, whose curves are those of `_several`, each store's is of nothing.
        """
        owner, units = self._case.stores.owner, self._units
        none = self._T * self._case.first.demand_kw.size
        which = np.where(units.several[units.of_store][:, None], none, self._curve_of(owner))
        return self._vertices(which)

    def _several(self) -> Homes:
        """Members with several stores."""
        units, stores = self._units, self._case.stores
        homes = np.flatnonzero(units.several)
        store = np.flatnonzero(units.several[units.of_store])
        store = store[np.argsort(units.of_store[store], kind="stable")]
        return Homes(
            first=starts(np.bincount(units.of_store, minlength=units.lam.size)[homes]),
            store=store,
            own=self._vertices(self._curve_of(stores.owner[units.first[homes]])),
            slope=np.ones(homes.size),
            centre_kw=np.zeros((len(stores), self._T)),
            inner=np.zeros((homes.size, self._T)),
            effort=np.zeros(homes.size, dtype=np.intp),
            whole=price_size(self._case) / np.maximum(units.power[homes], LEAST_KW),
        )

    def _curve_of(self, member: Ints) -> Ints:
        """Positions of members' curves among those of all intervals, ``(n, T)``."""
        return np.arange(self._T) * self._case.first.demand_kw.size + member[:, None]

    def _vertices(self, which: Ints) -> Vertices:
        """Curves of all members and intervals at some positions; behind the last is one of nothing."""
        nothing = from_points([(np.zeros(1), np.zeros(1))])
        own = take(join([*(supply.curves for supply in self._supplies), nothing]), which.ravel())
        return Vertices(own.start, own.price, own.kw)


@dataclass(frozen=True)
class _Units:
    """Members with stores, U of them in the order of their first stores.

    Attributes
    ----------
    of_store
        Whose each store is, ``(S,)``.
    first, lam, several, home
        First store and LAM of each, whether it has several, and its number among those that do, ``(U,)``.
    power, size, gives
        Largest power [kW] and energy [kWh] of all its stores, and whether any can discharge, ``(U,)``.
    """

    of_store: Ints
    first: Ints
    lam: Ints
    several: Bools
    home: Ints
    power: Floats
    size: Floats
    gives: Bools


def _units(case: HorizonCase) -> _Units:
    stores = case.stores
    _, first, of_owner = np.unique(stores.owner, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))
    of_store, first = place[of_owner], np.sort(first)
    U = first.size
    power = np.maximum(stores.charge_kw, stores.discharge_kw).max(axis=1, initial=0.0)
    gives = (stores.discharge_kw > 0).any(axis=1)
    several: Bools = np.asarray(np.bincount(of_store, minlength=U) > 1)
    return _Units(
        of_store=of_store,
        first=first,
        lam=case.first.lam_of[stores.owner[first]],
        several=several,
        home=np.cumsum(several) - 1,
        power=np.asarray(np.bincount(of_store, power, minlength=U), dtype=np.float64),
        size=np.asarray(np.bincount(of_store, stores.upper_kwh.max(axis=1), minlength=U), dtype=np.float64),
        gives=np.bincount(of_store, gives, minlength=U) > 0,
    )


def _columns(stores: Stores) -> StoreColumns:
    columns = (
        stores.charge_kw, stores.discharge_kw, stores.charge_efficiency, stores.discharge_efficiency,
        stores.charge_wear, stores.discharge_wear, stores.retention, stores.initial_kwh, stores.lower_kwh,
        stores.upper_kwh, stores.drift_kwh, stores.least_value, stores.end_value,
    )  # fmt: skip
    return StoreColumns(*(np.ascontiguousarray(column, dtype=np.float64) for column in columns))


def price_size(case: HorizonCase) -> float:
    """Size of the grid's prices in all intervals [$/kWh]."""
    return max(one.grid.price_size for one in case.intervals) or 1.0


def lam_reach(case: HorizonCase) -> Floats:
    """The most that each LAM's members may move together, ``(M,)`` [kW]."""
    stores = case.stores
    most = np.stack([one.net_kw(member_kw(one)) for one in case.intervals]).max(axis=0)
    power = np.maximum(stores.charge_kw, stores.discharge_kw).max(axis=1, initial=0.0)
    most += np.bincount(case.first.lam_of[stores.owner], power, minlength=most.size)
    return np.asarray(most)
