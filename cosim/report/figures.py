"""Figures of the report, one function each: from a run's tables to Plotly specifications.

``x`` are times, ``points`` a table of intervals that ``cosim.report.condense`` has brought to a fit length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cosim.control.pacing import STEPS
from cosim.report.plotting import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    SKY,
    Figure,
    band,
    bars,
    figure,
    line,
    values,
)
from cosim.results.columns import ADDED_PARTS
from cosim.results.figures import BENCHMARK_LABELS, BENCHMARKS, CostFigures

if TYPE_CHECKING:
    import pandas as pd

_ADDED_PARTS = dict(
    zip(
        ADDED_PARTS,
        (("marginal losses", GREY), ("voltage limits", PURPLE), ("current limits", RED)),
        strict=True,
    )
)
_BEFORE = ((BLUE, "solid"), (ORANGE, "dash"), (PURPLE, "dot"))
_STEP_COLOURS = (GREY, SKY, BLUE, GREEN, ORANGE, PURPLE, PALE)


def prices(x: Sequence[str], points: pd.DataFrame, spread: Mapping[str, pd.DataFrame]) -> Figure:
    """Energy price and tariffs, with the range of local prices and of DLMPs over the LAMs.

    Parameters
    ----------
    x, points
        Times and condensed intervals.
    spread
        ``price`` and ``wam_price``: lowest and highest over LAMs in columns ``min`` and ``max`` [$/kWh].
    """
    return figure(
        *band(x, spread["price"], "local prices of LAMs", ORANGE, 0.3),
        *band(x, spread["wam_price"], "DLMPs", SKY, 0.5),
        line(x, points["energy_price"], "energy price at the feeder head", BLUE, width=2.2),
        line(x, points["retail_price"], "retail tariff", INK, dash="dash", shape="hv"),
        line(x, points["feed_in_price"], "feed-in tariff", INK, dash="dot", shape="hv"),
        line(x, points["import_price"], "grid import", GREY, dash="dash", shape="hv"),
        line(x, points["export_price"], "grid export", GREY, dash="dot", shape="hv"),
        y_title="$/kWh",
        hover=".4f",
    )


def expected_prices(x: Sequence[str], points: pd.DataFrame, expected: pd.DataFrame) -> Figure:
    """Energy price as cleared, and as clearings over a horizon expected it some hours before.

    Parameters
    ----------
    x, points
        Times and condensed intervals.
    expected
        A column of prices for each number of hours before [$/kWh], by point.
    """
    plot = figure(
        line(x, points["energy_price"], "cleared", INK, width=2.2),
        *(
            line(x, expected[hours], f"{hours:g} h before", colour, dash=dash)
            for hours, (colour, dash) in zip(expected.columns, _BEFORE, strict=False)
        ),
        y_title="$/kWh",
        hover=".4f",
    )
    plot["layout"]["yaxis"]["rangemode"] = "tozero"
    return plot


def price_parts(x: Sequence[str], parts: pd.DataFrame) -> Figure:
    """What DLMPs add to the energy price [$/kWh]: means of its parts over LAMs."""
    return figure(
        *(bars(x, parts[name], *shown) for name, shown in _ADDED_PARTS.items()),
        y_title="$/kWh, mean over LAMs",
        hover=".5f",
    )


def parts_by_lam(lams: pd.DataFrame) -> Figure:
    """What DLMPs add to the energy price [$/kWh], mean over the run: one bar for each LAM, cheapest first.

    Parameters
    ----------
    lams
        A run's table of LAMs.
    """
    mean = lams.groupby("lam", observed=True)[list(ADDED_PARTS)].mean().dropna(how="all")
    mean = mean.loc[mean.sum(axis=1).sort_values(kind="stable").index]
    x = [str(lam) for lam in mean.index]
    plot = figure(
        *(bars(x, mean[name], *shown) for name, shown in _ADDED_PARTS.items()),
        y_title="$/kWh, mean over intervals",
        hover=".5f",
    )
    plot["layout"]["xaxis"] = {"type": "category", "showgrid": False, "automargin": True, "nticks": 24}
    return plot


def rents(x: Sequence[str], points: pd.DataFrame, hours: float) -> Figure:
    """What the WAM keeps by cause [$ per ``hours``]; below zero where it pays more than it collects."""
    return figure(
        bars(x, points["wam_fees_usd"], "fees", GREEN),
        bars(x, points["loss_rent_usd"], "losses", GREY),
        bars(x, points["voltage_rent_usd"], "voltage limits", PURPLE),
        bars(x, points["congestion_rent_usd"], "current limits", RED),
        bars(x, points["limit_rent_usd"], "limits of the grid", INK),
        y_title=f"$ per {_span(hours)}",
        hover=".4f",
    )


def voltages(
    x: Sequence[str],
    spread: pd.DataFrame,
    limits: Sequence[float],
    events: Sequence[tuple[str, str]] = (),
) -> Figure:
    """Envelope of node voltages [pu], with the limits and what happened to the feeder.

    Parameters
    ----------
    x
        Times.
    spread
        Over the nodes: ``min``, ``low`` (5 %), ``median``, ``high`` (95 %) and ``max``.
    limits
        Voltages to keep between.
    events
        Times and what happened then.
    """
    inner = spread[["low", "high"]].set_axis(["min", "max"], axis=1)
    plot = figure(
        *band(x, spread, "all nodes", SKY, 0.35),
        *band(x, inner, "9 of 10 nodes", BLUE, 0.35),
        line(x, spread["median"], "median node", BLUE, width=1.6),
        y_title="pu",
        hover=".4f",
        levels=limits,
    )
    plot["layout"]["shapes"] += [
        {
            "type": "line",
            "yref": "paper",
            "x0": when,
            "x1": when,
            "y0": 0,
            "y1": 1,
            "line": {"color": INK, "width": 1.2, "dash": "dot"},
        }
        for when, _ in events
    ]
    plot["layout"]["annotations"] = [
        {
            "x": when,
            "yref": "paper",
            "y": 1 - 0.08 * (place % 3),
            "text": what if len(what) <= 48 else f"{what[:45]}...",
            "hovertext": what,
            "showarrow": False,
            "xanchor": "left",
            "yanchor": "top",
            "font": {"size": 11},
        }
        for place, (when, what) in enumerate(events)
    ]
    return plot


def loading(x: Sequence[str], points: pd.DataFrame) -> Figure:
    """Highest current over rating."""
    return figure(
        line(x, points["max_loading"], "highest loading", BLUE),
        y_title="current over rating",
        hover=".3f",
        levels=[1.0],
    )


def energy(x: Sequence[str], points: pd.DataFrame, hours: float) -> Figure:
    """Energy by origin [kWh per ``hours``]: the own LAM, other LAMs, the grid; export below zero."""
    return figure(
        bars(x, points["traded_lam_kwh"], "inside LAMs", GREEN),
        bars(x, points["traded_wam_kwh"], "between LAMs", ORANGE),
        bars(x, points["grid_actual_kw"].clip(lower=0) * hours, "grid import", BLUE),
        bars(x, points["grid_actual_kw"].clip(upper=0) * hours, "grid export", SKY),
        y_title=f"kWh per {_span(hours)}",
        hover=",.1f",
    )


def savings(x: Sequence[str], points: pd.DataFrame, hours: float) -> Figure:
    """Social cost saved against no sharing by the market, by LAMs alone, and at the optimum [$]."""
    alone = points["cost_no_sharing"]
    return figure(
        line(x, alone - points["cost_optimum"], "optimum", GREY, width=0, fill="rgba(138,147,156,0.3)"),
        line(x, alone - points["cost_lam_only"], "LAM only", ORANGE),
        line(x, alone - points["cost_market"], "market", BLUE, width=2.2),
        y_title=f"$ saved per {_span(hours)}",
        hover=",.3f",
    )


def totals(cost: CostFigures) -> Figure:
    """Social cost of the run under each arrangement [$], as bars."""
    colours = {"no_sharing": GREY, "lam_only": ORANGE, "single_layer": SKY, "single_layer_network": GREEN}
    shown = {
        "market": (cost.market, BLUE),
        **{BENCHMARK_LABELS[name]: (getattr(cost, name), colours.get(name, PALE)) for name in BENCHMARKS},
    }
    known = {label: (value, colour) for label, (value, colour) in shown.items() if value is not None}
    amounts = [value for value, _ in known.values()]
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": amounts,
        "y": list(known),
        "marker": {"color": [colour for _, colour in known.values()]},
        "text": [f"{value:,.2f} $" for value in amounts],
        "textposition": "outside",
        "hoverinfo": "none",
        "width": 0.62,
    }
    room = [1.3 * min([0.0, *amounts]), 1.3 * max([0.0, *amounts])]
    axis = {"gridcolor": GRID, "zerolinecolor": GREY}
    layout = {
        "showlegend": False,
        "hovermode": False,
        "xaxis": axis | {"title": {"text": "$", "font": {"size": 12}}, "range": room},
        "yaxis": {"autorange": "reversed", "automargin": True},
    }
    return {"data": [trace], "layout": layout}


def head_power(x: Sequence[str], points: pd.DataFrame) -> Figure:
    """Power at the feeder head as cleared and as metered, and the feeder's losses [kW]."""
    return figure(
        line(x, points["grid_scheduled_kw"], "scheduled", ORANGE, width=4.5),
        line(x, points["grid_actual_kw"], "metered", BLUE, width=1.3),
        line(x, points["losses_kw"], "losses", GREY),
        y_title="kW, + import",
        hover=",.1f",
    )


def linear_error(x: Sequence[str], points: pd.DataFrame, tolerance: float) -> Figure:
    """Distance of the linear model from AC power flow at the dispatch [pu], on a logarithmic axis."""
    error = points["linear_error_pu"].where(points["linear_error_pu"] > 0)
    dots = {
        "type": "scatter",
        "mode": "markers",
        "name": "largest error of a voltage",
        "x": list(x),
        "y": values(error, digits=15),
        "marker": {"color": BLUE, "size": 5},
    }
    plot = figure(dots, y_title="pu", hover=".1e", levels=[tolerance])
    plot["layout"]["yaxis"] |= {"type": "log", "tickformat": ".0e", "dtick": 2}
    if len(x):
        plot["layout"]["xaxis"]["range"] = [x[0], x[-1]]
    return plot


def durations(x: Sequence[str], points: pd.DataFrame) -> Figure:
    """Wall time of an interval by step [s]."""
    return figure(
        *(
            bars(x, points[f"{step}_s"], step, colour)
            for step, colour in zip(STEPS, _STEP_COLOURS, strict=True)
        ),
        y_title="s per interval",
        hover=".3f",
    )


def _span(hours: float) -> str:
    return f"{hours * 60:.0f} min" if hours < 1 else f"{hours:g} h"
