"""What the report's map shows: the same as the live view's, in each interval of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from cosim.map.drawing import Drawing
from cosim.map.frames import differences
from cosim.map.past import Rows, map_panel
from cosim.report.condense import stride_of
from cosim.results.plain import rows_of, with_none
from cosim.results.reader import Run

if TYPE_CHECKING:
    import pandas as pd

MOST_FRAMES = 200
MOST_VALUES = 400_000
"""Voltages that a report holds; a larger feeder has fewer intervals on its map."""

_STATE = {"worst": 0, "side": 0, "node_v_pu": 4, "loading": 3}
_PRICES = {"wam_price": 6, "over": 6, "voltage": 5, "congestion": 5, "net_kw": 1}
_OTHERS = ("positions", "unserved", "v_min_pu", "v_max_pu", "max_loading")
"""By name the digits that are kept of what changes with the interval, and what is kept as it is."""


def map_data(run: Run, labels: Mapping[int, str], limits: Sequence[float]) -> dict[str, Any] | None:
    """Content of the map, JSON-ready.

    Parameters
    ----------
    run
        The run; a feeder without coordinates is drawn from its head to the right.
    labels
        What to call an interval, by tick.
    limits
        Lower and upper voltage [pu], to choose the interval that is shown first.

    Returns
    -------
    dict or None
        The layout, and of each interval what the live view's panels would have; ``start`` is the one with the
        voltage furthest out. ``None`` where there is nothing to draw.
    """
    intervals, lams = run.intervals, run.lams
    names = lams["lam"].drop_duplicates().tolist()
    counts = run.prosumers["lam"].value_counts()
    drawing = Drawing(run.feeder_map, names, [int(counts.get(name, 0)) for name in names])
    if not drawing.layout.bus or intervals.empty:
        return None
    most = max(1, min(MOST_FRAMES, MOST_VALUES // max(1, len(drawing.nodes))))
    ticks = intervals["tick"].tolist()[:: stride_of(len(intervals), most)]
    shown = intervals.set_index("tick", drop=False).loc[ticks]
    rows = _rows_by_table(run, ticks)
    beside = _nodes_by_bus(drawing)
    panels = [_panel(drawing, beside, *each) for each in zip(rows_of(shown), rows, strict=True)]
    cleared = [
        {**each["lams"], "over": list(map(_over, each["lams"]["price"], each["lams"]["wam_price"]))}
        for each in rows
    ]
    return {
        "layout": msgspec.to_builtins(drawing.layout),
        "frames": [labels[tick] for tick in ticks],
        "start": _furthest_out(shown, limits),
        "limits_pu": drawing.limits_pu,
        "energy": [next(iter(each["energy"]), None) for each in cleared],
        "state": {name: differences([each[name] for each in panels], of) for name, of in _STATE.items()},
        "prices": {name: differences([each[name] for each in cleared], of) for name, of in _PRICES.items()},
        "others": [{name: each[name] for name in _OTHERS} for each in panels],
    }


def _rows_by_table(run: Run, ticks: Sequence[int]) -> list[dict[str, Rows]]:
    """Of each interval the rows of the tables that the map is drawn from."""
    tables = {"nodes": run.nodes, "currents": run.currents, "positions": run.positions, "lams": run.lams}
    found = {name: _by_tick(table, ticks) for name, table in tables.items()}
    return [{name: rows[tick] for name, rows in found.items()} for tick in ticks]


def _panel(
    drawing: Drawing, beside: Sequence[Sequence[int]], interval: Mapping[str, Any], rows: Mapping[str, Rows]
) -> dict[str, Any]:
    """The live view's panel, with the one of the nodes ``beside`` each bus whose voltage is shown."""
    panel: dict[str, Any] = msgspec.to_builtins(map_panel(drawing, interval, rows))
    panel["worst"] = [_worst(panel, bus, nodes) for bus, nodes in enumerate(beside if panel["v_pu"] else ())]
    return panel


def _over(price: float | None, wam_price: float | None) -> float | None:
    """What a local price is above its DLMP [$/kWh]: few digits, for members' LAMs add little."""
    return None if price is None or wam_price is None else price - wam_price


def _nodes_by_bus(drawing: Drawing) -> list[list[int]]:
    beside: list[list[int]] = [[] for _ in drawing.layout.bus]
    for node, bus in enumerate(drawing.layout.node_bus):
        if bus >= 0:
            beside[bus].append(node)
    return beside


def _worst(panel: Mapping[str, Any], bus: int, nodes: Sequence[int]) -> int | None:
    """Which of a bus's nodes has the voltage that the map shows; a small number, where that is a long one."""
    shown = panel["v_pu"][bus]
    return next((at for at, node in enumerate(nodes) if panel["node_v_pu"][node] == shown is not None), None)


def _by_tick(table: pd.DataFrame, ticks: Sequence[int]) -> dict[int, Rows]:
    """Rows of some intervals by column, ``None`` where a value is missing; a run's ticks rise."""
    kept = with_none(table[table["tick"].isin(ticks)])
    told = kept["tick"].to_numpy(dtype=np.int64)
    begin, end = (np.searchsorted(told, ticks, side).tolist() for side in ("left", "right"))
    # As one list for each column: a table for each interval takes ten times as long.
    columns = {str(name): kept[name].tolist() for name in kept}
    return {
        tick: {name: values[first:last] for name, values in columns.items()}
        for tick, first, last in zip(ticks, begin, end, strict=True)
    }


def _furthest_out(shown: pd.DataFrame, limits: Sequence[float]) -> int:
    """Place of the interval whose voltage is furthest beyond its limits, or nearest to them."""
    voltage = shown[["v_min_pu", "v_max_pu"]].astype(float).reset_index(drop=True)
    below, above = limits[0] - voltage["v_min_pu"], voltage["v_max_pu"] - limits[1]
    excess = below.where(~(above > below), above).fillna(-1.0)
    return int(excess.to_numpy().argmax())
