"""Which devices of a run are where: emulated in it, emulated beside it, or hardware."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from cosim.population.members import Population
from cosim.scenario import Scenario, ScenarioError
from cosim.scenario.hardware import DeviceEntry
from devices.endpoint import ChargingWish, Endpoint, LiveProsumer, parse_endpoint
from devices.errors import DeviceError
from devices.kinds import CONSUMERS, DeviceKind
from devices.limits import SetPointLimits
from devices.registers.profiles import load_profile
from devices.registers.schema import Profile
from devices.sources.profiles import source_of
from devices.sources.schema import SourceProfile

# What a connection can carry beside all else, where chargers and loads do not say: 32 A on three phases [kW].
_LEAST_CHARGER_KW = 22.0


@dataclass(frozen=True)
class ExternalDevice:
    """One device outside the run.

    ``obeys`` says that its profile has commands, ``unconfirmed`` what of them rests on a single source,
    ``rated_kw`` the rating that its owner states [kW], 0 where nobody does.
    """

    entry: DeviceEntry
    kind: DeviceKind
    endpoint: Endpoint
    obeys: bool
    unconfirmed: str = ""
    rated_kw: float = 0.0

    @property
    def is_real(self) -> bool:
        """Whether it lives in real time."""
        return self.entry.clock == "real"

    @property
    def wish(self) -> ChargingWish:
        """What a vehicle at a charger wants, where the charger does not tell."""
        hours, _, minutes = self.entry.departs.partition(":")
        return ChargingWish(
            energy_kwh=self.entry.energy_kwh or None,
            departs_min=60.0 * int(hours) + int(minutes) if minutes else None,
        )

    @property
    def envelope(self) -> str:
        """From where to where it may be set, for people."""
        return f"{self.entry.min_kw:g} to {self.entry.max_kw:g} kW"

    @property
    def authority(self) -> str:
        """What a run may do with it, with its whole envelope, for people."""
        if not self.is_real:
            return "emulated elsewhere"
        if self.kind == "meter":
            return "hardware"
        if not (self.entry.armed or self.entry.min_kw or self.entry.max_kw):
            return "hardware, not armed"
        may = "may be armed" if self.entry.armed else "not armed"
        return f"hardware, {may}: {self.limits(arm=False).words}"

    def limits(self, *, arm: bool) -> SetPointLimits:
        """What no set-point to it may leave; ``arm`` says that the run may command hardware."""
        entry = self.entry
        if not self.is_real:
            return SetPointLimits()
        return SetPointLimits(
            real=True,
            armed=arm and entry.armed,
            min_kw=entry.min_kw,
            max_kw=entry.max_kw,
            ramp_kw_per_s=entry.ramp_kw_per_s or math.inf,
            write_interval_s=entry.write_interval_s,
            revert_s=entry.revert_s or math.inf,
            safe_kw=entry.safe_kw,
            writes_per_day=entry.writes_per_day,
            rated_kw=self.rated_kw,
        )


@dataclass(frozen=True)
class DevicePlacement:
    """Devices outside the run, by prosumer and kind.

    Attributes
    ----------
    profiles
        Folder of the user's profiles.
    """

    external: Mapping[str, Mapping[DeviceKind, ExternalDevice]]
    profiles: Path | None

    @property
    def hardware(self) -> list[ExternalDevice]:
        """Devices that live in real time."""
        return [each for kinds in self.external.values() for each in kinds.values() if each.is_real]

    @property
    def followers(self) -> dict[str, Mapping[DeviceKind, ExternalDevice]]:
        """Prosumers whose devices are emulated in another process that follows the run's clock."""
        return {
            name: kinds
            for name, kinds in self.external.items()
            if not any(each.is_real for each in kinds.values())
        }

    @property
    def worth(self) -> dict[str, dict[str, float]]:
        """Chargers and loads by prosumer and kind, and what a kWh is worth to each [$/kWh]; 0 for retail."""
        return {
            name: {kind: each.entry.worth for kind, each in kinds.items() if kind in CONSUMERS}
            for name, kinds in self.external.items()
            if kinds.keys() & CONSUMERS
        }

    def drawn_kw(self, prosumer: str) -> float:
        """The most that a prosumer's chargers and loads may draw [kW]."""
        kinds = self.external.get(prosumer, {})
        return sum(
            max(_LEAST_CHARGER_KW, -each.entry.min_kw) for kind, each in kinds.items() if kind in CONSUMERS
        )

    def connect(self, emulated: LiveProsumer, *, arm: bool, observe: bool) -> LiveProsumer:
        """Devices of a prosumer: those that are emulated here, but for the ones outside.

        Parameters
        ----------
        emulated
            What is emulated.
        arm
            Whether hardware that its entry arms may be commanded.
        observe
            Whether nothing may be commanded at all.
        """
        kinds = self.external.get(emulated.id, {})
        pv, battery, meter = (kinds.get(kind) for kind in ("pv", "battery", "meter"))
        ev, load = kinds.get("ev"), kinds.get("load")
        changed = msgspec.structs.replace(
            emulated,
            meter=meter.endpoint if meter else emulated.meter,
            real_meter=bool(meter and meter.is_real),
            pv=pv.endpoint if pv else emulated.pv,
            pv_limits=pv.limits(arm=arm) if pv else emulated.pv_limits,
            battery=battery.endpoint if battery else emulated.battery,
            battery_limits=battery.limits(arm=arm) if battery else emulated.battery_limits,
            ev=ev.endpoint if ev else emulated.ev,
            ev_limits=ev.limits(arm=arm) if ev else emulated.ev_limits,
            session=ev.wish if ev else emulated.session,
            load=load.endpoint if load else emulated.load,
            load_limits=load.limits(arm=arm) if load else emulated.load_limits,
        )
        return msgspec.structs.replace(changed, **_observed(changed)) if observe else changed


