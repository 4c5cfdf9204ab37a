"""Chargers and flexible loads among the devices of a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from broker.snapshot import Values, part
from devices.emulation.answers import Unit
from devices.emulation.consumers import Conditions, ConsumerKind, ConsumerUnits
from devices.emulation.prosumer import EmulatedProsumer

Array = NDArray[np.float64]
Stores = Mapping[ConsumerKind, Conditions]
"""What chargers and loads are up to in an interval, by kind."""

_LACKS_KWH = 1e-3

NO_STORES: Stores = MappingProxyType({})


class FleetConsumers:
    """Chargers and loads of a fleet's prosumers, ``(m,)``.

    Attributes
    ----------
    units
        The devices by kind, in the order of their owners; none of a kind that nobody has.
    at
        Whose they are.
    """

    def __init__(self, prosumers: Sequence[EmulatedProsumer]) -> None:
        ratings: dict[ConsumerKind, list[float]] = {
            "ev": [p.ev_kw for p in prosumers],
            "load": [p.flexible_kw for p in prosumers],
        }
        self.at = {kind: np.flatnonzero(np.array(kw) > 0.0) for kind, kw in ratings.items()}
        self.units = {
            kind: ConsumerUnits([prosumers[k] for k in at.tolist()], kind)
            for kind, at in self.at.items()
            if at.size
        }

    def begin(self, now: Stores, hours: float) -> None:
        """Begin an interval of so many hours."""
        for kind, units in self.units.items():
            units.begin_interval(now[kind], hours)

    def step(self, net_kw: Array, dt_s: float) -> None:
        """Let a part of it pass, and add what is drawn to prosumers' power, ``(m,)`` [kW]."""
        for kind, units in self.units.items():
            net_kw[self.at[kind]] += units.step(dt_s)

    def end(self, now: Stores, hours: float) -> None:
        """End the interval."""
        for kind, units in self.units.items():
            units.end_interval(now[kind], hours)

    def lacking(self, now: Stores) -> list[tuple[ConsumerKind, int, float]]:
        """Kind, owner and energy [kWh] of what devices want at the end of an interval and do not have."""
        return [
            (kind, int(self.at[kind][k]), float(lacks_kwh[k]))
            for kind, units in self.units.items()
            for lacks_kwh in [units.lacking(now[kind])]
            for k in np.flatnonzero(lacks_kwh > _LACKS_KWH).tolist()
        ]

    def show(self, upcoming: Stores, hours: float) -> None:
        """Put what is so now, and in the interval that comes, into the registers."""
        for kind, units in self.units.items():
            units.show(upcoming[kind], hours)

    def add_power(self, p_kw: Array) -> None:
        """Add what is drawn now to prosumers' power, ``(m,)`` [kW]."""
        for kind, units in self.units.items():
            p_kw[self.at[kind]] += units.p_kw

    def restart(self, role: str, k: int) -> None:
        """Let a device of prosumer ``k`` forget its limit."""
        for kind, units in self.units.items():
            if kind == role:
                units.restart(int(np.searchsorted(self.at[kind], k)))

    def of(self, k: int) -> Iterator[tuple[str, Unit]]:
        """Devices of prosumer ``k``."""
        for kind, units in self.units.items():
            if k in self.at[kind]:
                yield kind, Unit(units.bank, int(np.searchsorted(self.at[kind], k)))

    def snapshot(self) -> Values:
        """State of all."""
        return {kind: units.snapshot() for kind, units in self.units.items()}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        for kind, units in self.units.items():
            units.restore(part(values, kind))
