"""What the report's map shows: every bus at its place, coloured by voltage or price, interval by interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cosim.report.condense import stride_of
from cosim.report.plotting import values
from cosim.results import FeederMap

if TYPE_CHECKING:
    import pandas as pd

MOST_FRAMES = 200
_DIVERGING = [[0.0, "#B35806"], [0.25, "#F1A340"], [0.5, "#E6E6E3"], [0.75, "#8073AC"], [1.0, "#3B1C7A"]]
_LAYERS = {
    "wam_price": ("DLMP", "$/kWh", 5),
    "price": ("local price", "$/kWh", 5),
    "net_kw": ("net purchase", "kW", 1),
}


def map_data(
    drawing: FeederMap,
    intervals: pd.DataFrame,
    lams: pd.DataFrame,
    nodes: pd.DataFrame,
    labels: Mapping[int, str],
    limits: Sequence[float],
) -> dict[str, Any] | None:
    """Content of the map, JSON-ready.

    Parameters
    ----------
    drawing
        Buses and segments; what has no coordinates is left out.
    intervals, lams, nodes
        A run's tables.
    labels
        What to call an interval, by tick.
    limits
        Lower and upper voltage [pu]; outside them a bus is marked.

    Returns
    -------
    dict or None
        Buses, segments, and values for every frame, ``start`` being the one with the voltage furthest out;
        ``None`` where nothing has coordinates.
    """
    buses = {bus: at for at, bus in enumerate(drawing.buses)}
    if not buses or intervals.empty:
        return None
    ticks = intervals["tick"].tolist()[:: stride_of(len(intervals), MOST_FRAMES)]
    voltage = intervals.set_index("tick").loc[ticks, ["v_min_pu", "v_max_pu"]].astype(float)
    below, above = limits[0] - voltage["v_min_pu"], voltage["v_max_pu"] - limits[1]
    excess = below.where(~(above > below), above)
    return {
        "bus": list(buses),
        "x": [x for x, _ in drawing.buses.values()],
        "y": [y for _, y in drawing.buses.values()],
        "segments": [[buses[a], buses[b]] for a, b in drawing.segments if a in buses and b in buses],
        "frames": [labels[tick] for tick in ticks],
        "start": ticks.index(excess.idxmax()) if excess.notna().any() else 0,
        "limits": list(limits),
        "voltage": _voltages(nodes, ticks, buses),
        "layers": [_layer(lams, column, ticks, drawing, buses) for column in _LAYERS],
        "diverging": _DIVERGING,
    }


def _voltages(nodes: pd.DataFrame, ticks: Sequence[int], buses: Mapping[str, int]) -> dict[str, Any]:
    table = nodes.pivot_table(index="tick", columns="node", values="v_pu", observed=True).reindex(list(ticks))
    places = {node: node.rpartition(".") for node in table.columns}
    shown = [node for node, (bus, _, _) in places.items() if bus in buses]
    return {
        "bus": [buses[places[node][0]] for node in shown],
        "phase": [places[node][2] for node in shown],
        "frames": [values(row, digits=4) for _, row in table[shown].iterrows()],
    }


def _layer(
    lams: pd.DataFrame, column: str, ticks: Sequence[int], drawing: FeederMap, buses: Mapping[str, int]
) -> dict[str, Any]:
    """Values over the LAMs; prices by what they differ from the energy price, which shows where they do."""
    name, unit, digits = _LAYERS[column]
    base = "energy" if unit == "$/kWh" else None
    shown = lams if base is None else lams.assign(**{column: lams[column] - lams[base]})
    table = shown.pivot_table(index="tick", columns="lam", values=column, sort=False, observed=True)
    placed = dict(zip(lams["lam"].drop_duplicates(), drawing.lams, strict=False))
    names = [lam for lam in table.columns if placed.get(lam) in buses]
    table = table[names].reindex(list(ticks))
    known = table.to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    reach = float(np.quantile(np.abs(known), 0.99)) if known.size else 0.0
    return {
        "name": name,
        "unit": unit,
        "digits": digits,
        "reach": reach or 1.0,
        "base": None if base is None else values(lams.groupby("tick")[base].first().reindex(list(ticks))),
        "lam": names,
        "bus": [buses[placed[lam]] for lam in names],
        "frames": [values(row, digits=digits) for _, row in table.iterrows()],
    }
