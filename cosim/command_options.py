"""Arguments and options that several commands of ``sharegrid`` share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from sharegrid.numbers import WholeRange

_Command = Callable[..., None]
NO_PORT = -1
"""In place of a port that was left out: one that suits is taken."""


class PortOrNone(WholeRange):
    """A port, or `NO_PORT` where the option stands without one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number that an option's text stands for."""
        return NO_PORT if value == NO_PORT else super().convert(value, param, ctx)


def _changes(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> dict[str, object]:
    from cosim.scenario.changes import parse_changes

    return parse_changes(texts)


_scenario_argument = click.argument("scenario", required=False, type=click.Path(path_type=Path))
_example_option = click.option(
    "--example", metavar="NAME", help="An example that comes along; `sharegrid examples` lists them."
)
_set_option = click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_changes,
    help="Change a key of the scenario, as in market.wam_fee=0.01; may be repeated.",
)


def scenario_options(command: _Command) -> _Command:
    """Let a command take a scenario: a file or an example, and changes of keys.

    The command gets ``scenario``, a path or ``None`` for the default, and ``changes`` by dotted key.
    """

    @wraps(command)
    def with_scenario(scenario: Path | None, example: str | None, **others: Any) -> None:
        if example is not None:
            from cosim.scenario.examples import example as file_of

            if scenario is not None:
                raise click.UsageError(f"give {scenario} or --example {example}, not both")
            scenario = file_of(example)
        command(scenario=scenario, **others)

    return _scenario_argument(_example_option(_set_option(with_scenario)))


def of_a_run(command: _Command) -> _Command:
    """Options that say which run a command is about, wherever it goes on."""
    broker = click.option(
        "--broker",
        envvar="SHAREGRID_BROKER",
        metavar="mqtt://HOST:PORT",
        help="Broker of a run whose directory is elsewhere.",
    )
    run_id = click.option("--run-id", help="Name of that run.")
    directory = click.argument("directory", required=False, type=click.Path(path_type=Path))
    return directory(broker(run_id(command)))


broker_option = click.option(
    "--broker",
    envvar="SHAREGRID_BROKER",
    metavar="auto|embedded|mosquitto|mqtt://HOST:PORT|mqtts://HOST:PORT?credentials=DIR",
    help="Message broker; auto takes Mosquitto where it is installed. Default: what the scenario says.",
)
intervals_option = click.option(
    "--intervals", envvar="SHAREGRID_INTERVALS", type=WholeRange(1), help="How many intervals to run."
)
start_option = click.option(
    "--start", envvar="SHAREGRID_START", metavar="HH:MM", help="Local time of the first interval."
)
seed_option = click.option(
    "--seed", envvar="SHAREGRID_SEED", type=WholeRange(0), help="Seed of everything random."
)
metrics_option = click.option(
    "--metrics", envvar="SHAREGRID_METRICS", metavar="HOST:PORT", help="Serve /metrics and /health there."
)
arm_option = click.option(
    "--arm", envvar="SHAREGRID_ARM", is_flag=True, help="Command the hardware that the scenario arms."
)
observe_option = click.option(
    "--observe", envvar="SHAREGRID_OBSERVE", is_flag=True, help="Read all devices, write none."
)
out_option = click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory. Default: runs/RUN_ID."
)
force_option = click.option("--force", is_flag=True, help="Replace a run that the directory holds.")
run_id_option = click.option(
    "--run-id", help="Name of the run. Default: made from the scenario and the time."
)
record_option = click.option(
    "--record",
    envvar="SHAREGRID_RECORD",
    is_flag=False,
    flag_value=4096,
    type=WholeRange(1),
    metavar="[MB]",
    help="Record what is said on the bus, for `sharegrid replay`: at most 4096 MB, or MB.",
)
