"""A city of emulated meters behind Modbus TCP: how soon it is up, its memory, and how fast it is polled.

    python benchmarks/fleet.py [--units N] [--repeat N] [--json FILE]

Emulators and gateway are one process each, as in a run with `--elsewhere devices`. Each unit is asked for one
block of 60 registers, one request at a time on each connection; then for what the gateway wants of a meter,
decoded into a reading. The second line of each is the gateway's own processor time for a unit.
"""

import asyncio
import json
import multiprocessing
import resource
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from devices.client.connection import Connection
from devices.endpoint import LiveProsumer
from devices.gateway.gateway import Gateway

BLOCK = 60
INPUT_REGISTERS = 4


def emulate(pipe: Pipe, units: int) -> None:
    """Serve meters until the other side says that it is done."""
    began = time.perf_counter()
    from devices.emulation.fleet import EmulatedProsumer, Fleet

    async def serve() -> None:
        fleet = Fleet([EmulatedProsumer(id=f"m{k}", import_kwh=float(k)) for k in range(units)])
        async with fleet.serving() as live:
            peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            pipe.send((list(live.values()), time.perf_counter() - began, peak_mb))
            await asyncio.to_thread(pipe.recv)

    asyncio.run(serve())


async def blocks(live: list[LiveProsumer], repeat: int) -> list[tuple[float, float]]:
    """Wall and processor time of reading a block of every unit, for each repetition."""
    links = {prosumer.meter.link: Connection(prosumer.meter.link, timeout_s=10.0) for prosumer in live}
    units = {link: [p.meter.unit for p in live if p.meter.link == link] for link in links}

    async def read(link: Any) -> None:
        for unit in units[link]:
            assert len(await links[link].read(unit, 0, BLOCK, INPUT_REGISTERS)) == 2 * BLOCK

    async def everything() -> None:
        await asyncio.gather(*map(read, links))

    await everything()
    taken = [await timed(everything) for _ in range(repeat)]
    for connection in links.values():
        await connection.close()
    return taken


async def readings(live: list[LiveProsumer], repeat: int) -> list[tuple[float, float]]:
    """The same for whole readings through the gateway."""
    gateway = Gateway(live, timeout_s=10.0)

    async def everything() -> None:
        read = await gateway.poll()
        assert [reading.import_kwh for reading in read] == [float(k) for k in range(len(live))]

    await everything()
    taken = [await timed(everything) for _ in range(repeat)]
    await gateway.close()
    return taken


async def timed(work: Any) -> tuple[float, float]:
    """Wall and processor time of a coroutine [s]."""
    wall, processor = time.perf_counter(), time.process_time()
    await work()
    return time.perf_counter() - wall, time.process_time() - processor


@click.command()
@click.option("--units", default=11_250, show_default=True)
@click.option("--repeat", default=5, show_default=True)
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures there.")
def main(units: int, repeat: int, file: Path | None) -> None:
    """Start the fleet, poll it, and print a table."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=emulate, args=(other, units))
    process.start()
    live, up_s, peak_mb = pipe.recv()
    figures: dict[str, Any] = {"units": units, "ports": len({p.meter.link for p in live})}
    figures |= {"up_s": up_s, "emulators_mb": peak_mb}
    try:
        for name, work in (("blocks", blocks), ("readings", readings)):
            taken = asyncio.run(work(live, repeat))
            figures[f"{name}_per_s"] = [units / wall for wall, _ in taken]
            figures[f"{name}_processor_us"] = min(1e6 * processor / units for _, processor in taken)
        figures["gateway_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    finally:
        pipe.send("done")
        process.join()
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def show(figures: dict[str, Any]) -> None:
    """Print the figures."""
    table = Table(title=f"{figures['units']:,} meters behind {figures['ports']} ports", show_header=False)
    table.add_row("up", f"{figures['up_s']:.2f} s")
    table.add_row("memory of the emulators", f"{figures['emulators_mb']:.0f} MB")
    table.add_row("memory of the gateway", f"{figures['gateway_mb']:.0f} MB")
    for name in ("blocks", "readings"):
        rates = sorted(figures[f"{name}_per_s"])
        spread = f"{rates[len(rates) // 2]:,.0f} units/s (median; {rates[0]:,.0f} to {rates[-1]:,.0f})"
        table.add_row(f"{name} read", spread)
        table.add_row("", f"{figures[f'{name}_processor_us']:.0f} µs of the gateway's processor each")
    ratio = max(figures["blocks_per_s"]) / max(figures["readings_per_s"])
    table.add_row("blocks over readings", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
