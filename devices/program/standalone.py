"""One emulated device by itself, in real time: what it is, how time passes in it, what it says and obeys."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

from devices.emulation.battery_face import BatteryModels
from devices.emulation.fleet import Fleet
from devices.emulation.meter_face import MeterModel
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.pv_face import PvModels
from devices.emulation.sdm630_settings import settings
from devices.errors import MapError
from devices.kinds import DeviceKind
from devices.physics.grid_support import GridSupport
from devices.physics.inverter import sunlit_kw
from devices.program.local_unit import LocalUnit
from devices.program.power_file import PowerFile
from devices.program.state_file import load_state, restore, save_state, snapshot
from devices.registers.profiles import load_profile
from devices.registers.sunspec import SunSpecPlace

Kind = Literal["meter", "inverter", "battery"]
ROLES: dict[Kind, DeviceKind] = {"meter": "meter", "inverter": "pv", "battery": "battery"}
# A step after a pause, as of a computer asleep, is not played in one piece.
_LONGEST_STEP_S = 60.0


class Nameplate(msgspec.Struct, frozen=True, kw_only=True):
    """What a device is.

    Attributes
    ----------
    name, kind, profile, model
        Name, kind, profile of its registers, and the SunSpec model that it measures with: 203 or 213 of a
        meter, 103, 113 or 701 of an inverter, 701 or 802 of a battery; empty for the first.
    rating_kw, capacity_kwh, soc, efficiency
        Rating of an inverter [kW]; usable capacity [kWh], first state of charge [0..1] and one-way
        efficiency of a battery.
    modules_kwp
        Peak power of an inverter's modules [kW]; with it, what the sun offers is given as irradiance [W/m2].
    phases, nominal_v, frequency_hz
        Phases 1 to 3 that it is connected to, voltage to neutral [V] and frequency [Hz].
    support
        Grid-support functions of an inverter.
    place
        Where registers of SunSpec models begin.
    """

    name: str
    kind: Kind
    profile: str
    model: str = ""
    rating_kw: float = 5.0
    capacity_kwh: float = 10.0
    soc: float = 0.5
    efficiency: float = 0.95
    modules_kwp: float = 0.0
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 230.0
    frequency_hz: float = 50.0
    support: GridSupport = GridSupport()
    place: SunSpecPlace = SunSpecPlace()

    def prosumer(self) -> EmulatedProsumer:
        """Prosumer of a fleet that has this device alone."""
        battery, pv = self.kind == "battery", self.kind == "inverter"
        return EmulatedProsumer(
            id=self.name,
            phases=self.phases,
            nominal_v=self.nominal_v,
            meter=self.profile if self.kind == "meter" else "sdm630",
            pv_kw=self.rating_kw if pv else 0.0,
            battery_kw=self.rating_kw if battery else 0.0,
            battery_kwh=self.capacity_kwh if battery else 0.0,
            battery_soc=self.soc,
            battery_efficiency=self.efficiency,
        )


class Standalone:
    """A device whose time is the wall's.

    Parameters
    ----------
    plate
        What it is.
    power_kw
        Power that flows through a meter, or that the sun offers an inverter [kW]: a number or a file.
    state
        File that it remembers its counters in; they show what the file holds, so that they never fall,
        whatever ends the process.
    save_every_s
        How often the file is written [s].
    profiles
        Folder of the user's profiles.
    load_kw
        Load beside an inverter or battery, behind the same meter [kW].
    clock, of_day
        Monotonic time, and time of the local day [s].

    Attributes
    ----------
    unit, registers
        Its registers, as a server shows them and through its profile.
    meter
        Registers of the meter that it lies behind; its own where it is one.
    note
        What was wrong with its file, where it goes on from the one before.

    Raises
    ------
    StateFileError
        The file is another device's, or cannot be used.
    MapError
        There is no such profile, it is of another kind, or cannot be emulated.
    """

    def __init__(
        self,
        plate: Nameplate,
        power_kw: float | PowerFile = 0.0,
        state: Path | None = None,
        save_every_s: float = 10.0,
        profiles: Path | None = None,
        load_kw: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        of_day: Callable[[], float] | None = None,
    ) -> None:
        self.plate = plate
        self.fleet = Fleet(
            [plate.prosumer()],
            plate.frequency_hz,
            plate.support,
            profiles=profiles,
            place=plate.place,
            **_models(plate),
        )
        self._power_kw = power_kw
        self._load_kw = load_kw
        self._state = state
        self._save_every_s = save_every_s
        self._clock = clock
        self._of_day = of_day or _local_time_of_day_s
        remembered = load_state(state, plate.name) if state is not None else None
        self.note = remembered.note if remembered is not None else ""
        if remembered is not None:
            restore(self.fleet, remembered.state)
        self.fleet.meters.hold_counters = state is not None
        self.unit = self.fleet.unit(plate.name, ROLES[plate.kind])
        self.meter = self.fleet.unit(plate.name, "meter")
        self.registers = LocalUnit(self.unit, load_profile(plate.profile, profiles), plate.name)
        if self.registers.profile.kind != ROLES[plate.kind]:
            raise MapError(f"profile {plate.profile} is of a {self.registers.profile.kind}; choose another")
        self._began = self._last = self._saved = clock()
        self.fleet.begin(*self._inputs())
        self.save()

    def set_up(self, node: int, baud: int, parity: str, stop_bits: int) -> None:
        """Let its meter show the unit id and the settings of its serial line, where it shows any."""
        bank, row = self.meter.bank, self.meter.row
        if row in bank.holding:
            bank.holding[row] = settings(
                self.plate.name, len(self.plate.phases), node, baud, parity, stop_bits
            )

    def step(self) -> None:
        """Let the time pass that has passed."""
        now = self._clock()
        dt_s, self._last = now - self._last, now
        if dt_s <= 0.0:
            return
        load_kw, load_kvar, sun_kw = self._inputs()
        for _ in range(max(1, math.ceil(dt_s / _LONGEST_STEP_S))):
            part_s = dt_s / max(1, math.ceil(dt_s / _LONGEST_STEP_S))
            self.fleet.advance([load_kw], [load_kvar], [sun_kw], part_s)
        if self._state is not None and now - self._saved >= self._save_every_s:
            self.save()

    def save(self) -> None:
        """Write down what has to survive a restart, and only then show it."""
        if self._state is not None:
            save_state(self._state, snapshot(self.fleet))
            self.fleet.meters.release_counters()
            self._saved = self._clock()

    def set_power(self, power_kw: float | None, valid_s: float) -> None:
        """Limit an inverter or set a battery [kW] for a time [s], or with ``None`` give control back.

        Raises
        ------
        DeviceError
            The device cannot be commanded: it is a meter.
        """
        if power_kw is None:
            self.registers.release()
        else:
            self.registers.set_power(power_kw, valid_s)

    def read(self) -> dict[str, float | None]:
        """What its registers tell, by quantity."""
        return self.registers.read()

    def units(self) -> dict[str, str]:
        """Unit of each quantity of `read`."""
        return self.registers.units()

    def _inputs(self) -> tuple[list[float], list[float], list[float]]:
        """Load, its reactive power and sun, each of one prosumer."""
        power = self._power_kw
        if isinstance(power, PowerFile):
            power_kw = power.at(self._of_day() if power.of_day else self._clock() - self._began)
        else:
            power_kw = power
        if self.plate.kind == "meter":
            return [power_kw], [0.0], [0.0]
        if self.plate.kind == "battery":
            return [self._load_kw], [0.0], [0.0]
        if self.plate.modules_kwp:
            power_kw = float(sunlit_kw(power_kw, self.plate.modules_kwp, self.plate.prosumer().pv_efficiency))
        return [self._load_kw], [0.0], [power_kw]


def _models(plate: Nameplate) -> dict[str, Any]:
    """Argument of a fleet for the SunSpec model that a device measures with."""
    if not plate.model:
        return {}
    if plate.kind == "inverter" and plate.model in get_args(PvModels):
        return {"pv_models": plate.model}
    if plate.kind == "meter" and plate.profile == "sunspec-meter" and plate.model in get_args(MeterModel):
        return {"meter_model": plate.model}
    if plate.kind == "battery" and plate.model in get_args(BatteryModels):
        return {"battery_models": plate.model}
    raise MapError(
        f"{plate.kind} of profile {plate.profile} cannot measure with model {plate.model}; "
        "an inverter has 103, 113 or 701, a battery 701 or 802, a sunspec-meter 203 or 213"
    )


def _local_time_of_day_s() -> float:
    now = time.localtime()
    return now.tm_hour * 3600.0 + now.tm_min * 60.0 + now.tm_sec
