"""Tables of a run brought to a length that a page can draw, and spreads over LAMs and nodes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from cosim.results.columns import INTERVALS

if TYPE_CHECKING:
    import pandas as pd


def stride_of(intervals: int, most: int) -> int:
    """Number of consecutive intervals that share a point, so that there are at most ``most`` points."""
    return max(1, -(-intervals // most))


def condense(intervals: pd.DataFrame, stride: int) -> pd.DataFrame:
    """Table of intervals with ``stride`` of them in a row.

    Energy and money are added, extremes kept, everything else is averaged.

    Parameters
    ----------
    intervals
        A run's table of intervals.
    stride
        How many intervals make a row.

    Returns
    -------
    DataFrame
        Numeric columns, ``tick`` and ``time`` of each row's first interval; indexed by ``tick // stride``.
    """
    point = intervals["tick"] // stride
    numeric = {column.name: column.unit for column in INTERVALS if column.type in ("integer", "number")}
    typed = intervals.astype(dict.fromkeys(numeric, "float64"))
    how = {name: _how(name, unit) for name, unit in numeric.items()}
    groups = typed.groupby(point)
    # What nobody knows adds up to a hole, not to zero.
    sums = groups[[name for name, each in how.items() if each == "sum"]].sum(min_count=1)
    others = groups.agg({name: each for name, each in how.items() if each != "sum"} | {"time": "first"})
    return others.join(sums)


def _how(name: str, unit: str) -> str:
    if unit in ("kWh", "$", "µ$"):
        return "sum"
    if name in ("tick", "v_min_pu"):
        return "min"
    return "max" if name in ("v_max_pu", "max_loading", "linear_error_pu", "lag_s") else "mean"


def local_times(points: pd.DataFrame, first_local: str | None) -> list[str]:
    """Times on the clock that the feeder had when the run began.

    Parameters
    ----------
    points
        Table with ``time``, in any zone.
    first_local
        Local time of the first interval, ISO 8601 with offset; ``None`` leaves the times in UTC.
    """
    offset = None if first_local is None else datetime.fromisoformat(first_local).utcoffset()
    shifted = points["time"].dt.tz_convert("UTC") + (offset or timedelta())
    return list(shifted.dt.strftime("%Y-%m-%d %H:%M:%S"))


def spread(table: pd.DataFrame, column: str, index: pd.Index[int], stride: int) -> pd.DataFrame:
    """Spread over LAMs or nodes by point: ``min``, ``low`` (5 %), ``median``, ``high`` (95 %), ``max``.

    Parameters
    ----------
    table
        A run's table of LAMs or nodes.
    column
        What to spread.
    index
        Points to give, as ``condense`` numbers them; those without rows are missing.
    stride
        How many intervals make a point.
    """
    values = table[column].groupby(table["tick"] // stride)
    inner = values.quantile(np.array([0.05, 0.5, 0.95])).unstack().reindex(columns=[0.05, 0.5, 0.95])
    inner = inner.set_axis(["low", "median", "high"], axis=1)
    return inner.assign(min=values.min(), max=values.max()).reindex(index)


def means(table: pd.DataFrame, columns: Sequence[str], index: pd.Index[int], stride: int) -> pd.DataFrame:
    """Mean of columns over the LAMs or nodes, by point."""
    return table[list(columns)].groupby(table["tick"] // stride).mean().reindex(index)
