"""Vehicles, heat pumps and appliances of prosumers without hardware: their energy, offers and draw."""

from __future__ import annotations

import numpy as np

from broker.snapshot import Values, array_of
from cosim.population.fleet import Fleet
from cosim.population.prices import prices_at
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.checks import hourly
from devices.physics.storage import StorePath, advance_energy, power_range
from market.horizon.stores import Stores
from market.model.case import Resources

LOOK_AHEAD_H = 24.0
"""How far ahead a store sees what will be wanted of it [h]."""

_LACKS_KWH = 1e-3
"""Less than this is not worth a word."""


class FleetState:
    """Stores of a host's prosumers beside their batteries.

    Parameters
    ----------
    fleet
        The stores; their owners are among ``members``.
    members
        Indices of the host's prosumers, ascending.

    Attributes
    ----------
    energy_kwh
        Energy now, ``(S,)``.
    lacks_kwh
        What each lacked of what it wanted by now, ``(S,)`` [kWh].
    """

    def __init__(self, fleet: Fleet, members: Indices) -> None:
        self.fleet = fleet
        self.members = members.size
        self.owner = np.searchsorted(members, fleet.owner)
        self.energy_kwh = fleet.start_kwh.copy()
        self.lacks_kwh = np.zeros(fleet.size)

    def path(self, tick: int) -> StorePath:
        """What the stores may do from a tick on, as far as they look ahead."""
        return self.fleet.path(tick, max(1, round(LOOK_AHEAD_H / self.fleet.timeline.interval_h)))

    def offers(self, tick: int, worth: Floats | None = None) -> Resources:
        """What they can draw, and give back, in a tick: ``S`` resources of each.

        What is drawn has no output above zero. Power that cannot be made up for later is not for sale.

        Parameters
        ----------
        worth
            What a kWh more is worth to each at the end of the tick, ``(S,)`` [$/kWh]. Without it, or where it
            is infinite, a kWh in an empty store is worth the retail price, in a full one the feed-in price.
        """
        path = self.path(tick)
        least, most = power_range(self.energy_kwh, path, self.fleet.timeline.interval_h)
        own = self._own_worth(tick, path)
        value = own if worth is None else np.where(np.isfinite(worth), worth, own)
        none = np.zeros(self.fleet.size)
        return Resources(
            owner=np.concatenate([self.owner, self.owner]),
            min_kw=np.concatenate([-np.maximum(most, 0.0), none]),
            max_kw=np.concatenate([-np.maximum(least, 0.0), np.maximum(-least, 0.0)]),
            cost_linear=np.concatenate([value * path.efficiency, value / path.give_efficiency]),
            cost_quadratic=np.concatenate([none, none]),
        )

    def stores(self, tick: int, intervals: int) -> Stores:
        """The same stores for the market over a horizon of so many intervals."""
        path, many = self.fleet.path(tick, intervals), np.ones(intervals)
        price = float(np.mean(hourly(self.fleet.scenario.market.grid.import_price)))
        none = np.zeros(self.fleet.size)
        return Stores(
            owner=self.owner,
            initial_kwh=self.energy_kwh,
            lower_kwh=np.column_stack([self.energy_kwh, path.lower_kwh]),
            upper_kwh=np.column_stack([self.energy_kwh, path.upper_kwh]),
            charge_kw=path.draw_kw,
            discharge_kw=path.give_kw,
            charge_efficiency=np.outer(path.efficiency, many),
            discharge_efficiency=np.outer(path.give_efficiency, many),
            retention=path.retention,
            drift_kwh=path.drift_kwh,
            charge_wear=none,
            discharge_wear=none,
            end_value=price * self.fleet.worth_left,
        )

    def act(self, tick: int, output_kw: Floats) -> Floats:
        """Let the tick pass with outputs of the offers, ``(2 S,)``; what owners draw, ``(n,)`` [kW]."""
        drawn_kw = -output_kw.reshape(2, -1).sum(axis=0)
        self.energy_kwh = advance_energy(
            self.energy_kwh, drawn_kw, self.fleet.path(tick, 1), self.fleet.timeline.interval_h
        )
        self.lacks_kwh = self.fleet.lacking(tick, self.energy_kwh)
        return np.asarray(np.bincount(self.owner, drawn_kw, minlength=self.members), dtype=np.float64)

    def notes(self) -> tuple[str, ...]:
        """A line on what was wanted by now and is not there, if anything."""
        short = np.flatnonzero(self.lacks_kwh > _LACKS_KWH)
        if not short.size:
            return ()
        most = int(short[np.argmax(self.lacks_kwh[short])])
        name, lacks_kwh = self.fleet.names[int(self.fleet.owner[most])], float(self.lacks_kwh[short].sum())
        return (f"{lacks_kwh:.3g} kWh that stores wanted by now are missing, at {short.size} ({name}, ...)",)

    def _own_worth(self, tick: int, path: StorePath) -> Floats:
        prices = prices_at(self.fleet.scenario.market, self.fleet.timeline, tick)
        room = path.upper_kwh[:, 0]
        filled = np.divide(self.energy_kwh, room, out=np.ones(room.size), where=room > 0.0)
        urgency = 1.0 - np.clip(filled, 0.0, 1.0)
        return np.asarray(prices.feed_in_price + (prices.retail_price - prices.feed_in_price) * urgency)

    def snapshot(self) -> Values:
        """Energy of each, and what it lacks."""
        return {"energy": self.energy_kwh, "lacks": self.lacks_kwh}

    def restore(self, values: Values) -> None:
        """Put the energy back; raises ``ValueError`` where it is another fleet's."""
        self.energy_kwh = array_of(values, "energy", self.energy_kwh)
        self.lacks_kwh = array_of(values, "lacks", self.lacks_kwh)
