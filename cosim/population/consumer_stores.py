"""Chargers and flexible loads of live prosumers over a horizon: stores whose state comes from their meters.

A vehicle at its charger, and work that can wait, have drawn nothing yet of what they still want, and want all
of it when their time is up. A heated room or tank is a store of what its heat pump draws for it, which loses
some all the time. What tells no such state is demand that its owner sheds above what it is worth to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from broker.messages import DeviceState
from broker.messages.fields import StoreKind
from cosim.population.consumers import is_offered
from market.horizon.stores import Stores, joined_stores
from market.model.arrays import Floats
from market.participants.horizon_bids import Prospect


@dataclass(frozen=True)
class Ahead:
    """What a horizon is like: intervals, their length [h], and prices that energy is held against [$/kWh].

    ``price`` is the mean that the grid asks, ``retail`` and ``feed_in`` are the utility's now.
    """

    intervals: int
    hours: float
    price: float
    retail: float
    feed_in: float


def with_consumers(
    prospect: Prospect,
    states: Sequence[Mapping[str, DeviceState]],
    worth: Sequence[Mapping[str, float]],
    ahead: Ahead,
) -> tuple[Prospect, list[tuple[int, str]]]:
    """A prospect with chargers and loads too.

    Parameters
    ----------
    prospect
        Of ``n`` prosumers.
    states, worth
        As `cosim.population.consumers.consumer_offers` has them.

    Returns
    -------
    prospect
        With a store more for each device that tells its state, in the order of owners.
    stored
        Owner and kind of those devices.
    """
    demand_kw = prospect.demand_kw.copy()
    stores, stored = [prospect.stores], []
    kinds: list[StoreKind] = list(prospect.kind)
    owner, kw, cost = [], [], []
    for place, (devices, owned) in enumerate(zip(states, worth, strict=True)):
        for name, own_worth in owned.items():
            state = devices.get(name)
            if state is None:
                continue
            if not is_offered(state):
                demand_kw[place, 0] -= state.p_kw or 0.0
            elif (store := _store(place, state, own_worth or ahead.retail, ahead)) is not None:
                stores.append(store)
                stored.append((place, name))
                kinds.append("vehicle" if name == "ev" else "heat pump" if state.heat else "appliance")
            else:
                # A charger that tells no wish may be without a vehicle in the next interval.
                known = ahead.intervals if name == "load" else 1
                most_kw = np.where(np.arange(ahead.intervals) < known, -(state.min_kw or 0.0), 0.0)
                demand_kw[place] += most_kw
                owner.append(place)
                kw.append(most_kw)
                cost.append(own_worth or ahead.retail)
    more = np.array(kw).reshape(len(kw), ahead.intervals)
    return replace(
        prospect,
        demand_kw=demand_kw,
        owner=np.concatenate([prospect.owner, np.array(owner, dtype=np.intp)]),
        max_kw=np.concatenate([prospect.max_kw, more]),
        cost_linear=np.concatenate([prospect.cost_linear, cost]),
        cost_quadratic=np.concatenate([prospect.cost_quadratic, np.zeros(len(cost))]),
        stores=joined_stores(stores),
        kind=tuple(kinds),
    ), stored


def _store(owner: int, state: DeviceState, worth: float, ahead: Ahead) -> Stores | None:
    """The store that a device is; ``None`` where it tells no state."""
    T = ahead.intervals
    if state.heat is not None and state.soc is not None:
        heat = state.heat
        kwh, drift = heat.capacity_kwh, -heat.loss_kw * ahead.hours
        held = min(max(state.soc, 0.0), 1.0) * kwh
        return _one(owner, held, np.zeros(T), np.full(T, kwh), np.full(T, heat.rating_kw), drift, ahead.price)
    if state.needs_kwh is None:
        return None
    needs, rating, lower = state.needs_kwh, -(state.min_kw or 0.0), np.zeros(T)
    if state.left_s is None:
        end_value, here = min(worth, ahead.feed_in), T
    else:
        left_h = state.left_s / 3600.0
        # It wants its energy at the end of the last interval that is wholly before its time is up.
        here = min(max(int(left_h / ahead.hours + 1e-9), 1), T)
        later_kwh = rating * max(left_h - T * ahead.hours, 0.0)
        lower[here - 1] = max(needs - later_kwh, 0.0)
        end_value = ahead.price
    draw_kw = np.where(np.arange(T) < here, rating, 0.0)
    return _one(owner, 0.0, lower, np.full(T, needs), draw_kw, 0.0, end_value)


def _one(
    owner: int, held_kwh: float, lower: Floats, upper: Floats, draw_kw: Floats, drift: float, end_value: float
) -> Stores:
    T = draw_kw.size
    one, ones, none = np.ones(1), np.ones((1, T)), np.zeros(1)
    return Stores(
        owner=np.array([owner], dtype=np.intp),
        initial_kwh=np.array([held_kwh]),
        lower_kwh=np.concatenate([[held_kwh], lower])[None, :],
        upper_kwh=np.concatenate([[held_kwh], upper])[None, :],
        charge_kw=draw_kw[None, :],
        discharge_kw=np.zeros((1, T)),
        charge_efficiency=ones,
        discharge_efficiency=ones,
        retention=one,
        drift_kwh=drift * ones,
        charge_wear=none,
        discharge_wear=none,
        end_value=np.array([end_value]),
    )
