"""Readings without numbers that no message of the run may hold: its receivers would refuse it whole."""

from typing import TypeVar

import msgspec

from broker.door.bounds import Bounds
from broker.door.content import implausible
from broker.messages import DeviceState, Telemetry
from devices.gateway.reading import Reading

S = TypeVar("S", Reading, DeviceState, Telemetry)


def bounded(reading: Reading, bounds: Bounds) -> tuple[Reading, list[str]]:
    """Take numbers that are beyond the bounds of a run out of a reading.

    Returns
    -------
    Reading
        The same where nothing is. Else such a number is missing, and whoever told it suspect: the meter, or
        one of the devices.
    list of str
        What was taken out, as ``p_kw of 1e+27``.
    """
    kept, found = _bounded(reading, bounds)
    states = [_bounded(state, bounds) for state in reading.devices]
    of_devices = [f"{state.device} {each}" for state, taken in states for each in taken]
    if of_devices:
        kept = msgspec.structs.replace(kept, devices=tuple(state for state, _ in states))
    return kept, found + of_devices


def bounded_energy(telemetry: Telemetry, bounds: Bounds) -> tuple[Telemetry, list[str]]:
    """The same for what was computed of readings that are within the bounds."""
    return _bounded(telemetry, bounds)


def _bounded(told: S, bounds: Bounds) -> tuple[S, list[str]]:
    names = implausible(told, bounds)
    if not names:
        return told, []
    found = [_described(name, getattr(told, name)) for name in names]
    return msgspec.structs.replace(told, quality="suspect", **dict.fromkeys(names)), found


def _described(name: str, value: object) -> str:
    return f"{name} of {value:g}" if isinstance(value, int | float) else name
