"""Stores: the one thing that couples intervals, whatever device it stands for.

A battery, a vehicle, an appliance that can wait and a heated room are all stores; docs/market.md, section 8,
has the table of what each one's columns are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from market.model.arrays import Floats, Ints


@dataclass(frozen=True)
class Stores:
    """``S`` stores over ``T`` intervals, each behind the meter of a prosumer, who may have several.

    In interval t a store charges ``c_t`` and discharges ``d_t``, both >= 0, at its prosumer's meter, and its
    energy goes on as ``s[t+1] = retention s[t] + hours (charge_efficiency c_t - d_t / discharge_efficiency)
    + drift[t]`` (8.1).

    Attributes
    ----------
    owner
        Index of the prosumer that owns each, ``(S,)``.
    initial_kwh
        Energy at the beginning of the first interval, ``(S,)`` [kWh].
    lower_kwh, upper_kwh
        Bounds of the energy at the beginning of each interval and at the end of the last, ``(S, T+1)``
        [kWh]. Energy that is wanted at a time is a lower bound there.
    charge_kw, discharge_kw
        Most that each may charge and discharge in each interval, >= 0, ``(S, T)`` [kW]; zero where the device
        is away.
    charge_efficiency, discharge_efficiency
        Energy stored per energy charged, and delivered per energy taken out, > 0, ``(S, T)``. The first may
        be above one: a heat pump's coefficient of performance.
    retention
        Part of the energy that is left after one interval, in (0, 1], ``(S,)``.
    drift_kwh
        Energy that each interval adds whatever the market does, ``(S, T)`` [kWh]: what a trip or the cold
        takes is negative.
    charge_wear, discharge_wear
        Cost per energy charged and discharged at the meter, >= 0, ``(S,)`` [$/kWh].
    end_value
        What energy that is left at the end is worth, ``(S,)`` [$/kWh].
    """

    owner: Ints
    initial_kwh: Floats
    lower_kwh: Floats
    upper_kwh: Floats
    charge_kw: Floats
    discharge_kw: Floats
    charge_efficiency: Floats
    discharge_efficiency: Floats
    retention: Floats
    drift_kwh: Floats
    charge_wear: Floats
    discharge_wear: Floats
    end_value: Floats

    def __len__(self) -> int:
        return self.owner.size

    @property
    def intervals(self) -> int:
        """Number of intervals T."""
        return int(self.charge_kw.shape[1])

    @property
    def least_value(self) -> Floats:
        """Least value of stored energy, below which it would be burnt, ``(S, T)`` [$/kWh] (8.3).

        A store with losses could charge and discharge at once to lose energy. Energy spilled at the wear that
        this costs stands for it, so that power has one sign.
        """
        lost = 1.0 / self.discharge_efficiency - self.charge_efficiency
        wear = (self.charge_wear + self.discharge_wear)[:, None]
        burns = (self.charge_kw > 0) & (self.discharge_kw > 0) & (lost > 1e-12)
        return np.where(burns, -wear / np.where(burns, lost, 1.0), -np.inf)

    def gained_kwh(self, power_kw: Floats, hours: float) -> Floats:
        """Energy that power at the meter, + discharges, adds in each interval, ``(S, T)`` [kWh]."""
        charged = np.maximum(-power_kw, 0.0) * self.charge_efficiency
        return np.asarray(hours * (charged - np.maximum(power_kw, 0.0) / self.discharge_efficiency))

    def wear(self, power_kw: Floats) -> Floats:
        """Cost of wear at power at the meter, + discharges, ``(S, T)`` [$/h]."""
        discharged, charged = np.maximum(power_kw, 0.0), np.maximum(-power_kw, 0.0)
        return np.asarray(self.discharge_wear[:, None] * discharged + self.charge_wear[:, None] * charged)

    def cyclic(self, which: Ints) -> Stores:
        """The same stores, of which some must end with no less than they began."""
        lower = self.lower_kwh.copy()
        lower[which, -1] = np.maximum(lower[which, -1], self.initial_kwh[which])
        return replace(self, lower_kwh=lower)


def joined_stores(parts: Sequence[Stores]) -> Stores:
    """Stores one after the other, over the same intervals."""
    names = [each.name for each in fields(Stores)]
    return Stores(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def place_of(owner: Ints, store: int) -> tuple[int, bool]:
    """Which of its owner's stores a store is, from 1, and whether its owner has several.

    Parameters
    ----------
    owner
        Owner of each store, ``(S,)``.
    store
        The store's index.
    """
    mine = owner == owner[store]
    return int(mine[: store + 1].sum()), int(mine.sum()) > 1


def no_stores(intervals: int) -> Stores:
    """No stores, over ``intervals`` intervals."""
    none, wide = np.zeros(0), np.zeros((0, intervals))
    longer = np.zeros((0, intervals + 1))
    owner = np.zeros(0, dtype=np.intp)
    return Stores(owner, none, longer, longer, wide, wide, wide, wide, none, wide, none, none, none)


def at_rest(stores: Stores, some: Ints) -> Stores:
    """The same stores, of which some hold nothing and can do nothing; what their energy is worth stays."""
    held = {"charge_efficiency": 1.0, "discharge_efficiency": 1.0, "retention": 1.0}
    columns = {each.name: getattr(stores, each.name).copy() for each in fields(Stores)}
    for name in columns.keys() - {"owner", "end_value"}:
        columns[name][some] = held.get(name, 0.0)
    return Stores(**columns)


def within_reach(stores: Stores, hours: float) -> tuple[Stores, Floats]:
    """Bounds that can be kept: those that cannot give way by as little as they must.

    Nobody's neighbours pay for a vehicle that is plugged in too late: its own bound is lowered to what it can
    reach, in the order of time, and the shortfall told.

    Parameters
    ----------
    stores
        Any stores, their initial energy within or beyond its bounds.
    hours
        Length of an interval [h].

    Returns
    -------
    stores, shortfall_kwh
        The stores with bounds that can be kept, and what each bound gave way by, ``(S, T+1)`` [kWh]: + what
        is missing of a lower bound, - what is too much for an upper one.
    """
    lower, upper = stores.lower_kwh.copy(), stores.upper_kwh.copy()
    gain = stores.gained_kwh(-stores.charge_kw, hours) + stores.drift_kwh
    loss = stores.gained_kwh(stores.discharge_kw, hours) + stores.drift_kwh
    lower[:, 0] = upper[:, 0] = least = most = stores.initial_kwh
    # Energy may be spilled where it may be burnt.
    burns = np.isfinite(stores.least_value)
    shortfall = np.zeros_like(lower)
    for t in range(stores.intervals):
        most = stores.retention * most + gain[:, t]
        least = np.where(burns[:, t], -np.inf, stores.retention * least + loss[:, t])
        missing = np.maximum(lower[:, t + 1] - most, 0.0)
        surplus = np.maximum(least - upper[:, t + 1], 0.0)
        shortfall[:, t + 1] = missing - surplus
        lower[:, t + 1] = np.where(missing > 0, most, lower[:, t + 1])
        upper[:, t + 1] = np.where(surplus > 0, least, upper[:, t + 1])
        most = np.minimum(most, upper[:, t + 1])
        least = np.maximum(least, lower[:, t + 1])
    return replace(stores, lower_kwh=lower, upper_kwh=upper), shortfall


def missing_kwh(shortfall_kwh: Floats) -> float:
    """Energy that stores cannot have in time, of all lower bounds ``(S, T+1)`` together [kWh].

    What is missing at one time and at the next is missing once.
    """
    missing = np.maximum(shortfall_kwh, 0.0)
    return float(np.maximum(np.diff(missing, axis=1, prepend=0.0), 0.0).sum()) if missing.size else 0.0
