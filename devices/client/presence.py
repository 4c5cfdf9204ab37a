"""Which Modbus units answer at an address, be it only by an exception."""

import time

from devices.client.connection import Connection
from devices.endpoint import Link
from devices.errors import (
    DeviceRefused,
    DeviceTimeout,
    IllegalAddress,
    IllegalFunction,
    IllegalValue,
    MalformedReply,
    WrongUnit,
)

UNITS = (1, 2, 3, 71, 126, 200, 240, 247)
"""Unit ids that are asked where none is given: the usual first ones, and those that makers have chosen."""
TCP_UNITS = (1, 0, 255, *UNITS[1:])
"""The same behind Modbus TCP, where a device may answer to these in its own name."""

# Registers that are asked for to see whether somebody answers: address and function.
_ASKED = ((40000, 3), (0, 4))

# Servers that know their units say in less that there is no such one [s].
_AT_ONCE_S = 0.25

ITS_OWN = (IllegalFunction, IllegalAddress, IllegalValue)
"""Exceptions of a unit itself; others are those of servers and gateways that know of no such unit."""


def usual_units(link: Link) -> tuple[int, ...]:
    """Unit ids that are asked where none is given."""
    return TCP_UNITS if link.scheme == "tcp" else UNITS


def longest_silence_s(link: Link, timeout_s: float) -> float:
    """How long nobody's answers are waited for where no unit id is given [s]."""
    return len(usual_units(link)) * len(_ASKED) * timeout_s


async def units_there(connection: Connection) -> list[int]:
    """Unit ids that somebody answers to.

    Where a server says at once of a usual one that it is not there, all others are asked, too; waiting for
    each of them would take minutes.
    """
    usual = usual_units(connection.link)
    there: list[int] = []
    is_told_at_once = True
    for number in usual:
        began = time.monotonic()
        is_there = await answers(connection, number)
        if is_there:
            there.append(number)
        else:
            is_told_at_once &= is_there is False and time.monotonic() - began < _AT_ONCE_S
    if is_told_at_once and len(there) < len(usual):
        others = (number for number in range(1, 248) if number not in usual)
        there += [number for number in others if await answers(connection, number)]
    return there


async def answers(connection: Connection, unit: int) -> bool | None:
    """Whether somebody answers as this unit, be it by an exception; ``None`` where nobody says anything.

    An exception of a gateway's own says that the unit is not there.
    """
    for address, function in _ASKED:
        connection.let_through(unit)
        try:
            await connection.read(unit, address, 2, function)
        except (DeviceTimeout, MalformedReply, WrongUnit):
            continue
        except DeviceRefused as error:
            return isinstance(error, ITS_OWN)
        return True
    return None
