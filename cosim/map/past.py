"""The map in one interval of a past run, from the rows of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.map.drawing import Drawing, state_fields
from cosim.map.panels import MapPanel

Row = Mapping[str, Any]
Rows = Mapping[str, list[Any]]


def map_panel(drawing: Drawing, interval: Row, rows: Mapping[str, Rows]) -> MapPanel:
    """The feeder; loadings are known where they were high enough to be kept."""
    nodes, currents, positions, lams = (rows[name] for name in ("nodes", "currents", "positions", "lams"))
    known = dict(zip(nodes["node"], nodes["v_pu"], strict=True))
    v_pu = np.array([known.get(node) or 0.0 for node in drawing.nodes], dtype=np.float64)
    kept = dict(zip(currents["branch"], currents["loading"], strict=True))
    loading = np.array([kept.get(branch, np.nan) for branch in drawing.branches], dtype=np.float64)
    stands = zip(positions["device"], positions["position"], strict=True)
    shown = state_fields(drawing, v_pu, loading) if known else {}
    return MapPanel(
        **shown
        | {
            "tick": interval["tick"],
            "positions": {device: position for device, position in stands if device != "command"},
            "limits_pu": drawing.limits_pu,
            "losses_kw": interval["losses_kw"],
            "source_kw": interval["grid_actual_kw"],
            "max_loading": interval["max_loading"],
            "unserved": [lam for lam, v in zip(lams["lam"], lams["v_pu"], strict=True) if v == 0],
        }
    )
