"""Whole runs with devices: forecasts that miss, imbalance, violations and tracking by weather and PV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import sized
from cosim.market_studies.declaration import (
    TIME_OF_DAY,
    Claim,
    Figure,
    Measured,
    Panel,
    Series,
    Settings,
    Study,
    Tables,
    Task,
)
from cosim.market_studies.quiet import quiet_run

if TYPE_CHECKING:
    import pandas as pd


class ClosedLoopSettings(Settings, frozen=True):
    """Keys of the study."""

    prosumers: Annotated[int, Meta(ge=170, le=100_000, description="Of the default scenario")] = 2_000
    start: Annotated[str, Meta(pattern=TIME_OF_DAY, description="Local time of the first interval")] = "11:00"
    intervals: Annotated[int, Meta(ge=1, le=96, description="Of each run")] = 8
    cloud_cover: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=1)], ...],
        Meta(min_length=1, description="Mean cloud covers that are tried"),
    ] = (0.0, 0.3, 0.6, 0.9)
    pv_share: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=1)], ...],
        Meta(min_length=1, description="Parts of the prosumers with PV that are tried"),
    ] = (0.15, 0.3, 0.6)
    seed: Annotated[int, Meta(ge=0, description="Of everything random")] = 1


def tasks(settings: ClosedLoopSettings) -> list[Task]:
    """One run for each weather and PV share."""
    return [
        {
            "cloud_cover": cloud,
            "pv_share": share,
            "prosumers": settings.prosumers,
            "start": settings.start,
            "intervals": settings.intervals,
            "seed": settings.seed,
        }
        for share in settings.pv_share
        for cloud in settings.cloud_cover
    ]


def measure(
    *, cloud_cover: float, pv_share: float, prosumers: int, start: str, intervals: int, seed: int
) -> Measured:
    """Figures of one run over the bus, with emulated devices and AC power flow."""
    changes = {
        **sized(prosumers),
        "weather.cloud_cover": cloud_cover,
        "population.pv.share": pv_share,
    }
    with quiet_run(changes=changes, start=start, intervals=intervals, seed=seed) as done:
        found, lams, devices = done.intervals, done.lams, done.devices
        live = devices["p_kw"].to_numpy(dtype=float)
        # What the feeder was scheduled to draw, and what its LAMs' meters then showed.
        missed_kw = (lams["metered_kw"] - lams["net_kw"]).abs().groupby(lams["tick"]).sum()
        drawn_kw = lams["metered_kw"].abs().groupby(lams["tick"]).sum()
        missed_set_kw = _tracking(devices)
        summary = done.summary
    return {
        "runs": [
            {
                "cloud_cover": cloud_cover,
                "pv_share": pv_share,
                "intervals": int(summary.intervals.settled),
                "confirmed": int(summary.intervals.confirmed),
                "forecast_error_part": float(missed_kw.sum() / drawn_kw.sum()),
                "imbalance_kwh": float(found["imbalance_kwh"].sum()),
                "violations": int(found["violations"].sum()),
                "v_max_pu": float(found["v_max_pu"].max()),
                "tracking_kw": missed_set_kw,
                "live_kw": float(np.nanmean(np.abs(live))),
                "efficiency": None if found["efficiency"].isna().all() else float(found["efficiency"].mean()),
                "ledger_micro": int(summary.settlement.sum_micro),
            }
        ]
    }


def _tracking(devices: pd.DataFrame) -> float | None:
    """Mean miss of live batteries' set-points by their power as next read [kW]; None without any."""
    key = ["tick", "prosumer"]
    asked = devices.dropna(subset=["battery_set_point_kw"]).set_index(key)["battery_set_point_kw"]
    read = devices[devices["phase"] == "measure"].assign(tick=devices["tick"] - 1)
    missed = (read.set_index(key)["battery_kw"] - asked).abs().dropna()
    return float(missed.mean()) if len(missed) else None


def figures(tables: Tables) -> list[Figure]:
    """Figures by cloud cover, a line for each PV share."""
    runs = tables["runs"]

    def panel(column: str, label: str) -> Panel:
        return Panel(
            "mean cloud cover",
            label,
            [
                Series(f"PV share {share:g}", *runs.where(pv_share=share).medians("cloud_cover", column))
                for share in runs.different("pv_share")
            ],
        )

    return [
        Figure(
            "closed-loop",
            "Whole runs by weather and PV share: missed forecasts, imbalance, violations, devices' tracking.",
            [
                panel("forecast_error_part", "missed power over metered power of LAMs"),
                panel("imbalance_kwh", "imbalance [kWh]"),
                panel("v_max_pu", "highest voltage, as metered [pu]"),
                panel("tracking_kw", "mean miss of battery set-points [kW]"),
            ],
        )
    ]


def claims(tables: Tables) -> list[Claim]:
    """What the loop keeps."""
    runs = tables["runs"]
    confirmed, intervals = sum(runs.values("confirmed")), sum(runs.values("intervals"))
    broken = sum(runs.values("violations"))
    errors = runs.numbers("forecast_error_part")
    off = [abs(value) for value in runs.values("ledger_micro")]
    return [
        Claim(
            "dispatches of the market keep the network within its limits",
            f"{confirmed} of {intervals} intervals confirmed by AC; {broken} limits broken as metered",
            "yes" if confirmed == intervals and not broken else "in part",
            "limits are kept for what was expected; what forecasts miss may break them",
        ),
        Claim(
            "forecasts miss a part of what flows",
            f"{errors.min():.1%} to {errors.max():.1%} of LAMs' metered power",
            "not comparable",
            "the paper has no devices and no forecast errors",
        ),
        Claim(
            "payments balance",
            f"the ledger sums to at most {max(off)} micro-dollars",
            "yes" if max(off) == 0 else "no",
            "each kind of leg of each interval sums to zero",
        ),
    ]


CLOSED_LOOP = Study(
    name="closed-loop",
    question="What becomes of the market's outcome under real weather, devices and AC power flow?",
    settings=ClosedLoopSettings,
    quick={"prosumers": 300, "intervals": 2, "cloud_cover": (0.3,), "pv_share": (0.3,)},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
