"""Options that the commands of ``sharegrid feeder`` share, and the feeder and limits that they describe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sharegrid.numbers import FiniteNumber, FiniteRange, WholeRange

if TYPE_CHECKING:
    from cosim.feeder.linear import Limits
    from cosim.feeder.opendss import Feeder
    from cosim.feeder.powerflow.opening import OpenCircuit


def _above_the_lower(ctx: click.Context, _param: click.Parameter, value: float) -> float:
    lower = ctx.params.get("voltage_min")
    if lower is not None and value <= lower:
        raise click.BadParameter(f"{value:g} is not above --voltage-min {lower:g}")
    return value


master_argument = click.argument("master", required=False, type=click.Path(path_type=Path))
lams_option = click.option(
    "--lams",
    type=click.Path(path_type=Path),
    is_eager=True,  # before where they attach, which a table says itself
    help="Table of LAMs and their buses. Default: every load bus.",
)


def _without_table(ctx: click.Context, _param: click.Parameter, value: str) -> str:
    if value == "phase" and ctx.params.get("lams") is not None:
        raise click.BadParameter("--lams says where LAMs attach, with their phases; leave one of both out")
    return value


lams_at_option = click.option(
    "--lams-at",
    default="bus",
    show_default=True,
    type=click.Choice(["bus", "phase"]),
    callback=_without_table,
    help="One LAM at each bus with loads, or one on each phase that they stand on.",
)
load_option = click.option(
    "--load",
    default=1.0,
    show_default=True,
    type=FiniteRange(0.0),
    help="Part of its own load at which the feeder is looked at.",
)
min_option = click.option(
    "--voltage-min",
    default=0.95,
    show_default=True,
    type=FiniteRange(0.0),
    is_eager=True,  # before the upper limit, which is held against it
    help="Lower limit [pu].",
)
max_option = click.option(
    "--voltage-max",
    default=1.05,
    show_default=True,
    type=FiniteNumber(),
    callback=_above_the_lower,
    help="Upper limit [pu].",
)


shape_option = click.option(
    "--shape",
    type=click.Path(path_type=Path),
    help="CSV or Parquet file, a row for each step: column `load`, or one named after a LAM, is the part of "
    "its own load that it draws; or profiles from sharegrid import, taken in turn, whose times say where "
    "steps begin and how long they are. Default: the standard household H0, its peak being 1.",
)
start_option = click.option(
    "--start", type=click.DateTime(), help="Begin.  [default: the first row of profiles, else 2024-01-01]"
)
steps_option = click.option(
    "--steps",
    type=WholeRange(1, 10_000_000),
    help="Number of steps. Default: the shape's rows, or a year.",
)
step_option = click.option(
    "--step-min",
    type=click.Choice(["5", "10", "15", "20", "30", "60"]),
    help="Length of a step.  [default: that of profiles, else 60]",
)


def through_time_options(command: Callable[..., None]) -> Callable[..., None]:
    """Options of what follows a feeder through time: which feeder, its loads' shape, and the steps."""
    options = (
        master_argument,
        lams_option,
        lams_at_option,
        shape_option,
        start_option,
        steps_option,
        step_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@dataclass(frozen=True)
class FeederSource:
    """What a feeder is opened from: its master file, a table of LAMs, and whether they attach by phase."""

    master: Path | None
    lams: Path | None
    lams_at: str

    def absolute(self) -> FeederSource:
        """The same from any folder."""
        return FeederSource(
            self.master and self.master.absolute(), self.lams and self.lams.absolute(), self.lams_at
        )

    def open(self) -> Feeder:
        """The feeder, as `open_alone`."""
        return open_alone(self.master, self.lams, self.lams_at)


def open_alone(
    master: Path | None, lams: Path | None, lams_at: str, opened: OpenCircuit | None = None
) -> Feeder:
    """The feeder of a master file, or the one that comes along, with its LAMs, one at each bus or phase."""
    from cosim.feeder_setup.lam_table import open_feeder

    return open_feeder(str(master or ""), str(lams or ""), opened, by_phase=lams_at == "phase")


def limits_of(own: Feeder, voltage_min: float, voltage_max: float) -> Limits:
    """Voltage limits as given, and the feeder's own ratings."""
    from cosim.feeder.linear import Limits

    return Limits(voltage_min, voltage_max, own.layout.rating_a)
