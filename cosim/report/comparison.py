"""Two runs side by side: what each did to its feeder, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from cosim.report.condense import condense, local_times, spread, stride_of
from cosim.report.details import ChangedKey, changed_keys
from cosim.report.plotting import BLUE, ORANGE, Figure, band, bars, figure, line
from cosim.results.errors import ResultsError
from cosim.results.reader import Run
from cosim.results.summary import Summary

if TYPE_CHECKING:
    import pandas as pd


class Row(NamedTuple):
    """One figure of both runs."""

    name: str
    here: str
    there: str


class Comparison(NamedTuple):
    """Another run beside the report's own: name, figures by name, rows of a table, keys that differ.

    ``incomplete`` is what the other run lacks, in words.
    """

    other: str
    figures: dict[str, Figure]
    rows: list[Row]
    keys: list[ChangedKey]
    incomplete: str


class _Side(NamedTuple):
    """One of the two runs as it is drawn."""

    name: str
    colour: str
    x: list[str]
    points: pd.DataFrame
    volts: pd.DataFrame
    dlmps: pd.DataFrame
    outside_pct: pd.Series[Any]
    overload_kva: pd.Series[Any]


def compare(run: Run, other: Run, most_points: int) -> Comparison:
    """Put another run beside one.

    Parameters
    ----------
    run, other
        Runs of the same intervals; each is drawn over its own time of day.
    most_points
        Most points of a figure.

    Raises
    ------
    ResultsError
        The runs are of different feeders, have intervals of different length, or begin at different times.
    """
    _refuse_unlike(run, other)
    sides = (_side(run, BLUE, most_points), _side(other, ORANGE, most_points))
    limits = [run.summary.voltage_pu.lower, run.summary.voltage_pu.upper]
    figures = {
        "both_prices": _prices(sides),
        "both_voltages": _voltages(sides, limits),
        "both_loadings": _loadings(sides),
        "both_outside": _outside(sides),
    }
    keys = changed_keys(run.scenario, other.scenario)
    rows = _rows(run.summary, other.summary)
    return Comparison(other.summary.run_id, figures, rows, keys, other.summary.incomplete)


def _refuse_unlike(run: Run, other: Run) -> None:
    feeders = [(each.summary.feeder, sorted(each.feeder_map.lams)) for each in (run, other)]
    if feeders[0] != feeders[1]:
        here, there = (f"{name} with {len(lams)} LAMs" for name, lams in feeders)
        raise ResultsError(
            f"{other.path}: is of {there}, the run beside it of {here}; compare runs of one feeder"
        )
    for key in ("interval_min", "first"):
        here, there = (getattr(each.summary.time, key) for each in (run, other))
        if here != there:
            raise ResultsError(
                f"{other.path}: its {key} is {there}, not {here} "
                "as in the run beside it; compare runs of the same intervals"
            )


def _side(run: Run, colour: str, most_points: int) -> _Side:
    stride = stride_of(len(run.intervals), most_points)
    points = condense(run.intervals, stride)
    hours = float(run.summary.time.interval_min) / 60.0
    nodes = run.nodes["node"].nunique()
    return _Side(
        name=run.summary.run_id,
        colour=colour,
        x=local_times(points, run.summary.time.first),
        points=points,
        volts=spread(run.nodes, "v_pu", points.index, stride),
        dlmps=spread(run.lams, "wam_price", points.index, stride),
        outside_pct=100.0 * points["node_h"] / (max(nodes, 1) * hours),
        overload_kva=points["overload_kva_h"] / hours,
    )


def _bands(sides: Sequence[_Side], column: Literal["volts", "dlmps"]) -> list[Figure]:
    """Spread of both; the other run lies behind."""
    return [
        trace
        for side in reversed(sides)
        for trace in band(side.x, getattr(side, column), side.name, side.colour, 0.45)
    ]


def _prices(sides: Sequence[_Side]) -> Figure:
    heads = (
        line(side.x, side.points["energy_price"], f"{side.name}, feeder head", side.colour, width=2.0)
        for side in sides
    )
    return figure(*_bands(sides, "dlmps"), *heads, y_title="$/kWh", hover=".4f")


def _voltages(sides: Sequence[_Side], limits: list[float]) -> Figure:
    return figure(*_bands(sides, "volts"), y_title="pu", hover=".4f", levels=limits)


def _loadings(sides: Sequence[_Side]) -> Figure:
    return figure(
        *(line(side.x, side.points["max_loading"], side.name, side.colour) for side in sides),
        y_title="current over rating",
        hover=".3f",
        levels=[1.0],
    )


def _outside(sides: Sequence[_Side]) -> Figure:
    found = figure(
        *(bars(side.x, side.outside_pct, f"{side.name}, nodes", side.colour) for side in sides),
        *(
            line(side.x, side.overload_kva, f"{side.name}, kVA", side.colour) | {"yaxis": "y2"}
            for side in sides
        ),
        y_title="% of nodes",
        hover=".1f",
    )
    layout = found["layout"]
    layout["barmode"] = "group"
    layout["yaxis2"] = layout["yaxis"] | {
        "overlaying": "y",
        "side": "right",
        "title": {"text": "kVA above ratings"},
        "showgrid": False,
        "rangemode": "tozero",
    }
    layout["yaxis"]["rangemode"] = "tozero"
    return found


def _rows(here: Summary, there: Summary) -> list[Row]:
    def row(name: str, pick: Callable[[Summary], float | None], form: str) -> Row:
        return Row(name, *(_text(pick(each), form) for each in (here, there)))

    return [
        row("confirmed intervals", lambda each: each.intervals.confirmed, "{:,}"),
        row("lowest voltage, pu", lambda each: each.voltage_pu.min, "{:.4f}"),
        row("highest voltage, pu", lambda each: each.voltage_pu.max, "{:.4f}"),
        row("highest loading", lambda each: each.max_loading, "{:.1%}"),
        row("limits broken as metered", lambda each: each.violations, "{:,}"),
        row("below limits, pu h", lambda each: each.network.under_pu_h, "{:.4g}"),
        row("above limits, pu h", lambda each: each.network.over_pu_h, "{:.4g}"),
        row("node-intervals outside", lambda each: each.network.node_intervals_outside, "{:.2%}"),
        row("above ratings, kVA h", lambda each: each.network.overload_kva_h, "{:,.0f}"),
        row("tap steps", lambda each: each.network.tap_changes, "{:,}"),
        row("losses, kWh", lambda each: each.network.losses_kwh, "{:,.0f}"),
        row("export, kWh", lambda each: each.network.head_export_kwh, "{:,.0f}"),
        row("social cost, $", lambda each: each.cost.market, "{:,.2f}"),
        row("efficiency", lambda each: each.cost.efficiency, "{:.2%}"),
        row("prosumers' savings, $", lambda each: each.savings_usd.total, "{:,.2f}"),
    ]


def _text(value: float | None, form: str) -> str:
    return "not known" if value is None else form.format(value).replace("-", "−")
