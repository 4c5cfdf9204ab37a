"""What is known of one charger, and what its meter values say."""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from broker.wall_time import since_boot

_POWER, _ENERGY, _SOC = "Power.Active.Import", "Energy.Active.Import.Register", "SoC"
_FACTORS = {"W": 1e-3, "kW": 1.0, "Wh": 1e-3, "kWh": 1.0}
_UNITS = {_POWER: "W", _ENERGY: "Wh"}
"""Units of what is told without one."""

# Older values waited for a connection [s]; a clock that tells none newer for so long was set back [s].
_OLD_S, _SET_BACK_S = 60.0, 900.0


@dataclass(slots=True)
class ChargerClock:
    """A charger's clock, by the times that stand on what it tells: how old a value is, wherever it is set."""

    ahead_s: float = -math.inf
    new_at_s: float = -math.inf

    def age_s(self, told: str) -> float:
        """How old a value of a time is at the least [s]; 0 where that is no time."""
        at_s = instant(told)
        if at_s is None:
            return 0.0
        ahead_s, now_s = at_s - time.time(), since_boot()
        if now_s - self.new_at_s > _SET_BACK_S:
            self.ahead_s = ahead_s
        age_s = max(self.ahead_s - ahead_s, 0.0)
        if age_s <= _OLD_S:
            self.ahead_s, self.new_at_s = max(self.ahead_s, ahead_s), now_s
        return age_s


@dataclass(slots=True)
class Charger:
    """State of one connector as its charger told it last.

    Attributes
    ----------
    is_plugged, is_charging
        Whether a vehicle is there, and whether energy is said to flow; ``None`` until told.
    said_s
        Time at which what is read now was said (`broker.wall_time.since_boot`) [s].
    power_kw, power_at_s
        Power drawn [kW], and when it was told.
    power_is_since_quiet
        Whether it was told after it was said last that no energy flows.
    energy_kwh, began_kwh
        Counter of the charger, now and when the vehicle came [kWh].
    soc
        State of charge of the vehicle [0..1].
    wanted_kwh, departs_at
        Energy that the vehicle asked for [kWh], and when it leaves [s since epoch].
    clock
        How old what it tells is.
    """

    is_plugged: bool | None = None
    is_charging: bool = False
    said_s: Callable[[], float] = since_boot
    power_kw: float | None = None
    power_at_s: float = -math.inf
    power_is_since_quiet: bool = False
    energy_kwh: float | None = None
    began_kwh: float | None = None
    soc: float | None = None
    wanted_kwh: float | None = None
    departs_at: float | None = None
    clock: ChargerClock = field(default_factory=ChargerClock)

    def come(self) -> None:
        """A vehicle is there."""
        if not self.is_plugged:
            self.began_kwh = self.energy_kwh
        self.is_plugged = True

    def go(self) -> None:
        """The vehicle is gone, and what it wanted with it."""
        self.is_plugged = False
        self.charges(False)
        self.began_kwh = self.soc = self.wanted_kwh = self.departs_at = None

    def charges(self, is_charging: bool) -> None:
        """Take in whether energy is said to flow."""
        if not is_charging:
            self.power_is_since_quiet = False
        self.is_charging = is_charging

    @property
    def shows_power(self) -> bool:
        """Whether its power counts: energy is said to flow, or a vehicle is there and it was told since."""
        return self.is_charging or (bool(self.is_plugged) and self.power_is_since_quiet)

    def take(self, values: Iterable[Mapping[str, Any]]) -> None:
        """Take meter values in, as a message holds them; old ones say nothing of what is now."""
        for value in values:
            if self.clock.age_s(str(value.get("timestamp", ""))) <= _OLD_S:
                self.measure(value.get("sampled_value", ()))

    def measure(self, sampled: Iterable[Mapping[str, Any]]) -> None:
        """Take values of one time in; those that are no finite numbers are left out."""
        found = measurands(sampled)
        if _POWER in found:
            self.power_kw, self.power_at_s = found[_POWER], self.said_s()
            self.power_is_since_quiet = True
        if _ENERGY in found:
            fell_kwh = max((self.energy_kwh or 0.0) - found[_ENERGY], 0.0)
            if self.began_kwh is not None and fell_kwh:
                # A counter that starts anew takes nothing from what the vehicle has got.
                self.began_kwh -= fell_kwh
            self.energy_kwh = found[_ENERGY]
            if self.is_plugged and self.began_kwh is None:
                self.began_kwh = self.energy_kwh
        if _SOC in found:
            self.soc = found[_SOC] / 100.0

    @property
    def session_kwh(self) -> float | None:
        """What the vehicle has drawn since it came [kWh]; ``None`` where the counter does not tell."""
        if self.energy_kwh is None or self.began_kwh is None:
            return None
        return max(self.energy_kwh - self.began_kwh, 0.0)


def measurands(sampled: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Totals by measurand [kW, kWh, %]; phases are added up where no total is told.

    Parameters
    ----------
    sampled
        ``sampledValue`` of either version, keys in snake case.
    """
    totals: dict[str, float] = {}
    phases: dict[str, dict[str, float]] = {}
    for each in sampled:
        measurand = each.get("measurand", _ENERGY)
        number = _number(each)
        if number is None:
            continue
        phase = each.get("phase")
        if phase is None:
            totals[measurand] = number
        elif phase.startswith("L") and "-L" not in phase:
            phases.setdefault(measurand, {})[phase[:2]] = number
    return {name: sum(each.values()) for name, each in phases.items()} | totals


def instant(text: str) -> float | None:
    """Time of an ISO text [s since epoch]; without a zone it is UTC, as the protocol has it."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _number(sampled: Mapping[str, Any]) -> float | None:
    try:
        number = float(sampled["value"])
    except (KeyError, TypeError, ValueError):
        return None
    scaled = sampled.get("unit_of_measure") or {}
    unit = sampled.get("unit") or scaled.get("unit")
    if unit is None:
        unit = _UNITS.get(sampled.get("measurand", _ENERGY))
    number *= 10.0 ** scaled.get("multiplier", 0) * _FACTORS.get(unit or "", 1.0)
    return number if math.isfinite(number) else None
