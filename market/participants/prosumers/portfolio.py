"""Conditions of prosumers and what happens to them: the ports behind which a host's portfolio stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from broker.messages import DeviceSetPoint, Telemetry
from broker.snapshot import Values
from market.model.arrays import Floats
from market.model.case import Resources
from market.participants.horizon_bids import Prospect


@dataclass(frozen=True)
class Position:
    """Conditions of a host's ``n`` prosumers in one interval.

    Attributes
    ----------
    demand_kw, reactive_kvar
        Inflexible net demand [kW] and reactive power [kvar], ``(n,)``.
    resources
        Their resources; owners are indices into the host's prosumers.
    notes
        What went wrong when the position was formed.
    wanted_kw
        What the plan over the horizon wants of each resource, ``(r,)`` [kW], which counts where others of its
        owner cost the same; NaN where nothing. ``None`` without a plan.
    """

    demand_kw: Floats
    reactive_kvar: Floats
    resources: Resources
    notes: tuple[str, ...] = ()
    wanted_kw: Floats | None = None


@dataclass(frozen=True)
class Metered:
    """Net import [kWh] and reactive energy [kvarh] of an interval, ``(n,)`` each."""

    energy_kwh: Floats
    reactive_kvarh: Floats


class Portfolio(Protocol):
    """Prosumers without hardware: their expected position, and what they really draw."""

    def position(self, tick: int, worth: Floats | None = None, planned_kw: Floats | None = None) -> Position:
        """Position that is expected at gate closure.

        ``worth`` is what a kWh more is worth at the end of the interval to each store of the last prospect,
        ``(S,)`` [$/kWh]; without it, or where it is infinite, owners go by their own outlook. ``planned_kw``
        is the power that goes with it, + discharges, ``(S,)`` [kW]; NaN where there is none.
        """
        ...

    def prospect(self, tick: int, intervals: int) -> Prospect:
        """What is expected of so many intervals from this one on, or of fewer where the data end before."""
        ...

    def act(self, tick: int, output_kw: Floats) -> Metered:
        """Let the interval pass with outputs ``(r,)`` [kW] of the last position as set-points."""
        ...

    def snapshot(self) -> Values:
        """What it remembers from one interval to the next."""
        ...

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        ...


class LivePortfolio(Protocol):
    """Live prosumers: telemetry gives their position, and set-points carry out what they want."""

    def position(
        self,
        tick: int,
        telemetry: dict[str, Telemetry],
        worth: Floats | None = None,
        planned_kw: Floats | None = None,
    ) -> Position:
        """Position that is expected at gate closure, from readings by prosumer name; the rest as above."""
        ...

    def prospect(self, tick: int, telemetry: dict[str, Telemetry], intervals: int) -> Prospect:
        """As `Portfolio.prospect`, from readings by prosumer name."""
        ...

    def set_points(self, output_kw: Floats) -> list[list[DeviceSetPoint]]:
        """Set-points of each prosumer's devices for outputs ``(r,)`` [kW] of the last position."""
        ...

    def snapshot(self) -> Values:
        """What it remembers from one interval to the next."""
        ...

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        ...
