"""Two runs side by side: what each did to its feeder, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from cosim.report.condense import condense, local_times, spread, stride_of
from cosim.report.details import ChangedKey, changed_keys
from cosim.report.plotting import BLUE, ORANGE, Figure, band, bars, figure, line
from cosim.results.arrow import ResultsError
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
    """Another run beside the report's own: name, figures by name, rows of a table, and keys that differ."""

    other: str
    figures: dict[str, Figure]
    rows: list[Row]
    keys: list[ChangedKey]


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
    names = run.summary.run_id, other.summary.run_id
    points, x = [], []
    for each in (run, other):
        stride = stride_of(len(each.intervals), most_points)
        points.append(condense(each.intervals, stride))
        x.append(local_times(points[-1], each.summary.time.first))
    limits = [run.summary.voltage_pu.lower, run.summary.voltage_pu.upper]
    volts, dlmps = (
        [
            spread(getattr(each, table), column, shown.index, stride_of(len(each.intervals), most_points))
            for each, shown in zip((run, other), points, strict=True)
        ]
        for table, column in (("nodes", "v_pu"), ("lams", "wam_price"))
    )
    colours = (BLUE, ORANGE)
    both = range(2)
    # The other run lies behind.
    figures = {
        "both_prices": figure(
            *(trace for at in (1, 0) for trace in band(x[at], dlmps[at], names[at], colours[at], 0.45)),
            *(
                line(x[at], points[at]["energy_price"], f"{names[at]}, feeder head", colours[at], width=2.0)
                for at in both
            ),
            y_title="$/kWh",
            hover=".4f",
        ),
        "both_voltages": figure(
            *(trace for at in (1, 0) for trace in band(x[at], volts[at], names[at], colours[at], 0.45)),
            y_title="pu",
            hover=".4f",
            levels=limits,
        ),
        "both_loadings": figure(
            *(line(x[at], points[at]["max_loading"], names[at], colours[at]) for at in both),
            y_title="current over rating",
            hover=".3f",
            levels=[1.0],
        ),
        "both_outside": figure(
            *(bars(x[at], _outside_pct(run, points[at]), f"{names[at]}, nodes", colours[at]) for at in both),
            *(
                line(x[at], points[at]["overload_kva_h"] / _hours(run), f"{names[at]}, kVA", colours[at])
                | {"yaxis": "y2"}
                for at in both
            ),
            y_title="% of nodes",
            hover=".1f",
        ),
    }
    outside = figures["both_outside"]["layout"]
    outside["barmode"] = "group"
    outside["yaxis2"] = outside["yaxis"] | {
        "overlaying": "y",
        "side": "right",
        "title": {"text": "kVA above ratings"},
        "showgrid": False,
        "rangemode": "tozero",
    }
    outside["yaxis"]["rangemode"] = "tozero"
    keys = changed_keys(run.scenario, other.scenario)
    return Comparison(names[1], figures, _rows(run.summary, other.summary), keys)


def _hours(run: Run) -> float:
    return float(run.summary.time.interval_min) / 60.0


def _outside_pct(run: Run, points: pd.DataFrame) -> pd.Series[Any]:
    nodes = run.nodes["node"].nunique()
    return 100.0 * points["node_h"] / (max(nodes, 1) * _hours(run))


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
