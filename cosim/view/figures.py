"""The view's figures over time, and what one interval adds to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cosim.view.calendar import Calendar
from cosim.view.panels import EnergyPanel, MapPanel, Number, Numbers, PricePanel, SeriesPanel
from cosim.view.series import How, Series, Value

COLUMNS: dict[str, How] = {
    "energy_price": "mean",
    "retail_price": "mean",
    "feed_in_price": "mean",
    "wam_least": "least",
    "wam_mean": "mean",
    "wam_most": "most",
    "price_least": "least",
    "price_mean": "mean",
    "price_most": "most",
    "loss": "mean",
    "voltage": "mean",
    "congestion": "mean",
    "traded_lam_kwh": "sum",
    "traded_wam_kwh": "sum",
    "bought_kwh": "sum",
    "grid_scheduled_kw": "mean",
    "grid_actual_kw": "mean",
    "losses_kw": "mean",
    "v_min_pu": "least",
    "v_max_pu": "most",
    "max_loading": "most",
    "rounds": "most",
    "violations": "sum",
    "saving_usd": "sum",
}


def price_figures(prices: PricePanel) -> dict[str, Value]:
    """Figures of what was cleared."""
    return {
        "energy_price": prices.energy_price,
        **_spread("wam", prices.wam_price),
        **_spread("price", prices.price),
        "loss": _mean(prices.loss),
        "voltage": _mean(prices.voltage),
        "congestion": _mean(prices.congestion),
    }


def energy_figures(energy: EnergyPanel, prices: PricePanel) -> dict[str, Value]:
    """Figures of what was booked."""
    names = (
        "traded_lam_kwh",
        "traded_wam_kwh",
        "bought_kwh",
        "grid_scheduled_kw",
        "grid_actual_kw",
        "saving_usd",
    )
    return {name: getattr(energy, name) for name in names} | {
        "retail_price": prices.retail_price,
        "feed_in_price": prices.feed_in_price,
    }


def feeder_figures(state: MapPanel) -> dict[str, Value]:
    """Figures of the feeder's state."""
    names = ("losses_kw", "v_min_pu", "v_max_pu", "max_loading")
    broken = float(len(state.violations) + state.unnamed)
    return {name: getattr(state, name) for name in names} | {"violations": broken}


def series_panel(series: Series, calendar: Calendar) -> SeriesPanel:
    """Panel of all figures."""
    return SeriesPanel(
        ticks=list(series.ticks),
        labels=[calendar.label(tick) for tick in series.ticks],
        dates=[calendar.date(tick) for tick in series.ticks],
        stride=series.stride,
        values={name: rounded(values) for name, values in series.values.items()},
    )


def rounded(values: Sequence[Number], digits: int = 6) -> Numbers:
    """Values with as many digits as a screen can show."""
    return [None if value is None else float(f"{value:.{digits}g}") for value in values]


def _spread(name: str, values: Numbers) -> dict[str, Value]:
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if not known.size:
        return dict.fromkeys((f"{name}_least", f"{name}_mean", f"{name}_most"))
    return {
        f"{name}_least": float(known.min()),
        f"{name}_mean": float(known.mean()),
        f"{name}_most": float(known.max()),
    }


def _mean(values: Numbers) -> Value:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
