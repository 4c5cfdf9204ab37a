"""``sharegrid feeder run``: power flow through time, by default a year of hours."""

from __future__ import annotations

import hashlib
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cosim.study.options import (
    FeederSource,
    limits_of,
    max_option,
    min_option,
    through_time_options,
)
from cosim.study.output import Kind, figures, summary_lines, write_series
from sharegrid.numbers import WholeRange

if TYPE_CHECKING:
    from cosim.feeder.circuit import FeederLayout, Floats
    from cosim.feeder.timeseries import TimeRules
    from cosim.study.shapes import Shape

_DAY_MIN = 1440


@click.command()
@through_time_options
@click.option("--regulators", default="free", show_default=True, type=click.Choice(["free", "held"]))
@min_option
@max_option
@click.option("--voltages", is_flag=True, help="Also write every voltage of every step.")
@click.option("--picture", is_flag=True, help="Also draw voltages and loading over the time.")
@click.option("--format", "kind", default="parquet", show_default=True, type=click.Choice(["parquet", "csv"]))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder for the results.")
@click.option("--jobs", default=1, show_default=True, type=WholeRange(1, 1000), help="Processes.")
@click.option("--resume", is_flag=True, help="Go on with a run that was interrupted.")
@click.option("--force", is_flag=True, help="Replace results, or a run that was interrupted.")
def run(
    master: Path | None,
    lams: Path | None,
    lams_at: str,
    shape: Path | None,
    start: datetime | None,
    steps: int | None,
    step_min: str | None,
    regulators: str,
    voltage_min: float,
    voltage_max: float,
    voltages: bool,
    picture: bool,
    kind: Kind,
    out: Path,
    jobs: int,
    resume: bool,
    force: bool,
) -> None:
    """Run power flow through time, by default a year of hours, regulators and capacitors acting.

    Whatever --jobs is, results are the same to the bit. Days that were gone through are kept until all are,
    so that --resume goes on behind them.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from cosim.feeder.timeseries import TimeRules, joined
    from cosim.study.days import Days, Setup
    from cosim.study.kept_days import KeptDays
    from cosim.study.shapes import shape_of
    from sharegrid.errors import SharegridError

    if out.exists() and not out.is_dir():
        raise SharegridError(f"{out}: is a file; choose a folder that can be written")
    kept = KeptDays(out)
    if (out / "summary.json").exists() and not (force or (resume and kept.is_there)):
        raise SharegridError(
            f"{out}: holds results already; choose another folder or replace them with --force"
        )
    source = FeederSource(master, lams, lams_at)
    own = source.open()
    taken = shape_of(shape, own.layout.lams, start, int(step_min) if step_min else None, steps)
    rules = TimeRules(
        limits_of(own, voltage_min, voltage_max), taken.step_min / 60.0, regulators == "free", voltages
    )
    kept.open(_about(own.layout, taken, rules, voltage_min, voltage_max), resume=resume, force=force)
    first = own.positions()
    days = Days(
        Setup(source.absolute(), rules, out.absolute()),
        own,
        taken.factors,
        _DAY_MIN // taken.step_min,
        taken.kvar_factors,
    )
    columns = TextColumn("steps"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("steps", total=len(taken.factors), completed=days.steps_done)
        try:
            stretches = days.play(jobs, lambda count: progress.advance(bar, count))
        except KeyboardInterrupt:
            progress.stop()
            done = f"{days.steps_done:,} of {len(taken.factors):,} steps"
            raise SharegridError(f"{out}: interrupted after {done}; go on with --resume") from None
    series = joined(own.layout, first, rules, stretches)
    write_series(series, taken.start, taken.step_min, out, kind)
    kept.remove()
    if picture:
        from cosim.study.pictures import series_pictures

        series_pictures(out, own.layout.name, series, rules.step_h)
    title = f"{own.layout.name}, {len(taken.factors):,} steps of {taken.step_min} min"
    click.echo(figures(title, summary_lines(series.summary)))
    click.echo(f"results: {out}")


def _about(
    layout: FeederLayout, shape: Shape, rules: TimeRules, voltage_min: float, voltage_max: float
) -> dict[str, str]:
    """What the figures of a day depend on, by what people call it."""

    def hashed(*parts: object) -> str:
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    return {
        "version of sharegrid": version("sharegrid"),
        "feeder": hashed(layout.name, layout.digest),
        "table of LAMs": hashed(layout.lams, layout.spot_kw.tolist(), layout.tan_phi.tolist()),
        "shape": f"{_hash_of(shape.factors)} {_hash_of(shape.kvar_factors)} {shape.factors.shape}",
        "--start": str(shape.start),
        "--step-min": str(shape.step_min),
        "--voltage-min or --voltage-max": f"{voltage_min!r} {voltage_max!r}",
        "--regulators": "free" if rules.controls_act else "held",
        "--voltages": str(rules.keep_voltages),
    }


def _hash_of(values: Floats | None) -> str:
    return "" if values is None else hashlib.sha256(values.tobytes()).hexdigest()
