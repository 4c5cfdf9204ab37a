"""The command line: ``run``, ``serve``, ``clear``, ``feeder``, ``device``, ``broker``, ``report`` and more.

Heavy libraries are imported inside the commands that need them, so that ``sharegrid clear`` starts at once.
"""

from __future__ import annotations

import os

# The matrices here are small: a second BLAS thread costs more in waiting than it saves (a linear model of the
# IEEE 123-node feeder takes 3 ms with one thread, 40 ms with two on two busy cores). Set before numpy loads,
# which some of the modules below need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cosim.clear_command import clear
from cosim.command_options import (
    NO_PORT,
    PortOrNone,
    arm_option,
    broker_option,
    force_option,
    intervals_option,
    metrics_option,
    observe_option,
    of_a_run,
    out_option,
    record_option,
    run_id_option,
    scenario_options,
    seed_option,
    start_option,
)
from cosim.control.memory import keep_freed_memory, loading
from cosim.getting_started.commands import doctor, examples, init
from cosim.importing.commands import import_group
from cosim.links.fmi.command import fmi
from cosim.links.helics.command import helics
from cosim.market_studies.commands import study as market_study
from cosim.market_studies.commands import sweep
from cosim.one_line_errors import OneLineErrors
from cosim.replay.command import replay_command
from cosim.security.commands import broker_group
from cosim.study.commands import feeder
from cosim.study.studies import STUDIES
from cosim.study.through_time import run as through_time
from cosim.world.names import ROLES, Role
from devices.program.command import device
from sharegrid.numbers import FiniteRange, WholeRange

if TYPE_CHECKING:
    from cosim.observation.logs import LogForm


def _roles(_ctx: click.Context, param: click.Parameter, value: str | Sequence[str]) -> tuple[str, ...]:
    names = tuple(filter(None, value.split(","))) if isinstance(value, str) else tuple(value)
    known = tuple(Role) if param.name == "roles" else (*ROLES, Role.LAM)
    for name in names:
        if name not in known:
            raise click.BadParameter(f"{name} is no role; choose from {', '.join(known)}")
    return names


@click.group(cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="sharegrid")
@click.option("--log", envvar="SHAREGRID_LOG", type=click.Choice(["plain", "json"]), help="Form of the log.")
@click.option(
    "--log-level",
    envvar="SHAREGRID_LOG_LEVEL",
    default="warning",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
)
def main(log: LogForm | None, log_level: str) -> None:
    """Two-layer energy sharing on a real feeder, in closed loop with AC power flow and devices."""
    keep_freed_memory()
    if log is not None:
        from cosim.observation.logs import log_as

        log_as(log, log_level)


@main.command()
@scenario_options
@intervals_option
@start_option
@out_option
@click.option(
    "--pace", envvar="SHAREGRID_PACE", default="fast", show_default=True, metavar="fast|real|FACTOR"
)
@broker_option
@click.option("--processes", is_flag=True, help="Serve each role in a process of its own.")
@click.option(
    "--spares", is_flag=True, help="With --processes: keep a second one of each ready to take over."
)
@click.option(
    "--lams",
    type=WholeRange(1, 64),
    help="Operate the LAMs in so many shares, with --processes in a process each.",
)
@click.option("--secure", is_flag=True, help="Encrypt, and let each party say only what is its own.")
@seed_option
@metrics_option
@click.option(
    "--view",
    is_flag=False,
    flag_value=NO_PORT,
    type=PortOrNone(0, 65_535),
    metavar="[PORT]",
    help="Show the run in a browser of this computer, at PORT, or at 8050 or a free one.",
)
@record_option
@force_option
@run_id_option
@click.option(
    "--elsewhere",
    default="",
    metavar="ROLE,...",
    callback=_roles,
    help=f"Roles that other processes serve: {', '.join((*ROLES, Role.LAM))}.",
)
@arm_option
@observe_option
@click.option("--without-faults", is_flag=True, help="Leave the scenario's faults out.")
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    help="Run of the same scenario without faults: says what the faults cost.",
)
@click.option(
    "--resume",
    metavar="DIRECTORY",
    type=click.Path(path_type=Path),
    help="Go on with the run in DIRECTORY that was interrupted or killed.",
)
def run(lams: int | None, changes: dict[str, object], **options: Any) -> None:
    """Run SCENARIO (default: the shipped summer day) and write a run directory."""
    if lams is not None:
        changes = {**changes, "market.lam_shares": lams}
    with loading():
        from cosim.options import RunOptions
        from cosim.run import run_command

    sys.exit(run_command(RunOptions(changes=changes, **options)))


@main.command()
@click.argument("roles", metavar="ROLE[,ROLE...]", callback=_roles)
@scenario_options
@broker_option
@click.option("--run-id", required=True, help="Name of the run to serve, as given to `sharegrid run`.")
@intervals_option
@start_option
@seed_option
@metrics_option
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where a stop is written down. Default: runs/RUN_ID."
)
@arm_option
@observe_option
@click.option("--spare", is_flag=True, help="Stand ready, and serve once nobody else does.")
def serve(roles: tuple[str, ...], spare: bool, **options: Any) -> None:
    """Serve ROLEs (market, lam, feeder, devices, emulators) of a run whose clock is elsewhere."""
    with loading():
        from cosim.options import RunOptions
        from cosim.run import serve_command

    sys.exit(serve_command(RunOptions(**options), roles, is_spare=spare))


