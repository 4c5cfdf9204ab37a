"""Readings of a gateway against bare reads by pymodbus's client, from the same server in one run.

    python -m benchmarks.links [--units N] [--ports N] [--repeat N] [--server c|python] [--json FILE]

The server answers every read of an SDM630's registers with the same words at once: libmodbus, in C and with a
process for each connection, where the system has it, else a few lines of Python in one other process.
Both clients make one request for each unit, one at a time on each connection. pymodbus's client then has
registers, the gateway a reading with all its checks. Rounds of both alternate, so that what else the computer
does meets both alike.
"""

import asyncio
import json
import multiprocessing
import statistics
import struct
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import click
from pymodbus.client import AsyncModbusTcpClient

from benchmarks import c_server
from devices.endpoint import LiveProsumer, tcp
from devices.gateway.gateway import Gateway

REGISTERS = 80
POWER, IMPORT, EXPORT = 0x34, 0x48, 0x4A
_HOST = "127.0.0.1"


class Answers(asyncio.Protocol):
    """Answers each read with registers that never change."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note where answers go."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is asked."""
        self._pending += data
        while len(self._pending) >= 12:
            request, self._pending = self._pending[:12], self._pending[12:]
            transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", request)
            body = self._words[2 * address : 2 * (address + count)]
            head = struct.pack(">HHHBBB", transaction, 0, 3 + len(body), unit, function, len(body))
            self._transport.write(head + body)


def image() -> bytes:
    """Registers of a meter."""
    words = bytearray(2 * 0x15A)
    for address, value in ((0x00, 230.0), (POWER, 1234.5), (IMPORT, 100.25), (EXPORT, 12.5)):
        words[2 * address : 2 * address + 4] = struct.pack(">f", value)
    return bytes(words)


def serve_in_c(pipe: Pipe, ports: int) -> None:
    """Serve by libmodbus until the other side says that it is done."""
    c_server.serve(pipe, ports, struct.unpack(f">{0x15A}H", image()))


def serve(pipe: Pipe, ports: int) -> None:
    """Serve until the other side says that it is done."""
    words = image()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        servers = [await loop.create_server(lambda: Answers(words), _HOST, 0) for _ in range(ports)]
        pipe.send([server.sockets[0].getsockname()[1] for server in servers])
        await asyncio.to_thread(pipe.recv)

    asyncio.run(main())


async def library(ports: list[int], units: list[int]) -> Callable[[], Awaitable[None]]:
    """Bare reads by pymodbus's client."""
    clients = [AsyncModbusTcpClient(_HOST, port=port, timeout=10.0) for port in ports]
    for client in clients:
        assert await client.connect()

    async def read(client: AsyncModbusTcpClient) -> None:
        for unit in units:
            reply = await client.read_input_registers(0, count=REGISTERS, device_id=unit)
            assert len(reply.registers) == REGISTERS

    async def everything() -> None:
        await asyncio.gather(*map(read, clients))

    return everything


async def gateway(ports: list[int], units: list[int]) -> Callable[[], Awaitable[None]]:
    """Readings of a gateway."""
    homes = [
        LiveProsumer(id=f"p{port}-{unit}", meter=tcp(_HOST, port, unit, "sdm630"))
        for port in ports
        for unit in units
    ]
    poller = Gateway(homes, timeout_s=10.0)

    async def everything() -> None:
        read = await poller.poll()
        assert {(each.quality, each.import_kwh) for each in read} == {("good", 100.25)}

    return everything


async def compare(ports: list[int], units: list[int], repeat: int) -> dict[str, list[float]]:
    """Readings per second of both, round by round."""
    works = {"pymodbus": await library(ports, units), "gateway": await gateway(ports, units)}
    rates: dict[str, list[float]] = {name: [] for name in works}
    for count in range(repeat + 1):
        for name, work in works.items():
            began = time.perf_counter()
            await work()
            # The first round opens connections and fills caches.
            if count:
                rates[name].append(len(ports) * len(units) / (time.perf_counter() - began))
    return rates


@click.command()
@click.option("--units", default=100, show_default=True, help="Units behind each port.")
@click.option("--ports", default=20, show_default=True)
@click.option("--repeat", default=9, show_default=True)
@click.option("--server", type=click.Choice(["c", "python"]), help="Default: c where libmodbus is installed.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(units: int, ports: int, repeat: int, server: str | None, file: Path | None) -> None:
    """Read with both and print the ratio."""
    server = server or ("c" if c_server.is_there() else "python")
    if server == "c" and not c_server.is_there():
        raise click.UsageError("libmodbus is not installed; on Debian: apt install libmodbus5")
    click.echo("server: " + ("libmodbus (C)" if server == "c" else "Python; install libmodbus5 for one in C"))
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=serve_in_c if server == "c" else serve, args=(other, ports))
    process.start()
    try:
        rates = asyncio.run(compare(pipe.recv(), list(range(1, units + 1)), repeat))
    finally:
        pipe.send("done")
        process.join()
    ratios = [mine / theirs for mine, theirs in zip(rates["gateway"], rates["pymodbus"], strict=True)]
    for name, each in rates.items():
        click.echo(f"{name}: {statistics.median(each):,.0f}/s (median; {min(each):,.0f} to {max(each):,.0f})")
    click.echo(f"ratio: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    if file:
        file.write_text(json.dumps({"rates": rates, "ratios": ratios}, indent=2) + "\n")


if __name__ == "__main__":
    main()
