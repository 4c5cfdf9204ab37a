"""``sharegrid feeder hosting``, ``losses`` and ``ageing``: studies, each with a table and a picture."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from cosim.study.options import (
    lams_at_option,
    lams_option,
    limits_of,
    load_option,
    master_argument,
    max_option,
    min_option,
    open_alone,
    through_time_options,
)
from cosim.study.output import figures, say, write_tables
from sharegrid.numbers import FiniteNumber, FiniteRange

if TYPE_CHECKING:
    from cosim.study.ageing import Ageing

out_option = click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the table and the picture."
)
_SHOWN = 10


@click.command()
@master_argument
@lams_option
@lams_at_option
@click.option(
    "--load",
    default=0.3,
    show_default=True,
    type=FiniteRange(0.0),
    help="Part of its own load that each LAM draws.",
)
@click.option(
    "--most", default=5000.0, show_default=True, type=FiniteRange(0.0), help="Bound of the search [kW]."
)
@click.option(
    "--bus", "buses", multiple=True, help="LAM to look at; several times for several. Default: all."
)
@click.option(
    "--flexible",
    default=0.2,
    show_default=True,
    type=FiniteRange(0.0, 1.0),
    help="Part of their load that LAMs may draw more or less in the market; 0: no market.",
)
@min_option
@max_option
@out_option
def hosting(
    master: Path | None,
    lams: Path | None,
    lams_at: str,
    load: float,
    most: float,
    buses: tuple[str, ...],
    flexible: float,
    voltage_min: float,
    voltage_max: float,
    out: Path,
) -> None:
    """Find how much PV the feeder takes at each LAM, without and with a market, by AC power flow."""
    from rich.console import Console
    from rich.progress import track

    from cosim.study.hosting import HostingStudy, rest
    from cosim.study.pictures import bars, feeder_map
    from sharegrid.errors import SharegridError
    from sharegrid.text import closest

    own = open_alone(master, lams, lams_at)
    layout = own.layout
    unknown = [bus for bus in buses if bus not in layout.lams]
    if unknown:
        hint = closest(unknown[0], list(layout.lams)) or "sharegrid feeder check tells how many there are"
        raise SharegridError(f"--bus {unknown[0]}: the feeder has no such LAM; {hint}")
    rest(own, load)
    study = HostingStudy(own, limits_of(own, voltage_min, voltage_max), load, flexible, most)
    wanted = [layout.lams.index(bus) for bus in buses] or range(len(layout.lams))
    console = Console(stderr=True)
    found = [
        study.of(lam, with_market=flexible > 0.0)
        for lam in track(wanted, "LAMs", console=console, transient=True)
    ]
    columns = {
        "lam": [each.lam for each in found],
        "capacity_kw": np.array([each.capacity_kw for each in found]),
        "limited_by": [each.limited_by for each in found],
    }
    if flexible > 0.0:
        columns["with_market_kw"] = np.array([each.with_market_kw for each in found], dtype=np.float64)
    write_tables(out, "csv", {"hosting": columns})
    bus_of = dict(zip(layout.lams, layout.lam_bus, strict=True))
    ordered = sorted(found, key=lambda each: each.capacity_kw)
    # A bus with a LAM on each phase takes what the least of them takes.
    by_bus = {bus_of[each.lam]: each.capacity_kw for each in reversed(ordered)}
    pictures = [out / "capacity.png"]
    if layout.coordinates.keys() & by_bus.keys():
        pictures.insert(0, out / "hosting.png")
        feeder_map(pictures[0], f"PV that {layout.name} takes at one bus", layout, by_bus, "kW")
    else:
        say("no bus has coordinates: no map is drawn", "yellow")
    series = {"without market": np.array([each.capacity_kw for each in ordered])}
    if flexible > 0.0:
        series["with market"] = np.array([each.with_market_kw for each in ordered], dtype=np.float64)
    names = [each.lam for each in ordered]
    bars(pictures[-1], f"PV that {layout.name} takes at one bus", names, series, "kW")
    lines = {
        each.lam: f"{each.capacity_kw:,.0f} kW"
        + ("" if each.with_market_kw is None else f", {each.with_market_kw:,.0f} kW with the market")
        + (f"; {each.limited_by}" if each.limited_by else "")
        for each in ordered[:_SHOWN]
    }
    click.echo(figures(f"{layout.name} at {load:g} times its load: the least of {len(found)} LAMs", lines))
    click.echo(f"results: {', '.join(map(str, [out / 'hosting.csv', *pictures]))}")


@click.command()
@master_argument
@lams_option
@lams_at_option
@load_option
@out_option
def losses(master: Path | None, lams: Path | None, lams_at: str, load: float, out: Path) -> None:
    """Say where the feeder loses power: every line and transformer at one state."""
    from cosim.study.losses import losses_by_element
    from cosim.study.pictures import bars

    own = open_alone(master, lams, lams_at)
    table = losses_by_element(own, load)
    write_tables(out, "csv", {"losses": table})
    title = f"{own.layout.name} at {load:g} times its load"
    bars(out / "losses.png", f"Losses of {title}", table["element"], {"losses": table["losses_kw"]}, "kW")
    total_kw = float(table["losses_kw"].sum())
    rows = zip(table["element"], table["losses_kw"], table["share_pct"], strict=True)
    lines = {"all": f"{total_kw:,.3f} kW"}
    lines |= {name: f"{kw:,.3f} kW, {share:.1f} %" for name, kw, share in list(rows)[:_SHOWN]}
    click.echo(figures(title, lines))
    click.echo(f"results: {out / 'losses.csv'}, {out / 'losses.png'}")


@click.command()
@through_time_options
@click.option("--growth", default=1.0, show_default=True, type=FiniteRange(0.0), help="Factor on all loads.")
@click.option(
    "--ambient",
    default=20.0,
    show_default=True,
    type=FiniteNumber(),
    help="Temperature around transformers [degC].",
)
@out_option
def ageing(
    master: Path | None,
    lams: Path | None,
    lams_at: str,
    shape: Path | None,
    start: datetime | None,
    steps: int | None,
    step_min: str | None,
    growth: float,
    ambient: float,
    out: Path,
) -> None:
    """Load transformers through time and age their insulation by IEEE C57.91, by default over a year."""
    from rich.console import Console
    from rich.progress import Progress

    from cosim.study.ageing import Thermal, age
    from cosim.study.pictures import bars, curves
    from cosim.study.shapes import shape_of
    from cosim.study.transformers import loadings_through_time

    own = open_alone(master, lams, lams_at)
    layout = own.layout
    taken = shape_of(shape, layout.lams, start, int(step_min) if step_min else None, steps)
    factors, minutes = taken.factors, taken.step_min
    kvar = factors if taken.kvar_factors is None else taken.kvar_factors
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("steps", total=len(factors))
        names, loading = loadings_through_time(
            own,
            growth * factors,
            minutes / 60.0,
            on_step=lambda: progress.advance(bar),
            kvar_shape=growth * kvar,
        )
    aged = age(loading, np.full(len(loading), ambient), minutes / 60.0, Thermal())
    order = np.argsort(-aged.equivalent_factor, kind="stable")
    table = {
        "transformer": [names[place] for place in order],
        "mean_loading": loading.mean(axis=0)[order],
        "max_loading": loading.max(axis=0)[order],
        "hottest_c": aged.hottest_c[order],
        "equivalent_ageing_factor": aged.equivalent_factor[order],
        "life_lost_pct": aged.life_lost_pct[order],
    }
    write_tables(out, "csv", {"ageing": table})
    title = f"{layout.name}, {len(loading):,} steps of {minutes} min at {ambient:g} degC"
    lost = {"life lost": table["life_lost_pct"]}
    caption = f"Life of insulation lost, {title}"
    bars(out / "ageing.png", caption, table["transformer"], lost, "% of normal life")
    hours = np.arange(len(loading)) * minutes / 60.0
    worst = {names[place]: 100.0 * loading[:, place] for place in order[:3]}
    curves(out / "loading.png", f"Loading of those that age most, {title}", hours, worst, "% of rating")
    lines = {names[place]: _aged_line(loading[:, place].max(), aged, place) for place in order[:_SHOWN]}
    click.echo(figures(title, lines))
    click.echo(f"results: {out / 'ageing.csv'}, {out / 'ageing.png'}, {out / 'loading.png'}")


def _aged_line(most: float, aged: Ageing, place: int) -> str:
    return (
        f"{100 * most:.0f} % at most, {aged.hottest_c[place]:.0f} degC, {aged.equivalent_factor[place]:.3g} "
        f"times the ageing at 110 degC, {aged.life_lost_pct[place]:.3g} % of life"
    )


STUDIES = (hosting, losses, ageing)
