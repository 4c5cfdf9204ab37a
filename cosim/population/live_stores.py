"""Vehicles, heat pumps and appliances of live prosumers: devices that are emulated behind Modbus."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosim.population.fleet import Fleet
from cosim.population.fleet_state import LOOK_AHEAD_H
from cosim.scenario.arrays import Floats, Indices
from devices.emulation.consumers import Conditions, ConsumerKind


class LiveStores:
    """Which store of a fleet is the charger, and which the flexible load, of each of its owners.

    Parameters
    ----------
    fleet
        Stores of live prosumers, who have one vehicle and one load each at most.

    Attributes
    ----------
    rows
        Stores by kind of device, in the order of their owners.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        is_ev = np.ones(fleet.size, dtype=bool)
        first = fleet.vehicles.kw.size
        is_ev[first : fleet.size - fleet.stays.owner.size] = False
        self._is_heat = np.array(fleet.kind) == "heat pump"
        kinds: dict[ConsumerKind, Indices] = {"ev": np.flatnonzero(is_ev), "load": np.flatnonzero(~is_ev)}
        self.rows = {kind: rows[np.argsort(fleet.owner[rows])] for kind, rows in kinds.items()}

    def kinds_of(self, owner: int) -> list[ConsumerKind]:
        """Devices that a prosumer has, by its index."""
        return [kind for kind, rows in self.rows.items() if owner in self.fleet.owner[rows]]

    def rating_and_energy(self, kind: ConsumerKind, owner: int) -> tuple[float, float]:
        """Rating [kW], and energy at the start [kWh], of a prosumer's device; zero without one."""
        mine = self.rows[kind][self.fleet.owner[self.rows[kind]] == owner]
        if not mine.size:
            return 0.0, 0.0
        return float(self.fleet.most_kw[mine[0]]), float(self.fleet.start_kwh[mine[0]])

    def conditions(self, tick: int) -> dict[ConsumerKind, Conditions]:
        """What each device is up to in a tick."""
        timeline = self.fleet.timeline
        path = self.fleet.path(tick, max(1, round(LOOK_AHEAD_H / timeline.interval_h)))
        is_wanted = path.lower_kwh > 0.0
        first = is_wanted.argmax(axis=1)
        none = ~is_wanted.any(axis=1)
        wanted = np.where(none, np.nan, path.lower_kwh[np.arange(self.fleet.size), first])
        left_s = np.where(none, np.nan, (first + 1.0) * timeline.interval_h * 3600.0)
        beyond = self.fleet.beyond(tick)
        found: dict[ConsumerKind, Conditions] = {}
        for kind, rows in self.rows.items():
            parts: dict[str, Floats] = {
                name: column[rows] if column.ndim == 1 else column[rows, :1]
                for name, column in vars(path).items()
            }
            # What waits for longer wants as much as it takes; heat is wanted by no time.
            upper = parts["upper_kwh"][:, 0]
            mine = np.where(np.isnan(wanted[rows]) & ~self._is_heat[rows], upper, wanted[rows])
            found[kind] = Conditions(replace(path, **parts), mine, left_s[rows], beyond[rows])
        return found
