"""Building blocks of the report's figures, as Plotly specifications in plain dicts.

Colours are Okabe and Ito's, which people with any colour vision tell apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

Figure = dict[str, Any]

BLUE, SKY, GREEN, ORANGE = "#0072B2", "#56B4E9", "#009E73", "#E69F00"
RED, PURPLE, GREY, PALE, INK = "#D55E00", "#CC79A7", "#8A939C", "#B8BEC6", "#1B2733"
GRID = "#ECEFF2"

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000
_TICKS = [
    {"dtickrange": [None, 12 * _HOUR_MS], "value": "%H:%M"},
    {"dtickrange": [12 * _HOUR_MS, 27 * _DAY_MS], "value": "%e %b"},
    {"dtickrange": [27 * _DAY_MS, None], "value": "%b %Y"},
]


def figure(*traces: Figure, y_title: str, hover: str, levels: Sequence[float] = ()) -> Figure:
    """Figure over time.

    Parameters
    ----------
    traces
        What ``line``, ``bars`` and ``band`` give.
    y_title, hover
        Unit of the y axis, and number format of what the pointer shows.
    levels
        Limits to draw as dashed lines.
    """
    axis = {"gridcolor": GRID, "zerolinecolor": PALE, "automargin": True}
    limit = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "line": {"color": RED, "width": 1.2, "dash": "dash"},
    }
    return {
        "data": list(traces),
        "layout": {
            "barmode": "relative",
            "bargap": 0.08,
            "hovermode": "x unified",
            "xaxis": axis
            | {"type": "date", "showgrid": False, "hoverformat": "%e %b, %H:%M", "tickformatstops": _TICKS},
            "yaxis": axis
            | {"title": {"text": y_title, "font": {"size": 12}, "standoff": 8}, "hoverformat": hover},
            "shapes": [limit | {"y0": level, "y1": level} for level in levels],
        },
    }


def line(
    x: Sequence[str],
    y: pd.Series[Any],
    name: str,
    colour: str,
    *,
    fill: str | None = None,
    **style: object,
) -> Figure:
    """Curve; ``style`` is Plotly's of lines, ``fill`` colours the area down to zero."""
    trace: Figure = {
        "type": "scatter",
        "mode": "lines",
        "x": list(x),
        "y": values(y),
        "name": name,
        "line": {"color": colour, "width": 1.4, **style},
    }
    return trace if fill is None else trace | {"fill": "tozeroy", "fillcolor": fill}


def bars(x: Sequence[str], y: pd.Series[Any], name: str, colour: str) -> Figure:
    """Bars, stacked with the figure's others."""
    marker = {"color": colour, "line": {"width": 0}}
    return {"type": "bar", "x": list(x), "y": values(y), "name": name, "marker": marker}


def band(x: Sequence[str], spread: pd.DataFrame, name: str, colour: str, opacity: float) -> list[Figure]:
    """Area between columns ``min`` and ``max``; one legend entry stands for both edges."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    tint = f"rgba({red},{green},{blue},{opacity})"
    edge = {"type": "scatter", "mode": "lines", "x": list(x), "legendgroup": name, "showlegend": False}
    thin = {"line": {"width": 0.6, "color": tint}}
    filled = {"fill": "tonexty", "fillcolor": tint}
    key = {"mode": "markers", "x": [None], "y": [None], "showlegend": True}
    return [
        edge | thin | {"name": f"{name}, highest", "y": values(spread["max"])},
        edge | thin | filled | {"name": f"{name}, lowest", "y": values(spread["min"])},
        edge | key | {"name": name, "marker": {"symbol": "square", "size": 11, "color": tint}},
    ]


def values(column: pd.Series[Any], digits: int = 6) -> list[float | None]:
    """Numbers for JSON, rounded; a missing one is ``None``."""
    return [None if value != value else round(value, digits) for value in column.astype(float).tolist()]
