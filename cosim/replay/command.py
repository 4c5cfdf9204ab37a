"""``sharegrid replay``: a recorded run once more, and what differs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from sharegrid.errors import SharegridError
from sharegrid.numbers import WholeRange

if TYPE_CHECKING:
    from cosim.replay.account import Account
    from cosim.replay.stepping import Unit


class NoTerminal(SharegridError):
    """Something asks where nobody can answer."""


@click.command(name="replay")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--until", type=WholeRange(0), metavar="INTERVAL", help="The last interval to play.")
@click.option(
    "--step",
    is_flag=False,
    flag_value="interval",
    type=click.Choice(["interval", "message"]),
    help="Stop after each interval (or message), show what was said, and ask how to go on.",
)
def replay_command(directory: Path, until: int | None, step: str | None) -> None:
    """Play the record of the run in DIRECTORY to its market and feeder once more, and name what differs.

    Meters, devices, clock and prosumers speak from the record (`run --record`); market, feeder and ledger
    compute again. Exit status: 0 nothing differs, 1 something does.
    """
    from rich.console import Console

    from cosim.replay.replay import Recorded, replay
    from cosim.replay.stepping import Stepper

    stepper = None
    if step is not None:
        if not sys.stdin.isatty():
            raise NoTerminal("--step asks at a terminal, and there is none: leave it out, or use --until")
        stepper = Stepper(cast("Unit", step), input, click.echo)
    recorded = Recorded(directory)
    console = Console(stderr=True)
    with console.status("building feeder and market") as status:
        if stepper is not None:
            status.stop()
        account = replay(
            recorded,
            until=until,
            watcher=stepper,
            say=lambda line: click.echo(line, err=True),
            on_interval=lambda tick: status.update(f"interval {tick}"),
        )
    _tell(account)
    sys.exit(1 if account.differing else 0)


def _tell(account: Account) -> None:
    for remark in account.remarks:
        click.echo(remark, err=True)
    settled = account.intervals
    span = f"intervals {settled[0]} to {settled[-1]}" if len(settled) > 1 else f"{len(settled)} intervals"
    click.echo(
        f"{span} settled again: {account.played:,} messages played, {account.judged:,} of them said again by "
        "market, feeder and ledger"
    )
    if not account.differing:
        click.echo("nothing differs")
        return
    first, *_ = account.differences
    click.echo(f"first difference: {first}")
    if account.differing > 1:
        click.echo(f"{account.differing - 1} more messages differ")
