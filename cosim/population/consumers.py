"""Chargers and flexible loads of live prosumers as resources: what telemetry says that they could draw.

They are outputs of 0 or less. A load is worth to its owner what the scenario says. A vehicle, or work that
can wait, is worth that much where it would have to draw full power until its time is up, the feed-in price
where it has all the time, and in between in proportion; heat that much where there is none, the feed-in price
where a room or tank is full. Where a market over a horizon has said what their energy is worth, that counts.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from broker.messages import DeviceState
from cosim.population.resources import Kind
from cosim.scenario.arrays import Floats

NOTHING_TOLD: Mapping[tuple[int, str], float] = MappingProxyType({})
KINDS = {"ev": Kind.EV, "load": Kind.LOAD}


class ConsumerOffers(NamedTuple):
    """Resources of ``r`` chargers and loads, columns ``(r,)``, and what draws without a command.

    ``owner`` counts the prosumers of the host; ``demand_kw`` is theirs, ``(n,)`` [kW].
    """

    owner: list[int]
    kind: list[Kind]
    min_kw: list[float]
    max_kw: list[float]
    worth: list[float]
    demand_kw: Floats


def consumer_offers(
    states: Sequence[Mapping[str, DeviceState]],
    worth: Sequence[Mapping[str, float]],
    retail: float,
    feed_in: float,
    told: Mapping[tuple[int, str], float] = NOTHING_TOLD,
) -> ConsumerOffers:
    """Offers of one interval.

    Parameters
    ----------
    states
        Devices of each prosumer as its telemetry has them, by kind.
    worth
        Chargers and loads that each has, by kind, and what a kWh is worth to it [$/kWh]; 0 for the retail
        price.
    retail, feed_in
        Prices of the utility now [$/kWh].
    told
        What the market says that a kWh is worth, by owner and kind [$/kWh].
    """
    offers = ConsumerOffers([], [], [], [], [], np.zeros(len(states)))
    for owner, (devices, owned) in enumerate(zip(states, worth, strict=True)):
        for name, own_worth in owned.items():
            state = devices.get(name)
            if state is None:
                continue
            if not is_offered(state):
                offers.demand_kw[owner] -= state.p_kw or 0.0
                continue
            assert state.min_kw is not None
            offers.owner.append(owner)
            offers.kind.append(KINDS[name])
            offers.min_kw.append(min(state.min_kw, 0.0))
            offers.max_kw.append(min(max(state.max_kw or 0.0, state.min_kw), 0.0))
            own = _worth(state, own_worth or retail, feed_in)
            offers.worth.append(told.get((owner, name), own))
    return offers


def is_offered(state: DeviceState) -> bool:
    """Whether a device can be counted on to obey its commands."""
    return state.obeys and state.quality in ("good", "held") and state.min_kw is not None


def _worth(state: DeviceState, worth: float, feed_in: float) -> float:
    if state.heat is not None and state.soc is not None:
        return feed_in + (worth - feed_in) * (1.0 - min(max(state.soc, 0.0), 1.0))
    if state.needs_kwh is None or not state.min_kw:
        return worth
    if state.left_s is None:
        return min(worth, feed_in)
    possible_kwh = -state.min_kw * state.left_s / 3600.0
    urgency = min(state.needs_kwh / possible_kwh, 1.0) if possible_kwh > 0.0 else 1.0
    return feed_in + (worth - feed_in) * urgency
