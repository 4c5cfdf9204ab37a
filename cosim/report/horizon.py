"""The market over a horizon in the report: what was expected of prices beforehand, and how clearings did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cosim.report.tables import Line
from cosim.results.arrow import batches

if TYPE_CHECKING:
    import pandas as pd

REACH = "most in a horizon, of what could be had at first; flags name what could not"

BEFORE_H = (1.0, 6.0, 24.0)
"""How long before an interval its price is looked at [h]."""


def expected_prices(directory: Path, intervals: pd.DataFrame, interval_h: float) -> pd.DataFrame:
    """Energy prices that clearings over a horizon expected of each interval, some hours before it.

    Parameters
    ----------
    directory
        A run's directory.
    intervals
        Its table of intervals.
    interval_h
        Length of an interval [h].

    Returns
    -------
    DataFrame
        ``tick``, and by its hours a column for each of `BEFORE_H` that any clearing looked ahead [$/kWh];
        holes where none did.
    """
    import pandas as pd

    hours_of = {round(hours / interval_h): hours for hours in BEFORE_H}
    found: dict[float, dict[int, float]] = {}
    for batch in batches(directory, "outlook"):
        rows = batch.select(["tick", "ahead", "energy_price"]).to_pandas()
        # The price at the head is the same for all LAMs.
        rows = rows[rows["ahead"].isin(list(hours_of))].drop_duplicates(["tick", "ahead"])
        for tick, ahead, price in zip(rows["tick"], rows["ahead"], rows["energy_price"], strict=True):
            found.setdefault(hours_of[int(ahead)], {})[int(tick + ahead)] = float(price)
    expected = pd.DataFrame({"tick": intervals["tick"]})
    for hours in sorted(found):
        expected[hours] = intervals["tick"].map(found[hours]).astype("float64")
    return expected


def horizon_lines(horizons: pd.DataFrame, intervals: pd.DataFrame, expected: pd.DataFrame) -> list[Line]:
    """How a run's clearings over a horizon did; nothing where the market has none.

    Parameters
    ----------
    horizons, intervals
        A run's tables of these names.
    expected
        What `expected_prices` gives.
    """
    if horizons.empty:
        return []
    cleared = horizons[horizons["intervals"] > 0]
    lines = [Line("cleared", f"{len(cleared):,} of {len(horizons):,}", "horizons; flags say why not")]
    if cleared.empty:
        return lines
    certified = int(cleared["certified"].fillna(value=False).astype(bool).sum())
    gain, lacking_kwh, seconds = cleared["store_gain"], cleared["shortfall_kwh"], cleared["seconds"]
    lines += [
        Line("certified", f"{certified:,} of {len(cleared):,}", "equilibria by their certificates"),
        Line("intervals", _range(cleared["intervals"]), "cleared at once"),
        Line("stores", _range(cleared["stores"]), "batteries, vehicles and others that took part"),
        Line("gain by another plan", f"{gain.max():.1e} $", "certificate: the most of a store's owner"),
        Line("energy out of reach", f"{lacking_kwh.max():,.2f} kWh", REACH),
        Line("steps", _range(cleared["iterations"]), "of Newton's method"),
        Line("time", f"{seconds.median():.2f} s", f"median of a clearing; at most {seconds.max():.2f} s"),
    ]
    for hours in expected.columns.drop("tick"):
        off = (expected[hours] - intervals["energy_price"].astype("float64")).abs().mean()
        if np.isfinite(off):
            name, value = f"price {hours:g} h before", f"{off:.5f} $/kWh"
            lines.append(Line(name, value, "mean distance from the cleared one"))
    return lines


def _range(counts: pd.Series[int]) -> str:
    least, most = f"{counts.min():,.0f}", f"{counts.max():,.0f}"
    return least if least == most else f"{least} to {most}"