def place_devices(scenario: Scenario, people: Population) -> DevicePlacement:
    """Devices outside a run, as its scenario names them.

    Raises
    ------
    ScenarioError
        An entry names no live prosumer, a device that it does not own, an unknown profile, an address of
        another form, or an envelope in which the device cannot work.
    """
    folder = Path(scenario.live.profiles) if scenario.live.profiles else None
    owned = {people.id[k]: _owned(people, k) for k in range(people.size) if people.live[k]}
    # Ratings that were drawn say nothing of a lab's own device.
    stated = np.flatnonzero(people.live) if scenario.tables.prosumers else ()
    rated: dict[str, dict[DeviceKind, float]] = {
        people.id[k]: {"pv": float(people.pv_kwp[k]), "battery": float(people.battery_kw[k])} for k in stated
    }
    found: dict[str, dict[DeviceKind, ExternalDevice]] = defaultdict(dict)
    for number, entry in enumerate(scenario.devices, start=1):
        where = f"[[devices]] {number} ({entry.prosumer})"
        try:
            external = _external(entry, folder)
        except DeviceError as error:
            raise ScenarioError(f"{where}: {error}") from None
        wrong = _entry_wrong(external, owned, found) or _envelope_wrong(entry, external.kind)
        if wrong:
            raise ScenarioError(f"{where}: {wrong}")
        rated_kw = rated.get(entry.prosumer, {}).get(external.kind, 0.0)
        found[entry.prosumer][external.kind] = replace(external, rated_kw=rated_kw)
    for name, kinds in found.items():
        if wrong := _group_wrong(kinds, owned[name]):
            raise ScenarioError(f"[[devices]] of {name}: {wrong}")
    return DevicePlacement(dict(found), folder)


def profile_of(entry: DeviceEntry, folder: Path | None) -> Profile | SourceProfile:
    """Profile of an entry, of registers or of messages; raises `DeviceError`."""
    endpoint = parse_endpoint(entry.connect, entry.profile)
    if endpoint.link.is_modbus:
        return load_profile(entry.profile, folder)
    return source_of(endpoint, folder)


def _external(entry: DeviceEntry, folder: Path | None) -> ExternalDevice:
    profile = profile_of(entry, folder)
    obeys = profile.obeys if isinstance(profile, SourceProfile) else bool(profile.commands.set)
    unconfirmed = profile.unconfirmed if isinstance(profile, Profile) else ""
    endpoint = parse_endpoint(entry.connect, entry.profile)
    return ExternalDevice(entry, profile.kind, endpoint, obeys, unconfirmed)


