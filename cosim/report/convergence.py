"""How rounds of bidding converge: two figures on a page of their own, as HTML that needs no network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from cosim.report.plotting import BLUE, GREY, GRID, ORANGE, PALE, RED, SKY, Figure
from cosim.report.rendering import render
from cosim.results.errors import translated
from market.rounds.trace import TraceRow

FLOOR = 1e-12
"""Errors below this are drawn at it: a logarithmic axis has no zero."""

MOST_MARKS = 120
"""Rounds beyond which lines are drawn without their points."""


def write_convergence(rows: Sequence[TraceRow], path: Path, title: str) -> Path:
    """Write the page.

    Parameters
    ----------
    rows
        One for each round, as `market.rounds.trace.Trace` collects them.
    path
        HTML file.
    title
        What was negotiated and how.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ResultsError
        The file cannot be written.
    """
    figures = {"cost": cost_figure(rows), "price": price_figure(rows)}
    page = render("convergence.html.j2", figures, title=title, subtitle=_subtitle(rows))
    with translated(path):
        path.write_text(page, encoding="utf-8")
    return path


def cost_figure(rows: Sequence[TraceRow]) -> Figure:
    """Relative error of the social cost, and error of net purchases [kW], against the round."""
    return _figure(
        rows,
        _line(rows, [row.cost_error for row in rows], "error of social cost, relative", BLUE),
        _line(
            rows, [row.net_error_kw for row in rows], "net purchases of LAMs, largest, kW", GREY, dash="dot"
        ),
    )


def price_figure(rows: Sequence[TraceRow]) -> Figure:
    """Errors of prices [$/kWh] against the round."""
    return _figure(
        rows,
        _line(rows, [row.price_error for row in rows], "local prices, largest", ORANGE),
        _line(rows, [row.mean_price_error for row in rows], "local prices, mean", RED, dash="dash"),
        _line(rows, [row.wam_price_error for row in rows], "DLMPs, largest", SKY),
        unit="$/kWh",
    )


def _figure(rows: Sequence[TraceRow], *traces: Figure, unit: str = "") -> Figure:
    axis = {"gridcolor": GRID, "zerolinecolor": PALE, "automargin": True}
    title = {"font": {"size": 12}, "standoff": 8}
    y_axis = axis | {"type": "log", "exponentformat": "power", "dtick": 2, "hoverformat": ".1e"}
    return {
        "data": list(traces),
        "layout": {
            "hovermode": "x unified",
            "xaxis": axis | {"title": title | {"text": "round of the members"}, "rangemode": "tozero"},
            "yaxis": y_axis | {"title": title | {"text": unit}},
            # Each WAM round begins where its first line stands; many would hide the curves.
            "shapes": _wam_rounds(rows) if len(rows) <= MOST_MARKS else [],
        },
    }


def _wam_rounds(rows: Sequence[TraceRow]) -> list[Figure]:
    """Thin lines where the WAM announced new prices, unless every round does."""
    firsts = [row.round for last, row in itertools.pairwise(rows) if row.wam_round != last.wam_round]
    if len(firsts) == len(rows) - 1:
        return []
    line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "line": {"color": PALE, "width": 0.8}}
    return [line | {"x0": at - 0.5, "x1": at - 0.5} for at in firsts]


def _line(
    rows: Sequence[TraceRow], errors: Sequence[float], name: str, colour: str, dash: str = "solid"
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(rows) <= MOST_MARKS else "lines",
        "x": [row.round for row in rows],
        "y": [max(error, FLOOR) for error in errors],
        "name": name,
        "line": {"color": colour, "width": 1.6, "dash": dash},
        "marker": {"size": 4},
    }


def _subtitle(rows: Sequence[TraceRow]) -> str:
    if not rows:
        return "Nobody was asked."
    last = rows[-1]
    return f"{last.round:,} rounds of the members, over {len({row.wam_round for row in rows}):,} of the WAM"
