"""Where prosumers stand and what happens to them: the ports behind which a host's portfolio is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from broker.messages import DeviceSetPoint, Telemetry
from market.model.arrays import Floats
from market.model.case import Resources


@dataclass(frozen=True)
class Position:
    """What a host's ``n`` prosumers face in one interval.

    Attributes
    ----------
    demand_kw, reactive_kvar
        Inflexible net demand and reactive power, ``(n,)``.
    resources
        What they can do about it; owners are positions in the host.
    notes
        What went wrong in forming it.
    """

    demand_kw: Floats
    reactive_kvar: Floats
    resources: Resources
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metered:
    """Net import [kWh] and reactive energy [kvarh] of an interval, ``(n,)`` each."""

    energy_kwh: Floats
    reactive_kvarh: Floats


class Portfolio(Protocol):
    """Prosumers without hardware: where they stand, and what really happens to them."""

    def position(self, tick: int) -> Position:
        """Expected position at gate closure."""
        ...

    def act(self, tick: int, output_kw: Floats) -> Metered:
        """Let the interval pass with resource outputs ``(r,)`` of the last position as set-points."""
        ...


class LivePortfolio(Protocol):
    """Live prosumers: their position follows from telemetry, their will from set-points."""

    def position(self, tick: int, telemetry: dict[str, Telemetry]) -> Position:
        """Expected position at gate closure, from readings by prosumer name."""
        ...

    def set_points(self, output_kw: Floats) -> list[list[DeviceSetPoint]]:
        """Set-points of each prosumer's devices for resource outputs ``(r,)`` of the last position."""
        ...
