"""What of bids over a horizon cannot be meant: it costs its own member the horizon, and nobody else's.

A member of whose demand, resources or stores something is missing, not finite or beyond its connection goes
by its own outlook: its stores rest in the horizon, its faulty resources offer nothing, and where a forecast
of demand has a hole, the value before it stands in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from market.horizon.case import first_faults
from market.horizon.stores import Stores, at_rest, place_of
from market.model.arrays import Bools, Floats
from market.participants.horizon_bids import Prospect

MOST = 1e6
"""No price [$/kWh] and no store's energy [kWh] is larger."""


@dataclass(frozen=True)
class Judged:
    """A prospect of which everything can be meant.

    Attributes
    ----------
    prospect
        The same members, resources and stores.
    out
        Members without a horizon, by index, and the first thing that is wrong with each.
    """

    prospect: Prospect
    out: Mapping[int, str]


def judged(prospect: Prospect, rating_kw: Floats) -> Judged:
    """Take out of a prospect what cannot be meant.

    Parameters
    ----------
    prospect
        Of all N prosumers; it may hold any numbers, NaN too.
    rating_kw
        What the connection of each carries, ``(N,)`` [kW].
    """
    out: dict[int, str] = {}
    demand_kw = _filled(prospect.demand_kw, rating_kw, out)
    offers_none = _faulty_resources(prospect, rating_kw, out)
    stores = prospect.stores
    faults = first_faults(stores)
    for large in np.flatnonzero(_beyond(stores)):
        faults.setdefault(int(large), f"a value is beyond {MOST:g}; correct it")
    # What a bid says of bounds begins with the end of the first interval.
    highest = stores.upper_kwh[:, 1:].max(axis=1, initial=-np.inf)
    for above in np.flatnonzero(stores.initial_kwh > highest + 1e-6 * (1.0 + np.abs(highest))):
        faults.setdefault(int(above), "initial_kwh is above all of its bounds; correct its state")
    for store, what in faults.items():
        out.setdefault(int(stores.owner[store]), f"of its {_named(prospect, store)}: {what}")
    resting = np.flatnonzero(np.isin(stores.owner, list(out)))
    stores = at_rest(stores, resting)
    end_value = np.where(np.isfinite(stores.end_value), stores.end_value, 0.0)
    end_value[resting] = 0.0
    return Judged(
        replace(
            prospect,
            demand_kw=demand_kw,
            max_kw=np.where(offers_none[:, None], 0.0, prospect.max_kw),
            cost_linear=np.where(offers_none, 0.0, prospect.cost_linear),
            cost_quadratic=np.where(offers_none, 0.0, prospect.cost_quadratic),
            stores=replace(stores, end_value=end_value),
        ),
        out,
    )


def _named(prospect: Prospect, store: int) -> str:
    """What a store is called among those of its owner: as in the table of stores where there are several."""
    owner, kind = prospect.stores.owner, prospect.kind
    if not place_of(owner, store)[1]:
        return "store"
    alike = np.array([of == kind[store] for of in kind])
    number, several = place_of(np.where(alike, owner, -1), store)
    return f"{kind[store]} {number}" if several else kind[store]


def _beyond(stores: Stores) -> Bools:
    """Stores of which some number is too large, ``(S,)``."""
    beyond = np.zeros(len(stores), dtype=bool)
    for name, column in vars(stores).items():
        if name != "owner":
            large = np.abs(column) > MOST
            beyond |= large if large.ndim == 1 else large.any(axis=1)
    return beyond


def _filled(demand_kw: Floats, rating_kw: Floats, out: dict[int, str]) -> Floats:
    """Demand whose holes have the value before them, or the one behind, or none."""
    with np.errstate(invalid="ignore"):
        good = np.abs(demand_kw) <= rating_kw[:, None]
    if good.all():
        return demand_kw
    filled = demand_kw.copy()
    T = demand_kw.shape[1]
    for member in np.flatnonzero(~good.all(axis=1)):
        known = np.flatnonzero(good[member])
        first = int(np.flatnonzero(~good[member])[0])
        value = demand_kw[member, first]
        what = "not finite" if not np.isfinite(value) else f"{value:g} kW, beyond its connection"
        out[int(member)] = f"demand at {first} is {what}; give a forecast for each interval"
        if not known.size:
            filled[member] = 0.0
            continue
        before = np.searchsorted(known, np.arange(T), side="right") - 1
        filled[member] = demand_kw[member, known[np.maximum(before, 0)]]
    return filled


def _faulty_resources(prospect: Prospect, rating_kw: Floats, out: dict[int, str]) -> Bools:
    """Which resources cannot be meant, ``(r,)``."""
    with np.errstate(invalid="ignore"):
        sound = ((prospect.max_kw >= 0.0) & (prospect.max_kw <= rating_kw[prospect.owner][:, None])).all(
            axis=1
        )
        sound &= np.abs(prospect.cost_linear) <= MOST
        sound &= (prospect.cost_quadratic >= 0.0) & (prospect.cost_quadratic <= MOST)
    for resource in np.flatnonzero(~sound):
        what = "a resource's power or cost is not finite, negative or beyond its connection; correct it"
        out.setdefault(int(prospect.owner[resource]), what)
    return np.asarray(~sound)
