"""Figures of a whole run, from its tables and counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from broker.messages import Traffic
from cosim.control.clock import STEPS
from cosim.results.economics import (
    certificate_figures,
    cost_figures,
    known,
    kpi_figures,
    saving_figures,
    settlement_figures,
)
from cosim.results.network import network_figures
from cosim.results.provenance import provenance

if TYPE_CHECKING:
    import pandas as pd

    from cosim.recording.recorder import Tally
    from cosim.results.directory import RunWriter
    from cosim.results.ledger import Ledger
    from cosim.world import World


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a run's tables do not hold.

    Attributes
    ----------
    run_id, feeder
        Names.
    prosumers, lams, live_devices, planned
        Numbers of prosumers, LAMs, live devices, and intervals to run.
    interval_h
        Length of an interval [h].
    voltage_limits_pu
        Lowest lower and highest upper limit of any node [pu].
    nodes
        Number of nodes whose voltages count.
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
    origin
        What ``provenance`` gives.
    faults
        What became of injected faults; ``None`` where there were none.
    """

    run_id: str
    feeder: str
    prosumers: int
    lams: int
    live_devices: int
    planned: int
    interval_h: float
    bidding: str
    voltage_limits_pu: tuple[float, float]
    nodes: int
    entries: int
    sum_micro: int
    traffic: Sequence[Traffic]
    stops: int = 0
    written_s: Sequence[float] = ()
    shown_s: Sequence[float] = ()
    total_s: float
    origin: Mapping[str, Any]
    faults: Mapping[str, Any] | None = None


def summarise(
    world: World,
    tally: Tally,
    writer: RunWriter,
    ledger: Ledger,
    *,
    run_id: str,
    broker: str,
    total_s: float,
) -> dict[str, Any]:
    """Summary of a run that is over, from what its services hold.

    Parameters
    ----------
    world, tally, writer, ledger
        The run's world, the recorder's counts, and where rows and payments went.
    run_id, broker
        Names of the run and of the broker that carried its messages.
    total_s
        Wall time of the run [s].

    Returns
    -------
    dict
        What ``build_summary`` gives.
    """
    live = world.population.live
    devices = (world.population.pv_kwp[live] > 0).sum() + (world.population.battery_kw[live] > 0).sum()
    facts = Facts(
        run_id=run_id,
        feeder=world.layout.name,
        prosumers=world.population.size,
        lams=len(world.roster.lams),
        live_devices=int(devices),
        planned=world.timeline.intervals,
        interval_h=world.timeline.interval_h,
        bidding=world.rules.bidding,
        voltage_limits_pu=(
            float(np.min(world.limits.voltage_min_pu)),
            float(np.max(world.limits.voltage_max_pu)),
        ),
        nodes=len(world.layout.nodes),
        entries=ledger.entries(),
        sum_micro=ledger.sum_micro(),
        traffic=list(tally.traffic.values()),
        stops=tally.stops,
        written_s=tally.written_s,
        shown_s=tally.shown_s,
        total_s=total_s,
        origin=provenance(seed=world.scenario.run.seed, broker=broker),
        faults=tally.faults,
    )
    return build_summary(writer.table("intervals"), writer.table("prosumers"), facts)


def build_summary(intervals: pd.DataFrame, prosumers: pd.DataFrame, facts: Facts) -> dict[str, Any]:
    """Summary of a run, as docs/results.md describes it.

    Parameters
    ----------
    intervals, prosumers
        The run's tables.
    facts
        What they do not hold.

    Returns
    -------
    dict
        JSON-ready; a figure that has no meaning is ``None``.
    """
    return {
        "run_id": facts.run_id,
        "feeder": facts.feeder,
        "prosumers": facts.prosumers,
        "lams": facts.lams,
        "live_devices": facts.live_devices,
        **_course(intervals, facts),
        **_physics(intervals, facts),
        "bidding": _bidding(intervals, facts),
        "network": network_figures(intervals, facts.nodes, facts.interval_h),
        "energy_kwh": _energy(intervals, facts.interval_h),
        "cost": cost_figures(intervals),
        "kpis": kpi_figures(intervals, prosumers, facts.interval_h),
        "savings_usd": saving_figures(intervals, prosumers),
        "certificate": certificate_figures(intervals),
        "settlement": {
            "entries": facts.entries,
            "sum_micro": facts.sum_micro,
            **settlement_figures(intervals),
        },
        **_machinery(intervals, facts),
        "faults": None if facts.faults is None else dict(facts.faults),
        "provenance": dict(facts.origin),
    }