@main.command()
@of_a_run
@click.option("--reason", default="asked for by hand", show_default=True, help="What the record will say.")
@click.option(
    "--wait", default=10.0, show_default=True, type=FiniteRange(0.0), help="Seconds to wait for an answer."
)
def stop(directory: Path | None, broker: str | None, run_id: str | None, reason: str, wait: float) -> None:
    """Emergency stop: bring all devices of the run in DIRECTORY to their safe values.

    The run goes on, but commands no device any more. Exit status: 0 all are safe, 1 some are not yet.
    """
    from cosim.emergency import address_of, stop_command

    sys.exit(stop_command(address_of("stop", directory, broker, run_id), reason, wait))


main.add_command(clear)


@main.command()
@of_a_run
def top(directory: Path | None, broker: str | None, run_id: str | None) -> None:
    """Watch the services of the run in DIRECTORY until it ends: steps, messages, flags, readings."""
    import asyncio
    from contextlib import suppress

    from cosim.emergency import address_of
    from cosim.observation.top import watch_run

    at = address_of("top", directory, broker, run_id)
    with suppress(KeyboardInterrupt):
        asyncio.run(watch_run(at.broker, at.run))


@main.command()
@of_a_run
@click.option(
    "--to",
    default="-",
    show_default=True,
    metavar="URL",
    help="Where a database takes lines, such as http://127.0.0.1:8086/write?db=lab; - is the terminal.",
)
@click.option("--token", envvar="INFLUX_TOKEN", default="", help="The database's token, where it wants one.")
def influx(directory: Path | None, broker: str | None, run_id: str | None, to: str, token: str) -> None:
    """Tell what the run in DIRECTORY says in InfluxDB's line protocol, as it goes on, until it ends."""
    import asyncio
    from contextlib import suppress
    from functools import partial

    from cosim.emergency import address_of
    from cosim.observation.influx import tell_run

    at = address_of("influx", directory, broker, run_id)
    with suppress(KeyboardInterrupt):
        asyncio.run(tell_run(at.broker, at.run, to, token, partial(click.echo, err=True)))


@main.command()
@of_a_run
@click.option("--port", type=WholeRange(0, 65_535), help="Where to listen. Default: 8050, or a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; others need a token.")
@click.option("--token", envvar="SHAREGRID_VIEW_TOKEN", default="", help="That token. Default: a new one.")
@click.option("--look-only", is_flag=True, help="No emergency stop, and nothing else that commands.")
def view(**options: Any) -> None:
    """Show a run in a browser: one that goes on, or the past one in DIRECTORY with a time slider."""
    from cosim.view.command import ViewOptions, view_command

    view_command(ViewOptions(**options))


for study in (*STUDIES, through_time):
    feeder.add_command(study)
main.add_command(feeder)
main.add_command(market_study)
main.add_command(sweep)
main.add_command(device)
for command in (init, doctor, examples):
    main.add_command(command)
main.add_command(import_group)
main.add_command(broker_group)
main.add_command(replay_command)
main.add_command(helics)
main.add_command(fmi)


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--compare", type=click.Path(path_type=Path), help="Run directory to put beside it.")
def report(directory: Path, compare: Path | None) -> None:
    """Write report.html of a run DIRECTORY anew."""
    from cosim.report import report_command

    click.echo(report_command(directory, compare))


@main.command(name="check")
@scenario_options
@click.option("--devices", is_flag=True, help="Also ask hardware, without writing to it.")
@click.option("--timeout", default=2.0, show_default=True, metavar="S", type=FiniteRange(0.05, 60.0),
              help="For an answer of a device.")  # fmt: skip
def check_scenario(scenario: Path | None, changes: dict[str, object], devices: bool, timeout: float) -> None:
    """Say what SCENARIO comes to: who lives where, how much, who is live, what is to happen. Runs nothing.

    Exit status: 0 nothing is doubtful, 1 something is, 2 a run would refuse it.
    """
    from cosim.scenario_check import check_command

    sys.exit(check_command(scenario, changes, timeout_s=timeout if devices else None))


@main.group()
def ledger() -> None:
    """What was paid in a run."""


@ledger.command()
@click.argument("directory", type=click.Path(path_type=Path))
def check(directory: Path) -> None:
    """Check the ledger of the run in DIRECTORY: sums, chain of hashes, and payments against its tables.

    Exit status: 0 nothing is wrong, 1 something is.
    """
    from cosim.results.ledger_check import check_ledger

    wrong, head = check_ledger(directory)
    for line in wrong:
        click.echo(line)
    count = f"{len(wrong)} finding{'s' if len(wrong) > 1 else ''}"
    click.echo(count if wrong else f"nothing is wrong; the chain ends in {head}")
    sys.exit(1 if wrong else 0)


@main.command(name="scenario")
@scenario_options
@click.option("--changed", is_flag=True, help="Only keys that differ from the default.")
def show_scenario(scenario: Path | None, changes: dict[str, object], changed: bool) -> None:
    """Print SCENARIO (default: the shipped one) with every key and its meaning: a start for one's own."""
    from cosim.scenario import commented_toml, load_scenario

    shown = load_scenario(scenario, changes=changes)
    click.echo(commented_toml(shown, load_scenario() if changed else None), nl=False)
