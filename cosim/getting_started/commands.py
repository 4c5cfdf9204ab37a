"""``sharegrid init``, ``sharegrid doctor`` and ``sharegrid examples``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from cosim.command_options import broker_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
def init(folder: Path) -> None:
    """Write a small lab to begin with into FOLDER: scenario, feeder, customers; and say what to do next."""
    from cosim.getting_started.lab import next_steps, write_lab

    click.echo(next_steps(write_lab(folder)))


@click.command()
@broker_option
def doctor(broker: str | None) -> None:
    """Say whether this computer has what runs need. Exit status: 1 where something is lacking."""
    from cosim.getting_started.doctor import findings

    lacking = False
    for state, what, detail in findings(broker, Path("runs")):
        lacking |= state == "lacks"
        mark = {"ok": "ok   ", "note": "note ", "lacks": "LACKS"}[state]
        click.echo(f"{mark}  {what:<12}  {detail}")
    sys.exit(int(lacking))


@click.command()
def examples() -> None:
    """List the example scenarios that `--example NAME` runs, with what they are about."""
    from cosim.scenario.examples import about
    from cosim.scenario.examples import examples as known

    for name, file in sorted(known().items()):
        click.echo(f"{name:<28}{about(file)}")
