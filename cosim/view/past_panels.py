"""Panels of one interval of a past run, from the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosim.results.arrow import batches
from cosim.view.calendar import Calendar
from cosim.view.figures import COLUMNS, rounded
from cosim.view.panels import (
    ClearingPanel,
    DeviceRow,
    EnergyPanel,
    FlagRow,
    Limit,
    LiveRow,
    Number,
    PricePanel,
    Round,
)
from cosim.view.series import Value
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

Row = Mapping[str, Any]
Rows = Mapping[str, list[Any]]

_KINDS = {
    "pv": "pv_limit_kw",
    "battery": "battery_set_point_kw",
    "ev": "ev_limit_kw",
    "load": "load_limit_kw",
}
_ALARMS = ("stop", "stop-update")


def price_panel(interval: Row, lams: Rows, limits: Rows) -> PricePanel:
    """What was cleared."""
    bound = zip(limits["row"], limits["kind"], limits["limit"], limits["value"], limits["price"], strict=True)
    return PricePanel(
        tick=interval["tick"],
        status=interval["status"] or "",
        energy_price=interval["energy_price"],
        import_price=interval["import_price"],
        export_price=interval["export_price"],
        retail_price=interval["retail_price"],
        feed_in_price=interval["feed_in_price"],
        wam_price=rounded(lams["wam_price"]),
        price=rounded(lams["price"]),
        net_kw=rounded(lams["net_kw"]),
        loss=rounded(lams["loss"]),
        voltage=rounded(lams["voltage"]),
        congestion=rounded(lams["congestion"]),
        limits=[
            Limit(row=row, kind=kind or "", limit=limit, value=value, price=price)
            for row, kind, limit, value, price in bound
        ],
    )


def clearing_panel(interval: Row) -> ClearingPanel:
    """How the clearing ended: of its rounds the last is kept."""
    last = Round(
        number=(interval["rounds"] or 1) - 1,
        severity=None,
        error_pu=interval["linear_error_pu"],
        is_confirmed=interval["status"] == "confirmed",
        violations=[],
        seconds=interval["confirm_s"] or 0.0,
    )
    return ClearingPanel(
        tick=interval["tick"],
        rounds=[] if interval["rounds"] is None else [last],
        bid_rounds=interval["wam_bid_rounds"] or 0,
        status=interval["status"] or "",
        tolerance_pu=LINEAR_TOLERANCE_PU,
    )


def energy_panel(interval: Row) -> EnergyPanel:
    """What was booked."""
    return EnergyPanel(**{name: interval[name] for name in EnergyPanel.__struct_fields__})


def live_rows(devices: Rows, lam_of: Mapping[str, tuple[str, str]]) -> list[LiveRow]:
    """Live prosumers as they were last read in the interval; meters are read again at its end."""
    latest: dict[str, dict[str, Any]] = {}
    for row in _rows(devices):
        known = {name: value for name, value in row.items() if value is not None}
        latest[row["prosumer"]] = {**row, **latest.get(row["prosumer"], {}), **known}
    return [_live_row(name, row, *lam_of.get(name, (name, ""))) for name, row in latest.items()]


def _live_row(prosumer: str, row: Row, name: str, lam: str) -> LiveRow:
    devices = [
        DeviceRow(
            device=kind,
            p_kw=row[f"{kind}_kw"],
            set_kw=row[set_point],
            has_set_point=row[set_point] is not None,
            soc=row["soc"] if kind == "battery" else None,
            quality=row["quality"] or "",
        )
        for kind, set_point in _KINDS.items()
        if row[f"{kind}_kw"] is not None or row[set_point] is not None
    ]
    return LiveRow(
        prosumer=prosumer,
        name=name or prosumer,
        lam=lam,
        quality=row["quality"] or "",
        p_kw=row["p_kw"],
        v_pu=row["v_pu"],
        acknowledged=row["acknowledged"],
        devices=devices,
    )


def flag_rows(events: Sequence[Row], calendar: Calendar) -> list[FlagRow]:
    """Everything that was written down, in its order; equal words of an interval are one row."""
    found: dict[tuple[int, str], FlagRow] = {}
    for event in events:
        tick = event.get("tick")
        tick = -1 if tick is None else int(tick)
        text = str(event.get("detail") or event.get("kind") or "")
        kind = event.get("kind")
        weight = "alarm" if kind in _ALARMS else "warning" if kind in ("flag", "rejected") else "note"
        row = found.get((tick, text))
        if row is None:
            found[tick, text] = FlagRow(
                number=len(found),
                tick=tick,
                label=calendar.label(tick),
                weight=weight,
                source=str(event.get("source") or ""),
                text=text,
                count=1,
            )
        else:
            row.count += 1
    return list(found.values())


def interval_figures(interval: Row) -> dict[str, Value]:
    """Figures of an interval that stand in its own row."""
    return {name: interval[name] for name in COLUMNS if name in interval} | {
        "rounds": None if interval["rounds"] is None else float(interval["rounds"]),
        "violations": None if interval["violations"] is None else float(interval["violations"]),
    }


def lam_figures(directory: Path) -> dict[int, dict[str, Value]]:
    """Spreads and means over all LAMs, by interval, in one pass over their table."""
    found: dict[int, dict[str, list[Number]]] = {}
    names = {
        "wam": "wam_price",
        "price": "price",
        "loss": "loss",
        "voltage": "voltage",
        "congestion": "congestion",
    }
    for batch in batches(directory, "lams"):
        ticks = batch["tick"].to_numpy(zero_copy_only=False)
        columns = {name: batch[column].to_numpy(zero_copy_only=False) for name, column in names.items()}
        for tick in np.unique(ticks):
            mine = ticks == tick
            gathered = found.setdefault(int(tick), {name: [] for name in names})
            for name, column in columns.items():
                gathered[name] += column[mine].tolist()
    return {tick: _over_lams(values) for tick, values in found.items()}


def _over_lams(values: Mapping[str, list[Number]]) -> dict[str, Value]:
    figures: dict[str, Value] = {}
    for name, column in values.items():
        array = np.array(column, dtype=np.float64)
        known = array[np.isfinite(array)]
        mean = float(known.mean()) if known.size else None
        if name in ("wam", "price"):
            figures[f"{name}_least"] = float(known.min()) if known.size else None
            figures[f"{name}_mean"] = mean
            figures[f"{name}_most"] = float(known.max()) if known.size else None
        else:
            figures[name] = mean
    return figures


def _rows(columns: Rows) -> Iterator[dict[str, Any]]:
    names = list(columns)
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(names, values, strict=True))
