"""The commands ``sharegrid import ...``: a lab's own files into tables that a scenario takes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from sharegrid.numbers import WholeRange

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cosim.importing.loose_table import Decimal

files_argument = click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
out_option = click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Table to write, .csv or .parquet."
)
force_option = click.option("--force", is_flag=True, help="Replace that table.")
decimal_option = click.option("--decimal", type=click.Choice([".", ","]), help="Sign of decimals.")


def _zone(_ctx: click.Context, _param: click.Parameter, value: str | None) -> ZoneInfo | None:
    if value is None:
        return None
    try:
        return ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise click.BadParameter(f"{value} is no time zone; give one such as Europe/Berlin") from None


zone_option = click.option(
    "--zone", callback=_zone, metavar="Europe/Berlin", help="Whose local time rows without UTC offset are."
)


@click.group(name="import")
def import_group() -> None:
    """Bring profiles, prosumers and prices of a lab into the form that scenarios take."""


@import_group.command()
@files_argument
@out_option
@force_option
@zone_option
@decimal_option
@click.option("--unit", type=click.Choice(["W", "kW", "MW", "Wh", "kWh", "MWh"]), help="Unit of all values.")
@click.option("--as", "quantity", type=click.Choice(["load", "pv"]), default="load", show_default=True,
              help="What columns are that do not say it.")  # fmt: skip
@click.option("--step", "step_min", type=WholeRange(1, 60), default=15, show_default=True,
              help="Minutes of a row, as run.interval_min.")  # fmt: skip
@click.option("--by-end", is_flag=True, help="A time is that of the end of its step.")
@click.option("--fill", is_flag=True, help="Fill missing values in by straight lines.")
@click.option("--year", type=WholeRange(1990, 2100), help="Move to this year, by whole weeks.")
def profiles(
    files: Sequence[Path],
    out: Path,
    force: bool,
    zone: ZoneInfo | None,
    decimal: Decimal | None,
    unit: str | None,
    quantity: str,
    step_min: int,
    by_end: bool,
    fill: bool,
    year: int | None,
) -> None:
    """Load or PV in time: one column for each meter, one row for each meter and time, or a day in a row.

    Reads CSV of any delimiter, Excel, Parquet and Green Button XML.
    """
    from cosim.importing.profiles import ProfileOptions, import_profiles, magnitudes, write_profiles

    _check_out(out, files, force=force)
    options = ProfileOptions(
        quantity, step_min, zone, unit, decimal, by_end, fill, year
    )  # fmt: skip
    found = import_profiles(list(files), options)
    write_profiles(found, out)
    _say([*found.notes, *magnitudes(found.series)])
    rows = found.series[0].epoch_s.size
    click.echo(f"{out}: {len(found.series)} profiles, {rows} rows of {step_min} min")


@import_group.command()
@click.argument("file", type=click.Path(path_type=Path))
@out_option
@force_option
@decimal_option
def prosumers(file: Path, out: Path, force: bool, decimal: Decimal | None) -> None:
    """Who lives where and owns what, with the columns of docs/scenario.md."""
    from cosim.importing.prosumers import import_prosumers, write_prosumers

    _check_out(out, [file], force=force)
    found = import_prosumers(file, decimal)  # fmt: skip
    write_prosumers(found, out)
    _say(found.notes)
    click.echo(f"{out}: {len(found.rows)} prosumers")


@import_group.command()
@click.argument("file", type=click.Path(path_type=Path))
@zone_option
@decimal_option
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Of this day only; else the mean of all days.")
def prices(file: Path, zone: ZoneInfo | None, decimal: Decimal | None, day: datetime | None) -> None:
    """Prices by local hour, printed as a list for a scenario's prices marked "one or 24".

    Reads tables and ENTSO-E's XML documents of day-ahead prices.
    """
    from cosim.importing.prices import import_prices

    found = import_prices(file, zone, day.date() if day else None, decimal)  # fmt: skip
    _say([*found.notes, f"mean of {found.days} days"], err=True)
    click.echo("[" + ", ".join(f"{price:.5f}" for price in found.by_hour) + "]")


def _check_out(out: Path, files: Sequence[Path], *, force: bool) -> None:
    """Refuse a table that could not be written, or would replace something."""
    if out.suffix not in (".csv", ".parquet"):
        raise click.BadParameter(f"{out}: give a name that ends in .csv or .parquet", param_hint="--out")
    if not out.parent.is_dir():
        raise click.BadParameter(f"{out.parent}: no such directory; make it first", param_hint="--out")
    if out.exists() and out.resolve() in [file.resolve() for file in files]:
        raise click.BadParameter(f"{out}: is what is read; give another name", param_hint="--out")
    if out.exists() and not force:
        raise click.BadParameter(f"{out}: exists; give another name, or --force", param_hint="--out")


def _say(lines: Sequence[str], *, err: bool = False) -> None:
    for line in lines:
        click.echo(f"  {line}", err=err)
