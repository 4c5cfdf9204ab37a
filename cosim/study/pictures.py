"""Pictures of the studies, as PNG; matplotlib comes with the extra ``pictures``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.feeder.circuit import FeederLayout, Floats
from sharegrid.errors import SharegridError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cosim.feeder.timeseries import Series

_MOST_BARS = 40


def bars(path: Path, title: str, names: Sequence[str], series: Mapping[str, Floats], unit: str) -> None:
    """Bars of the first names, one colour for each series.

    Raises
    ------
    SharegridError
        matplotlib is missing, or the file cannot be written.
    """
    figure, axes = _sheet(height=1.5 + 0.22 * min(len(names), _MOST_BARS))
    place = np.arange(min(len(names), _MOST_BARS))
    height = 0.8 / len(series)
    for number, (label, values) in enumerate(series.items()):
        axes.barh(
            place + (number - 0.5 * (len(series) - 1)) * height, values[: len(place)], height, label=label
        )
    axes.set_yticks(place, names[: len(place)], fontsize=7)
    axes.set_ylim(len(place) - 0.4, -0.6)
    axes.set_xlabel(unit)
    axes.grid(axis="x", alpha=0.3)
    if len(series) > 1:
        axes.legend()
    more = f", the first {len(place)} of {len(names)}" if len(names) > len(place) else ""
    _save(figure, axes, path, f"{title}{more}")


def feeder_map(path: Path, title: str, layout: FeederLayout, values: Mapping[str, float], unit: str) -> None:
    """Map of a feeder with a value at some of its buses, by colour; raises as `bars`.

    Parameters
    ----------
    values
        By bus; buses without coordinates are left out.
    """
    figure, axes = _sheet(height=6.0)
    at = layout.coordinates
    for _, one, other in layout.segments:
        if one in at and other in at:
            axes.plot(*zip(at[one], at[other], strict=True), color="0.75", linewidth=0.8, zorder=1)
    known = [bus for bus in values if bus in at]
    points = np.array([at[bus] for bus in known]).reshape(-1, 2)
    colours = [values[bus] for bus in known]
    shown = axes.scatter(points[:, 0], points[:, 1], c=colours, s=22, cmap="viridis", zorder=2)
    figure.colorbar(shown, ax=axes, label=unit)
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    _save(figure, axes, path, title)


def curves(path: Path, title: str, hours: Floats, series: Mapping[str, Floats], unit: str) -> None:
    """Lines over time [days]; raises as `bars`."""
    figure, axes = _sheet(height=4.0)
    for label, values in series.items():
        axes.plot(hours / 24.0, values, label=label, linewidth=0.8)
    axes.set_xlabel("days")
    axes.set_ylabel(unit)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    _save(figure, axes, path, title)


def series_pictures(folder: Path, name: str, series: Series, step_h: float) -> None:
    """Extremes of voltage and loading of a feeder through time, as two pictures; raises as `bars`."""
    steps = series.steps
    hours = step_h * np.arange(len(steps["solved"]), dtype=np.float64)
    volts = {"highest": _floats(steps["v_max_pu"]), "lowest": _floats(steps["v_min_pu"])}
    curves(folder / "voltages.png", f"Extremes of voltage of {name}", hours, volts, "pu")
    loading = {"highest loading": 100.0 * _floats(steps["max_loading"])}
    curves(folder / "loading.png", f"Loading of {name}", hours, loading, "% of rating")


def _floats(values: Sequence[float | None]) -> Floats:
    """Values with gaps where a step had no solution."""
    return np.array([np.nan if value is None else value for value in values])


def _sheet(height: float) -> tuple[Figure, Axes]:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SharegridError(
            "pictures need matplotlib, which is not installed; pip install 'sharegrid[pictures]'"
        ) from None
    figure = Figure(figsize=(8.0, height), dpi=120, layout="constrained")
    axes: Any = figure.add_subplot()
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path, title: str) -> None:
    axes.set_title(title, fontsize=10)
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(part, format="png")
        part.replace(path)
    except OSError as error:
        raise SharegridError(
            f"{path}: {error.strerror or error}; choose a path that can be written"
        ) from error
