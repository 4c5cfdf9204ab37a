"""The command ``sharegrid device probe``: what is at an address, as entries that a scenario takes."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sharegrid.numbers import FiniteRange

if TYPE_CHECKING:
    from devices.client.recognition import Found
    from devices.endpoint import Link

_PATIENCE_S = 1.0


@click.command("probe")
@click.argument("address", metavar="tcp://HOST:PORT[/UNIT]|rtu:///dev/ttyX[/UNIT]")
@click.option("--profiles", type=click.Path(path_type=Path), help="Folder of profiles of one's own.")
@click.option("--prosumer", default="NAME", show_default=True, help="Prosumer to name in the entries.")
@click.option(
    "--timeout",
    default=1.0,
    show_default=True,
    type=FiniteRange(0.05, 60.0),
    metavar="S",
    help="For an answer.",
)
def probe(address: str, profiles: Path | None, prosumer: str, timeout: float) -> None:
    """Find out what answers at an address and print its [[devices]] entries. Nothing is written to it."""
    from devices.endpoint import parse_place

    link, unit = parse_place(address)
    for found in asyncio.run(_found(link, unit, profiles, timeout)):
        click.echo(entry_of(found, prosumer))


async def _found(link: "Link", unit: int | None, profiles: Path | None, timeout_s: float) -> "list[Found]":
    """Devices at a link; where that takes long, how long it may take is said."""
    from devices.client.presence import longest_silence_s, usual_units
    from devices.client.probe import probe

    units, most_s = ", ".join(map(str, usual_units(link))), longest_silence_s(link, timeout_s)
    patience = (
        f"asking {link} as unit {units}: up to {most_s:g} s where nobody answers; "
        "a unit in the address is faster"
    )
    say = partial(click.echo, patience if unit is None else f"asking {link} as unit {unit}", err=True)
    timer = asyncio.get_running_loop().call_later(_PATIENCE_S, say)
    try:
        return await probe(link, unit, profiles, timeout_s)
    finally:
        timer.cancel()


def entry_of(found: "Found", prosumer: str) -> str:
    """Entry of a scenario for a device that was found, with what it told as comments."""
    from devices.endpoint import address_of

    lines = [f"# {found.title}"]
    if found.identity:
        lines.append(f"# {found.identity}")
    if found.models:
        lines.append(f"# SunSpec models {', '.join(map(str, found.models))}")
    told = ", ".join(f"{quantity} = {value:g}" for quantity, value in found.reads.items())
    lines.append(f"# now: {told}" if told else "# It tells nothing now; look again when it is awake.")
    if found.unconfirmed:
        lines.append(f"# Unconfirmed is {found.unconfirmed}.")
    lines += [
        "[[devices]]",
        f'prosumer = "{prosumer}"',
        f'profile = "{found.endpoint.profile}"',
        f'connect = "{address_of(found.endpoint)}"',
    ]
    return "\n".join(lines) + "\n"
