"""What a device remembers over a restart: counters and the charge of its battery, in one small file."""

import time
from pathlib import Path

import msgspec

from devices.durable_file import replace_durably
from devices.emulation.fleet import Fleet
from devices.errors import StateFileError
from sharegrid.decoding import decode_json


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Memory of one prosumer's devices; counters in kWh and kvarh."""

    name: str
    import_kwh: float
    export_kwh: float
    reactive_kvarh: tuple[float, float, float, float]
    pv_kwh: float = 0.0
    soc: float = 0.0
    discharged_kwh: float = 0.0
    charged_kwh: float = 0.0


def snapshot(fleet: Fleet) -> State:
    """State of a fleet of one prosumer."""
    meters, battery = fleet.meters, fleet.battery
    imported, exported = meters.energy_kwh[:, 0].tolist()
    has_battery = bool(battery.soc.size)
    return State(
        name=fleet.prosumers[0].id,
        import_kwh=imported,
        export_kwh=exported,
        reactive_kvarh=tuple(meters.reactive_kvarh[:, 0].tolist()),
        pv_kwh=float(fleet.pv.energy_kwh.sum()),
        soc=float(battery.soc[0]) if has_battery else 0.0,
        discharged_kwh=float(battery.discharged_kwh.sum()),
        charged_kwh=float(battery.charged_kwh.sum()),
    )


def restore(fleet: Fleet, state: State) -> None:
    """Let a fleet of one prosumer go on where it was."""
    fleet.meters.energy_kwh[:, 0] = state.import_kwh, state.export_kwh
    fleet.meters.reactive_kvarh[:, 0] = state.reactive_kvarh
    fleet.pv.energy_kwh[:] = state.pv_kwh
    fleet.battery.soc[:] = state.soc
    fleet.battery.discharged_kwh[:] = state.discharged_kwh
    fleet.battery.charged_kwh[:] = state.charged_kwh


class Loaded(msgspec.Struct, frozen=True):
    """State that a device goes on from; ``note`` says what was wrong with the newest file, if anything."""

    state: State
    note: str = ""


def load_state(path: Path, name: str) -> Loaded | None:
    """State in a file or, where that is damaged or gone, in the one before; ``None`` where there is none yet.

    Raises
    ------
    StateFileError
        Both are damaged, or one is another device's.
    """
    before = _before(path)
    try:
        found = _read(path)
    except StateFileError as error:
        if not before.exists():
            raise
        trouble = str(error)
    else:
        if found is not None:
            return Loaded(_own(found, path, name))
        trouble = f"{path}: is gone"
    older = _read(before)
    if older is None:
        return None
    written = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(before.stat().st_mtime))
    note = f"{trouble}; goes on from {before.name}, written {written}: counters may have fallen"
    return Loaded(_own(older, before, name), note)


def save_state(path: Path, state: State) -> None:
    """Replace the file whole and keep the one before, so that a loss of power leaves one of them.

    Raises
    ------
    StateFileError
        It cannot be written.
    """
    try:
        replace_durably(path, msgspec.json.encode(state), _before(path))
    except OSError as error:
        raise StateFileError(f"{path}: cannot be written ({error.strerror}); check the folder") from None


def _before(path: Path) -> Path:
    return path.with_name(path.name + ".before")


def _read(path: Path) -> State | None:
    try:
        return decode_json(path.read_bytes(), State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise StateFileError(f"{path}: is no state of a device ({error}); move it away") from None


def _own(state: State, path: Path, name: str) -> State:
    if state.name != name:
        raise StateFileError(f"{path}: belongs to {state.name}, not {name}; name another --state")
    return state
