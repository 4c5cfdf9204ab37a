"""Modbus servers in front of register images: many units to a TCP port, free ports unless one is asked for.

TCP is served by `devices.emulation.tcp_server`, serial lines by pymodbus; both answer by the same rules.
"""

import asyncio
import logging
import struct
from collections.abc import Collection, Mapping, Sequence
from functools import partial

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.emulation.answers import WRITE_MANY, WRITE_ONE, Unit, answer
from devices.emulation.tcp_server import TcpServer
from devices.endpoint import Link
from devices.errors import ServerError

MOST_UNITS = 245
Server = TcpServer | ModbusSerialServer

# The server logs a traceback for every request to an unknown unit, which clients may send at any time.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


async def start_servers(
    groups: Sequence[Sequence[Unit]],
    host: str,
    ports: Sequence[int] = (),
    units_per_port: int = MOST_UNITS,
    apart: Collection[int] = (),
) -> tuple[list[TcpServer], list[list[tuple[int, int]]]]:
    """Serve groups of units, those of a group behind the same port.

    Parameters
    ----------
    groups
        Units that belong together, at most ``units_per_port`` to a group.
    host
        Address to bind.
    ports
        Ports to use, in order; free ones are taken when they run out.
    units_per_port
        Most units behind one port, at most 245.
    apart
        Indices of groups that get a port of their own.

    Returns
    -------
    servers
        To be given to `stop_servers`.
    places
        Port and unit id of every unit, in the shape of ``groups``.

    Raises
    ------
    ServerError
        A port cannot be bound; names it. Nothing is left running.
    """
    servers: list[TcpServer] = []
    places: list[list[tuple[int, int]]] = []
    wanted = iter(ports)
    try:
        for together in _by_port(groups, min(units_per_port, MOST_UNITS), apart):
            units = [unit for group in together for unit in group]
            port = await _serve(servers, units, host, next(wanted, 0))
            number = 1
            for group in together:
                places.append([(port, number + k) for k in range(len(group))])
                number += len(group)
    except BaseException:
        await stop_servers(servers)
        raise
    return servers, places


async def stop_servers(servers: Sequence[Server]) -> None:
    """Close ports and connections."""
    for server in servers:
        server.close()
    await asyncio.sleep(0)


def _by_port(
    groups: Sequence[Sequence[Unit]], most: int, apart: Collection[int]
) -> list[list[Sequence[Unit]]]:
    """Groups in order, as many to a port as fit, those apart alone."""
    shelves: list[list[Sequence[Unit]]] = []
    room = 0
    for number, group in enumerate(groups):
        alone = number in apart
        if len(group) > room or alone:
            shelves.append([])
            room = most
        shelves[-1].append(group)
        room = 0 if alone else room - len(group)
    return shelves


async def _serve(servers: list[TcpServer], units: Sequence[Unit], host: str, port: int) -> int:
    server = TcpServer(dict(enumerate(units, start=1)))
    try:
        await server.listen(host, port)
    except OSError:
        raise ServerError(
            f"no Modbus server could be opened at {host}:{port}: taken or not ours; choose another port"
        ) from None
    servers.append(server)
    return server.port


async def serve_units(units: Mapping[int, Unit], link: Link) -> Server:
    """Serve units on a TCP port or a serial line.

    Parameters
    ----------
    units
        Registers by unit id, 1 to 247.
    link
        ``tcp`` with host and port (0 takes a free one), or ``rtu`` with a serial port.

    Returns
    -------
    Server
        To be given to `stop_servers`.

    Raises
    ------
    ServerError
        The port cannot be opened; names it.
    """
    if link.scheme == "tcp":
        server = TcpServer(units)
        try:
            await server.listen(link.place, link.port)
        except OSError:
            raise ServerError(
                f"no Modbus server could be opened at {link}; "
                "the port is taken or not ours: choose another port, or 0"
            ) from None
        return server
    serial = ModbusSerialServer(
        [_sim_device(number, unit) for number, unit in units.items()],
        port=link.place,
        baudrate=link.baud,
        parity=link.parity,
        stopbits=link.stop_bits,
        # Other units share the line: what is not for these is not to be answered.
        ignore_missing_devices=True,
    )
    if not await serial.listen():
        raise ServerError(
            f"no Modbus server could be opened at {link}; "
            "see that it exists, is a serial port that nobody else holds, and may be opened"
        )
    return serial


def _sim_device(number: int, unit: Unit) -> SimDevice:
    layout = unit.bank.layout
    registers = SimData(layout.base, count=layout.length, datatype=DataType.REGISTERS)
    return SimDevice(number, simdata=[registers], action=partial(_answer, unit))


async def _answer(
    unit: Unit,
    function: int,
    start: int,
    address: int,
    count: int,
    current: list[int],
    written: list[int] | list[bool] | None,
) -> ExcCodes | None:
    """Fill in the registers asked for, or take those written."""
    words = [] if written is None else [int(word) for word in written]
    pdu = struct.pack(">BHH", function, address, words[0] if function == WRITE_ONE else count)
    if function == WRITE_MANY:
        pdu += struct.pack(f">B{count}H", 2 * count, *words)
    reply = answer(unit, pdu)
    if reply[0] != function:
        return ExcCodes(reply[1])
    if written is None:
        current[address - start : address - start + count] = struct.unpack(f">{count}H", reply[2:])
    return None
