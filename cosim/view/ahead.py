"""The intervals to come as the view shows them, from the rows in which results tell of a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosim.view.calendar import Calendar
from cosim.view.figures import rounded
from cosim.view.panels import AheadPanel

_OF_ALL = ("energy_price", "grid_kw", "stored_kwh")
_MEANS = ("loss", "voltage", "congestion")


def ahead_panel(horizon: Mapping[str, Any], outlook: Mapping[str, Any], calendar: Calendar) -> AheadPanel:
    """Panel of the intervals to come.

    Parameters
    ----------
    horizon
        What its clearing was, by column of the table ``horizons``; empty where the market has no horizon.
    outlook
        Columns of the table ``outlook`` for one interval, one LAM after the other; empty where nothing
        was cleared.
    calendar
        Times of the intervals.
    """
    if not horizon:
        return AheadPanel()
    shown = AheadPanel(
        tick=int(horizon["tick"]),
        stores=horizon["stores"],
        certified=horizon["certified"],
        note=horizon["note"] or "",
    )
    T = int(horizon["intervals"])
    if not T or not outlook:
        return shown
    shown.ticks = list(range(shown.tick, shown.tick + T))
    shown.labels = [calendar.label(tick) for tick in shown.ticks]
    shown.dates = [calendar.date(tick) for tick in shown.ticks]
    table = {name: np.reshape(outlook[name], (-1, T)) for name in (*_OF_ALL, *_MEANS, "price")}
    figures = {name: table[name][0] for name in _OF_ALL} | {name: table[name].mean(axis=0) for name in _MEANS}
    figures |= {"price_least": table["price"].min(axis=0), "price_most": table["price"].max(axis=0)}
    shown.values = {name: rounded(values.tolist()) for name, values in figures.items()}
    return shown
