"""SunSpec: where the models of a chain lie, for a device that is emulated and for one that is met.

A device shows the marker "SunS" at one of three base addresses, then models one after another, each with
its ID and length, then an end marker. `devices.registers.discovery` finds out where they lie in a device.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from devices.registers.models import model
from devices.registers.points import Point, word_count
from devices.registers.schema import Profile

BASES = (40000, 0, 50000)
MARKER = (0x5375, 0x6E53)
END = 0xFFFF


class Layout(msgspec.Struct, frozen=True):
    """Register image of a device: points counted from ``base``, and words that never change.

    SunSpec points are named ``model.point``, as ``103.W``, and so are their scale factors.
    """

    base: int
    length: int
    functions: frozenset[int]
    points: dict[str, Point]
    fixed: dict[int, int]


class SunSpecPlace(msgspec.Struct, frozen=True):
    """Where an emulated device begins: address of its marker, and length of its common model, 65 or 66."""

    base: int = BASES[0]
    common_length: Literal[65, 66] = 66


_USUAL = SunSpecPlace()


def flat_layout(profile: Profile) -> Layout:
    """Layout of a device with points at fixed addresses."""
    access, points = profile.modbus, profile.points
    end = max((point.at + word_count(point) for point in points.values()), default=0)
    functions: set[int] = {
        access.read_function,
        *(point.function for point in points.values() if point.function),
    }
    if any(point.rw for point in points.values()):
        functions.add(access.write_function)
    return Layout(0, access.length or end, frozenset(functions), points, {})


def sunspec_layout(model_ids: Sequence[int], place: SunSpecPlace = _USUAL) -> Layout:
    """Layout of a SunSpec device that serves the given models in this order.

    Parameters
    ----------
    model_ids
        Models after one another; the first is 1 by the standard.
    place
        Where it begins, and how long its common model is.
    """
    points: dict[str, Point] = {}
    fixed = dict(enumerate(MARKER))
    start = len(MARKER)
    for model_id in model_ids:
        described = model(model_id)
        length = place.common_length if model_id == 1 else described.length
        fixed |= {start: model_id, start + 1: length}
        for name, point in described.points.items():
            if point.at + word_count(point) > length + 2:
                continue  # A common model of 65 registers lacks the padding.
            sf = f"{model_id}.{point.sf}" if isinstance(point.sf, str) else point.sf
            points[f"{model_id}.{name}"] = msgspec.structs.replace(point, at=start + point.at, sf=sf)
        start += length + 2
    fixed |= {start: END, start + 1: 0}
    return Layout(place.base, start + 2, frozenset({3, 6, 16}), points, fixed)
