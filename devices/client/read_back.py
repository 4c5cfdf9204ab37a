"""Whether a device took what it was sent: registers that read back, within what devices round."""

from collections.abc import Collection, Mapping

import msgspec

from devices.registers.commands import Command
from devices.registers.points import TIMES, Point

# What arithmetic with floats may add to a value.
_ROUNDING = 1e-9


def differing(
    command: Command,
    points: Mapping[str, Point],
    shown: Mapping[str, float | None],
    back: Mapping[str, bytes],
    wanted: Mapping[str, bytes],
    lacking: Collection[str],
) -> str | None:
    """First point that does not hold what was written; ``None`` where all do.

    A power may be off by the tolerance of the command, and a time by anything: what a time reads as is what
    the device keeps to.

    Parameters
    ----------
    command
        What was written.
    points
        Its points.
    shown, back
        What the device shows: values, and bytes as they are.
    wanted
        Bytes that were written.
    lacking
        Points that the device does not implement and may lack.
    """
    for name, value in command.values.items():
        if name in command.unread or name in command.unverified or points[name].unit in TIMES:
            continue
        if back[name] == wanted[name] or name in lacking:
            continue
        seen = shown.get(name)
        if seen is None or abs(seen - value) > command.tolerance.get(name, 0.0):
            return name
    return None


def corrected(command: Command, shown: Mapping[str, float | None]) -> Command | None:
    """Command that brings powers back which a device rounded beyond their bounds; ``None`` where none is."""
    changed: dict[str, float] = {}
    for name, (low, high) in command.bounds.items():
        seen = shown.get(name)
        if seen is None:
            continue
        for edge, way in ((high, 1.0), (low, -1.0)):
            if edge is not None and way * (seen - float(edge)) > _ROUNDING * max(1.0, abs(seen)):
                changed[name] = 2.0 * float(edge) - seen
    if not changed:
        return None
    writes = [{name: changed.get(name, value) for name, value in batch.items()} for batch in command.writes]
    return msgspec.structs.replace(command, writes=writes)