def _course(intervals: pd.DataFrame, facts: Facts) -> dict[str, Any]:
    """When the run was, and what became of its intervals."""
    status = intervals["status"].value_counts()
    times = intervals["time_local"]
    return {
        "time": {
            "first": _text(times.iloc[0]) if len(times) else None,
            "last": _text(times.iloc[-1]) if len(times) else None,
            "interval_min": facts.interval_h * 60,
        },
        "intervals": {
            "planned": facts.planned,
            "settled": len(intervals),
            "cleared": int(status.get("confirmed", 0) + status.get("unconfirmed", 0)),
            **{name: int(status.get(name, 0)) for name in ("confirmed", "unconfirmed", "held")},
            "flagged": int((intervals["flags"].fillna(0) > 0).sum()),
        },
    }


def _physics(intervals: pd.DataFrame, facts: Facts) -> dict[str, Any]:
    """How the feeder fared, and how true the linear model was."""
    lower, upper = facts.voltage_limits_pu
    return {
        "voltage_pu": {
            "min": known(intervals["v_min_pu"].min()),
            "max": known(intervals["v_max_pu"].max()),
            "lower": lower,
            "upper": upper,
        },
        "max_loading": known(intervals["max_loading"].max()),
        "violations": int(intervals["violations"].fillna(0).sum()),
        "ac": {
            "max_linear_error_pu": known(intervals["linear_error_pu"].max()),
            "rounds_p95": known(intervals["rounds"].quantile(0.95, interpolation="higher")),
        },
    }


def _bidding(intervals: pd.DataFrame, facts: Facts) -> dict[str, Any]:
    """What the exchange of bids took."""
    return {
        "form": facts.bidding,
        "wam_rounds": _middle_and_most(intervals["wam_bid_rounds"]),
        "lam_rounds": _middle_and_most(intervals["lam_bid_rounds"]),
        "messages": int(intervals["bid_messages"].sum()),
        "bytes": int(intervals["bid_bytes"].sum()),
        "damped": int(intervals["bids_damped"].sum()),
        "accelerated": int(intervals["bids_accelerated"].sum()),
    }


def _energy(intervals: pd.DataFrame, interval_h: float) -> dict[str, float]:
    return {
        "lam": float(intervals["traded_lam_kwh"].sum()),
        "wam": float(intervals["traded_wam_kwh"].sum()),
        "import": float(intervals["grid_actual_kw"].clip(lower=0).sum() * interval_h),
        "export": float(intervals["grid_actual_kw"].clip(upper=0).abs().sum() * interval_h),
        "losses": float(intervals["losses_kw"].sum() * interval_h),
        "imbalance": float(intervals["imbalance_kwh"].sum()),
    }


def _machinery(intervals: pd.DataFrame, facts: Facts) -> dict[str, Any]:
    """Messages, registers and wall time."""
    return {
        "messages": {
            name: sum(getattr(each, name) for each in facts.traffic)
            for name in ("sent", "received", "gaps", "duplicates", "late", "rejected", "quarantined")
        },
        "modbus": {
            name: sum(getattr(each, f"modbus_{name}") for each in facts.traffic)
            for name in ("reads", "writes", "errors")
        },
        "set_points": {
            "limited": sum(each.set_points_limited for each in facts.traffic),
            "renewed": sum(each.set_points_renewed for each in facts.traffic),
            "emergency_stops": facts.stops,
            "to_register_s": _spread_of(facts.written_s),
            "to_meter_s": _spread_of(facts.shown_s),
        },
        "seconds": {
            "total": facts.total_s,
            **{step: _spread(intervals[f"{step}_s"]) for step in (*STEPS, "interval")},
            "audit": _spread(intervals["audit_s"]),
        },
    }


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _spread_of(values: Sequence[float]) -> dict[str, float | None]:
    if not values:
        return {"p50": None, "p95": None}
    return {f"p{q}": float(np.percentile(values, q)) for q in (50, 95)}


def _middle_and_most(rounds: pd.Series[Any]) -> dict[str, float | None]:
    middle = rounds.quantile(0.5, interpolation="higher")
    return {"p50": known(middle), "max": known(rounds.max())}


def _spread(column: pd.Series[Any]) -> dict[str, float | None]:
    return {"p50": known(column.quantile(0.5)), "p95": known(column.quantile(0.95))}