def _owned(people: Population, k: int) -> set[DeviceKind]:
    owned: set[DeviceKind] = {"meter", *CONSUMERS}
    owned |= {"pv"} if people.pv_kwp[k] > 0.0 else set()
    owned |= {"battery"} if people.has_battery[k] else set()
    return owned


def _entry_wrong(
    new: ExternalDevice,
    owned: Mapping[str, set[DeviceKind]],
    found: Mapping[str, Mapping[DeviceKind, ExternalDevice]],
) -> str | None:
    """What cannot be true of an entry, given what live prosumers own and the entries before."""
    name, link = new.entry.prosumer, new.endpoint.link
    if name not in owned:
        some = ", ".join(list(owned)[:3]) or "nobody"
        return f"no live prosumer has this name; live are {some}, ..."
    if new.kind not in owned[name]:
        return f"the prosumer owns no {new.kind}; correct prosumer or profile"
    if new.kind in found.get(name, {}):
        return f"its {new.kind} is named twice; remove one entry"
    if not link.is_modbus and new.entry.clock == "run":
        return f"{link} lives in real time; remove clock"
    if new.entry.armed and new.kind == "meter":
        return "armed, but a meter takes no commands; leave armed out"
    if new.entry.armed and not new.obeys:
        return f"armed, but profile {new.entry.profile} only reads; name one with commands"
    if new.entry.armed and new.unconfirmed and not new.entry.accept_unconfirmed:
        return (
            f"armed, but profile {new.entry.profile} leaves unconfirmed {new.unconfirmed}; try that by hand "
            "and set accept_unconfirmed = true, or only read it"
        )
    others = [each.endpoint for kinds in found.values() for each in kinds.values()]
    if any(_is_same(new.endpoint, each) for each in others):
        return f"{new.endpoint} is named before; give each device its own"
    if any(each.link.place == link.place and each.link != link for each in others if link.scheme == "rtu"):
        return f"{link} has other settings in an entry before; use one for all"
    return None


def _is_same(one: Endpoint, other: Endpoint) -> bool:
    """Whether two addresses are of one device; on a broker, a name may stand for several profiles."""
    here = (one.link, one.unit, one.name) == (other.link, other.unit, other.name)
    return here and (one.link.is_modbus or one.profile == other.profile)


def _observed(live: LiveProsumer) -> dict[str, SetPointLimits]:
    return {
        name: msgspec.structs.replace(limits, armed=False)
        for name in ("pv_limits", "battery_limits", "ev_limits", "load_limits")
        for limits in [getattr(live, name)]
    }


def _envelope_wrong(entry: DeviceEntry, kind: DeviceKind) -> str | None:
    if kind == "meter" or entry.clock == "run":
        return None
    if entry.min_kw > entry.max_kw:
        return f"min_kw = {entry.min_kw:g} is above max_kw = {entry.max_kw:g}; swap or correct them"
    if kind in CONSUMERS and entry.armed and not entry.min_kw < entry.max_kw <= 0.0:
        return "chargers and loads only draw: give min_kw below 0 and max_kw = 0"
    if kind == "pv" and entry.armed and min(entry.max_kw, entry.safe_kw) < 0.0:
        return "PV only generates: give max_kw and safe_kw of 0 or more"
    if entry.armed and entry.min_kw == entry.max_kw:
        return "armed, but its envelope is a single value; give min_kw and max_kw"
    if entry.armed and not entry.min_kw <= entry.safe_kw <= entry.max_kw:
        return f"safe_kw = {entry.safe_kw:g} is outside min_kw to max_kw; correct it"
    return None


def _group_wrong(kinds: Mapping[DeviceKind, ExternalDevice], owned: set[DeviceKind]) -> str | None:
    """What cannot be true of all devices of one prosumer together."""
    if "meter" not in kinds:
        return "an emulated meter cannot see an inverter outside the run; name its meter too"
    clocks = {each.entry.clock for each in kinds.values()}
    if len(clocks) > 1:
        return 'clock = "run" and clock = "real" cannot be mixed; use one for all'
    if clocks == {"run"} and kinds.keys() != owned - CONSUMERS:
        if others := kinds.keys() & CONSUMERS:
            return f'clock = "run" is of emulators, and none emulates its {min(others)}; remove clock'
        missing = ", ".join(sorted(owned - CONSUMERS - kinds.keys()))
        return f'with clock = "run" all its devices are outside; name its {missing} too'
    return None
