"""Figures of a run, from its tables and counts: of a whole one, and of what there is of one so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from broker.messages import Traffic
from cosim.control.pacing import STEPS, Lag
from cosim.results.beginning import Beginning
from cosim.results.economics import (
    certificate_counts,
    cost_figures,
    known,
    kpi_figures,
    saving_figures,
    settlement_figures,
)
from cosim.results.figures import (
    AcFigures,
    BiddingFigures,
    EnergyFigures,
    IntervalCounts,
    Period,
    PowerQuality,
    Rounds,
    VoltageRange,
)
from cosim.results.network import network_figures
from cosim.results.run_figures import (
    FaultFigures,
    MessageCounts,
    ModbusCounts,
    PacingFigures,
    Seconds,
    SetPointFigures,
    Spread,
    Unfinished,
)
from cosim.results.summary import Summary

if TYPE_CHECKING:
    import pandas as pd


class RunRecord(Beginning, frozen=True, kw_only=True):
    """What a run's tables do not hold: its beginning, and what was counted since.

    Attributes
    ----------
    entries, sum_micro
        Number of entries in the ledger, and their sum [µ$].
    traffic
        Counts of each service at the end.
    stops
        Emergency stops.
    written_s, shown_s
        How long set-points took to be read back, and to show at the meter [s].
    total_s
        Wall time of the run [s].
    lag
        How far a paced run fell behind.
    faults
        What became of injected faults; ``None`` where there were none.
    """

    entries: int
    sum_micro: int
    traffic: Sequence[Traffic]
    stops: int = 0
    written_s: Sequence[float] = ()
    shown_s: Sequence[float] = ()
    total_s: float
    lag: Lag
    faults: FaultFigures | None = None


def build_summary(
    intervals: pd.DataFrame, prosumers: pd.DataFrame, record: RunRecord, unfinished: Unfinished | None = None
) -> Summary:
    """Summary of a run.

    Parameters
    ----------
    intervals, prosumers
        The run's tables.
    record
        What they do not hold.
    unfinished
        How far the run is, where it is not over.
    """
    lower, upper = record.voltage_limits_pu
    return Summary(
        unfinished=unfinished,
        run_id=record.run_id,
        feeder=record.feeder,
        prosumers=record.prosumers,
        lams=record.lams,
        live_devices=record.live_devices,
        time=_period(intervals, record.interval_h),
        intervals=_interval_counts(intervals, record.planned),
        voltage_pu=VoltageRange(
            min=known(intervals["v_min_pu"].min()),
            max=known(intervals["v_max_pu"].max()),
            lower=lower,
            upper=upper,
        ),
        power_quality=PowerQuality(
            unbalance_pct=known(intervals["unbalance_pct"].max()),
            neutral_v=known(intervals["neutral_v"].max()),
        ),
        max_loading=known(intervals["max_loading"].max()),
        violations=int(intervals["violations"].fillna(0).sum()),
        ac=AcFigures(
            max_linear_error_pu=known(intervals["linear_error_pu"].max()),
            rounds_p95=known(intervals["rounds"].quantile(0.95, interpolation="higher")),
        ),
        bidding=_bidding(intervals, record.bidding),
        network=network_figures(intervals, record.nodes, record.interval_h),
        energy_kwh=_energy(intervals, record.interval_h),
        cost=cost_figures(intervals),
        kpis=kpi_figures(intervals, prosumers, record.interval_h),
        savings_usd=saving_figures(intervals, prosumers),
        certificate=certificate_counts(intervals),
        settlement=settlement_figures(intervals, record.entries, record.sum_micro),
        messages=MessageCounts(**_sums(record.traffic, MessageCounts.__struct_fields__)),
        modbus=ModbusCounts(**_sums(record.traffic, ModbusCounts.__struct_fields__, "modbus_")),
        set_points=_set_points(record),
        seconds=Seconds(
            total=record.total_s,
            **{name: _spread(intervals[f"{name}_s"].dropna()) for name in (*STEPS, "interval", "audit")},
        ),
        faults=record.faults,
        provenance=record.origin,
        pacing=PacingFigures(worst_lag_s=record.lag.worst_s, overruns=record.lag.overruns),
    )


def _period(intervals: pd.DataFrame, interval_h: float) -> Period:
    """When the run was."""
    times = intervals["time_local"]
    return Period(
        first=_text(times.iloc[0]) if len(times) else None,
        last=_text(times.iloc[-1]) if len(times) else None,
        interval_min=interval_h * 60,
    )


def _interval_counts(intervals: pd.DataFrame, planned: int) -> IntervalCounts:
    """What became of the run's intervals."""
    status = {name: int((intervals["status"] == name).sum()) for name in ("confirmed", "unconfirmed", "held")}
    return IntervalCounts(
        planned=planned,
        settled=len(intervals),
        cleared=status["confirmed"] + status["unconfirmed"],
        **status,
        flagged=int((intervals["flags"].fillna(0) > 0).sum()),
    )


def _bidding(intervals: pd.DataFrame, form: str) -> BiddingFigures:
    """What the exchange of bids took."""
    return BiddingFigures(
        form=form,
        wam_rounds=_rounds(intervals["wam_bid_rounds"]),
        lam_rounds=_rounds(intervals["lam_bid_rounds"]),
        messages=int(intervals["bid_messages"].sum()),
        bytes=int(intervals["bid_bytes"].sum()),
    )


def _energy(intervals: pd.DataFrame, interval_h: float) -> EnergyFigures:
    head_kw = intervals["grid_actual_kw"]
    return EnergyFigures(
        lam=float(intervals["traded_lam_kwh"].sum()),
        wam=float(intervals["traded_wam_kwh"].sum()),
        imported=float(head_kw.clip(lower=0).sum() * interval_h),
        exported=float(head_kw.clip(upper=0).abs().sum() * interval_h),
        losses=float(intervals["losses_kw"].sum() * interval_h),
        imbalance=float(intervals["imbalance_kwh"].sum()),
    )


def _set_points(record: RunRecord) -> SetPointFigures:
    return SetPointFigures(
        limited=sum(each.set_points_limited for each in record.traffic),
        renewed=sum(each.set_points_renewed for each in record.traffic),
        budgets_spent=sum(each.budgets_spent for each in record.traffic),
        emergency_stops=record.stops,
        tripped=sum(each.devices_tripped for each in record.traffic),
        lost=sum(each.devices_lost for each in record.traffic),
        to_register_s=_spread(record.written_s),
        to_meter_s=_spread(record.shown_s),
    )


def _sums(traffic: Iterable[Traffic], names: Sequence[str], prefix: str = "") -> dict[str, int]:
    """Sums over services of counts that each of them reports, by name."""
    return {name: sum(getattr(each, prefix + name) for each in traffic) for name in names}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _rounds(column: pd.Series[Any]) -> Rounds:
    return Rounds(p50=known(column.quantile(0.5, interpolation="higher")), max=known(column.max()))


def _spread(values: Sequence[float] | pd.Series[Any]) -> Spread:
    if not len(values):
        return Spread(p50=None, p95=None)
    return Spread(p50=float(np.percentile(values, 50)), p95=float(np.percentile(values, 95)))
