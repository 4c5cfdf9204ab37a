"""Draws declared figures as PDF and PNG, so that they can be read in black and white."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.market_studies.declaration import FeederMap, Figure, Panel, Series, StudyError
from cosim.results.arrow import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawn

# Grey alone tells lines apart by weight, dashes and marks.
_LINES = (
    {"color": "0.0", "linestyle": "-", "marker": "o"},
    {"color": "0.35", "linestyle": "--", "marker": "s"},
    {"color": "0.55", "linestyle": "-.", "marker": "^"},
    {"color": "0.0", "linestyle": ":", "marker": "D"},
    {"color": "0.35", "linestyle": "-", "marker": "v"},
    {"color": "0.55", "linestyle": "--", "marker": "x"},
    {"color": "0.2", "linestyle": "-.", "marker": "+"},
)
_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++")
_GREYS = ("0.25", "0.85", "0.65", "1.0", "0.45", "0.75")
_FEW_PLACES = 10
_FEW = 24
"""Up to so many points of a line have marks of their own."""


def draw(figure: Figure) -> Drawn:
    """A declared figure, drawn.

    Raises
    ------
    StudyError
        matplotlib is missing.
    """
    with _style():
        from matplotlib.figure import Figure as Sheet

        panels = figure.panels
        across = min(len(panels), 2)
        down = -(-len(panels) // across)
        sheet = Sheet(
            figsize=(4.6 * across if across > 1 else 6.2, 3.6 * down), dpi=150, layout="constrained"
        )
        for number, panel in enumerate(panels, start=1):
            axes: Any = sheet.add_subplot(down, across, number)
            if isinstance(panel, FeederMap):
                _feeder(sheet, axes, panel)
            else:
                _panel(axes, panel)
        return sheet


def save(figure: Figure, folder: Path) -> None:
    """Draw a figure into ``NAME.pdf`` and ``NAME.png``; raises as `draw`, and OSError."""
    sheet = draw(figure)
    for kind, metadata in (("pdf", {"CreationDate": None, "Producer": None, "Creator": None}), ("png", {})):
        content = io.BytesIO()
        with _style():
            sheet.savefig(content, format=kind, metadata=metadata)
        replace_file(folder / f"{figure.name}.{kind}", content.getvalue())


@contextmanager
def _style() -> Iterator[None]:
    try:
        import matplotlib as mpl
    except ImportError:
        raise StudyError(
            "figures need matplotlib, which is not installed; pip install 'sharegrid[studies]'"
        ) from None
    with mpl.rc_context(
        {
            "font.size": 8,
            "axes.titlesize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.3,
            "legend.frameon": False,
            "legend.fontsize": 7,
            "pdf.fonttype": 42,
            "svg.hashsalt": "sharegrid",
        }
    ):
        yield


def _panel(axes: Axes, panel: Panel) -> None:
    if panel.bars:
        _bars(axes, panel.bars, panel.series)
    else:
        for each, look in zip(panel.series, cycle(_LINES), strict=False):
            _line(axes, each, look)
    for label, value in panel.steady.items():
        axes.axhline(value, color="0.0", linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            label, (1.01, value), xycoords=("axes fraction", "data"), ha="left", va="center", fontsize=7
        )
    if panel.log_x:
        axes.set_xscale("log")
        places = sorted({x for each in panel.series for x in each.x})
        if len(places) <= _FEW_PLACES:
            axes.set_xticks(places, [f"{x:g}" for x in places])
            axes.set_xticks([], minor=True)
    if panel.log_y:
        axes.set_yscale("log")
    if not (panel.bars or panel.log_x) and all(
        float(x).is_integer() for each in panel.series for x in each.x
    ):
        axes.locator_params(axis="x", integer=True)
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    axes.set_title(panel.title)
    if len(panel.series) > 1:
        axes.legend()


def _line(axes: Axes, series: Series, look: dict[str, str]) -> None:
    x, y = np.asarray(series.x, dtype=np.float64), np.asarray(series.y, dtype=np.float64)
    if series.points:
        axes.plot(
            x, y, linestyle="", marker=look["marker"], color=look["color"], markersize=2.5, label=series.label
        )
        return
    every = max(1, len(x) // _FEW)
    axes.plot(x, y, label=series.label, linewidth=1.0, markersize=3.5, markevery=every, **look)  # type: ignore[arg-type]


def _bars(axes: Axes, names: Sequence[str], series: Sequence[Series]) -> None:
    place, width = np.arange(len(names)), 0.8 / len(series)
    for number, each in enumerate(series):
        axes.bar(
            place + (number - 0.5 * (len(series) - 1)) * width,
            each.y,
            width,
            label=each.label,
            color=_GREYS[number % len(_GREYS)],
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="0.0",
            linewidth=0.5,
        )
    axes.set_xticks(place, names, rotation=20 if max(map(len, names)) > 8 else 0)
    axes.grid(visible=False, axis="x")


def _feeder(sheet: Drawn, axes: Axes, shown: FeederMap) -> None:
    for x1, y1, x2, y2 in shown.lines:
        axes.plot((x1, x2), (y1, y2), color="0.75", linewidth=0.8, zorder=1)
    at = np.asarray(shown.at, dtype=np.float64).reshape(-1, 2)
    points = axes.scatter(
        at[:, 0], at[:, 1], c=shown.value, s=20, cmap="gray_r", edgecolors="0.0", linewidths=0.4, zorder=2
    )
    sheet.colorbar(points, ax=axes, label=shown.label)
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(shown.title)
