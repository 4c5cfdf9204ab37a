"""Modbus TCP servers in front of register images: many units to a port, free ports unless one is asked for.

The image is the only state: a read copies words out of it, a write goes into it under its rules. Nothing
awaits in between, because the server would mix up transactions.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.server.base import ModbusBaseServer
from pymodbus.simulator import DataType, SimData, SimDevice

from devices.emulation.bank import ILLEGAL_ADDRESS, ILLEGAL_FUNCTION, RegisterBank
from devices.endpoint import Link
from devices.errors import ServerError

MOST_UNITS = 245
_READ_HOLDING = 3

# The server logs a traceback for every request to an unknown unit, which clients may send at any time.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of a bank, to be served under an id of its own."""

    bank: RegisterBank
    row: int


async def start_servers(
    groups: Sequence[Sequence[Unit]],
    host: str,
    ports: Sequence[int] = (),
    units_per_port: int = MOST_UNITS,
    apart: Collection[int] = (),
) -> tuple[list[ModbusTcpServer], list[list[tuple[int, int]]]]:
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
    servers: list[ModbusTcpServer] = []
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


async def stop_servers(servers: Sequence[ModbusBaseServer]) -> None:
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


async def _serve(servers: list[ModbusTcpServer], units: Sequence[Unit], host: str, port: int) -> int:
    devices = [_sim_device(number, unit) for number, unit in enumerate(units, start=1)]
    server = ModbusTcpServer(devices, address=(host, port))
    if not await server.listen():
        raise ServerError(
            f"no Modbus server could be opened at {host}:{port}: taken or not ours; choose another port"
        )
    servers.append(server)
    return port_of(server)


async def serve_units(units: Mapping[int, Unit], link: Link) -> ModbusBaseServer:
    """Serve units on a TCP port or a serial line.

    Parameters
    ----------
    units
        Registers by unit id, 1 to 247.
    link
        ``tcp`` with host and port (0 takes a free one), or ``rtu`` with a serial port.

    Returns
    -------
    ModbusBaseServer
        To be given to `stop_servers`.

    Raises
    ------
    ServerError
        The port cannot be opened; names it.
    """
    devices = [_sim_device(number, unit) for number, unit in units.items()]
    server: ModbusBaseServer
    if link.scheme == "tcp":
        server = ModbusTcpServer(devices, address=(link.place, link.port))
    else:
        # Other units share the line: what is not for these is not to be answered.
        server = ModbusSerialServer(
            devices,
            port=link.place,
            baudrate=link.baud,
            parity=link.parity,
            stopbits=link.stop_bits,
            ignore_missing_devices=True,
        )
    if not await server.listen():
        remedy = (
            "the port is taken or not ours: choose another port, or 0"
            if isinstance(server, ModbusTcpServer)
            else "see that it exists, is a serial port that nobody else holds, and may be opened"
        )
        raise ServerError(f"no Modbus server could be opened at {link}; {remedy}")
    return server


def port_of(server: ModbusBaseServer) -> int:
    """TCP port that a server listens at."""
    bound: int = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    return bound


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
    bank = unit.bank
    if unit.row in bank.failing:
        return ExcCodes(bank.failing[unit.row])
    if function == _READ_HOLDING and unit.row in bank.holding:
        held = bank.read_holding(unit.row, address, count)
        if held is None:
            return ExcCodes(ILLEGAL_ADDRESS)
        current[address - start : address - start + count] = held
        return None
    if function not in bank.layout.functions:
        return ExcCodes(ILLEGAL_FUNCTION)
    if written is not None:
        refused = bank.write(unit.row, address, [int(word) for word in written])
        return ExcCodes(refused) if refused else None
    current[address - start : address - start + count] = bank.read(unit.row, address, count)
    return None
