"""What is at an address: SunSpec models, or registers by which a profile knows its devices.

It only reads.
"""

from collections.abc import Sequence
from pathlib import Path

from devices.client.connection import Connection
from devices.client.presence import units_there, usual_units
from devices.client.recognition import Found, UnknownUnit
from devices.endpoint import Link
from devices.errors import DeviceTimeout, UnknownDevice


async def probe(
    link: Link, unit: int | None = None, folder: Path | None = None, timeout_s: float = 1.0
) -> list[Found]:
    """Find out what devices are at an address.

    Parameters
    ----------
    link
        Where to look; Modbus.
    unit
        Unit id, or ``None`` to ask those that are usual, and all others where absence is told at once.
    folder
        Folder of the user's profiles.
    timeout_s
        How long to wait for an answer [s].

    Returns
    -------
    list of Found
        At least one.

    Raises
    ------
    DeviceUnreachable, DeviceTimeout
        Nothing accepts the connection, or nobody answers.
    UnknownDevice
        Somebody answers, and no profile fits.
    """
    usual = usual_units(link)
    connection = Connection(link, timeout_s, retry_after_s=0.0)
    found: list[Found] = []
    strangers: list[str] = []
    try:
        for number in await units_there(connection) if unit is None else [unit]:
            at = UnknownUnit(connection, number, folder)
            try:
                found += await at.recognised()
            except UnknownDevice as error:
                strangers.append(str(error))
    finally:
        await connection.close()
    if found:
        return _without_echoes(found)
    if strangers:
        raise UnknownDevice(strangers[0])
    raise DeviceTimeout(
        f"nobody answers at {link} as unit {', '.join(map(str, usual if unit is None else [unit]))}; "
        "check power, wiring, unit id" + (", baud rate and parity" if link.scheme != "tcp" else "")
    )


def _without_echoes(found: Sequence[Found]) -> list[Found]:
    """Devices without those that answer to several unit ids."""
    kept: dict[tuple[str, str, int], Found] = {}
    for each in found:
        # Without a serial number two of a kind cannot be told from one that answers twice.
        number = 0 if each.identity else each.endpoint.unit
        kept.setdefault((each.endpoint.profile, each.identity, number), each)
    return list(kept.values())
