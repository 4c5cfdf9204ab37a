"""Figures of a whole run, from its tables and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from broker.messages import Traffic
from cosim.clock import STEPS
from cosim.results.provenance import provenance
from cosim.results.summary_table import summary_table

if TYPE_CHECKING:
    import pandas as pd

    from cosim.recording.recorder import Tally
    from cosim.results.directory import RunWriter
    from cosim.results.ledger import Ledger
    from cosim.world import World

__all__ = ["build_summary", "cost_figures", "summarise", "summary_table"]

_COSTS = {name: f"cost_{name}" for name in ("market", "no_sharing", "lam_only", "optimum")}
_SETTLEMENT = ("uplift_usd", "imbalance_usd", "lam_surplus_usd", "wam_surplus_usd", "rounding_micro")


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
    return build_summary(
        writer.table("intervals"),
        run_id=run_id,
        feeder=world.layout.name,
        prosumers=world.population.size,
        lams=len(world.roster.lams),
        live_devices=int(devices),
        planned=world.timeline.intervals,
        interval_h=world.timeline.interval_h,
        voltage_limits_pu=(world.scenario.feeder.voltage_min_pu, world.scenario.feeder.voltage_max_pu),
        entries=ledger.entries(),
        sum_micro=ledger.sum_micro(),
        traffic=tally.traffic.values(),
        total_s=total_s,
        origin=provenance(seed=world.scenario.run.seed, broker=broker),
    )


def build_summary(
    intervals: pd.DataFrame,
    *,
    run_id: str,
    feeder: str,
    prosumers: int,
    lams: int,
    live_devices: int,
    planned: int,
    interval_h: float,
    voltage_limits_pu: tuple[float, float],
    entries: int,
    sum_micro: int,
    traffic: Iterable[Traffic],
    total_s: float,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Summary of a run, as docs/results.md describes it.

    Parameters
    ----------
    intervals
        The run's table of intervals.
    run_id, feeder
        Names.
    prosumers, lams, live_devices, planned
        Numbers of prosumers, LAMs, live devices, and intervals to run.
    interval_h
        Length of an interval [h].
    voltage_limits_pu
        Lower and upper limit [pu].
    entries, sum_micro
        Number of entries in the ledger, and their sum [µ$].
    traffic
        Counts of each service at the end.
    total_s
        Wall time of the run [s].
    origin
        What ``provenance`` gives.

    Returns
    -------
    dict
        JSON-ready; a figure that has no meaning is ``None``.
    """
    status = intervals["status"].value_counts()
    counts = list(traffic)
    last = len(intervals) - 1
    return {
        "run_id": run_id,
        "feeder": feeder,
        "prosumers": prosumers,
        "lams": lams,
        "live_devices": live_devices,
        "time": {
            "first": None if last < 0 else _text(intervals["time_local"].iloc[0]),
            "last": None if last < 0 else _text(intervals["time_local"].iloc[last]),
            "interval_min": interval_h * 60,
        },
        "intervals": {
            "planned": planned,
            "settled": len(intervals),
            "cleared": int(status.get("confirmed", 0) + status.get("unconfirmed", 0)),
            **{name: int(status.get(name, 0)) for name in ("confirmed", "unconfirmed", "held")},
            "flagged": int((intervals["flags"].fillna(0) > 0).sum()),
        },
        "voltage_pu": {
            "min": _number(intervals["v_min_pu"].min()),
            "max": _number(intervals["v_max_pu"].max()),
            "lower": voltage_limits_pu[0],
            "upper": voltage_limits_pu[1],
        },
        "max_loading": _number(intervals["max_loading"].max()),
        "violations": int(intervals["violations"].fillna(0).sum()),
        "ac": {
            "max_linear_error_pu": _number(intervals["linear_error_pu"].max()),
            "rounds_p95": _number(intervals["rounds"].quantile(0.95, interpolation="higher")),
        },
        "energy_kwh": {
            "lam": float(intervals["traded_lam_kwh"].sum()),
            "wam": float(intervals["traded_wam_kwh"].sum()),
            "import": float(intervals["grid_actual_kw"].clip(lower=0).sum() * interval_h),
            "export": float(intervals["grid_actual_kw"].clip(upper=0).abs().sum() * interval_h),
            "losses": float(intervals["losses_kw"].sum() * interval_h),
            "imbalance": float(intervals["imbalance_kwh"].sum()),
        },
        "cost": cost_figures(intervals),
        "settlement": {
            "entries": entries,
            "sum_micro": sum_micro,
            **{name: _settled(intervals[name]) for name in _SETTLEMENT},
        },
        "messages": {
            name: sum(getattr(each, name) for each in counts)
            for name in ("sent", "received", "gaps", "duplicates", "late", "rejected")
        },
        "modbus": {
            name: sum(getattr(each, f"modbus_{name}") for each in counts)
            for name in ("reads", "writes", "errors")
        },
        "seconds": {
            "total": total_s,
            **{step: _spread(intervals[f"{step}_s"]) for step in (*STEPS, "interval")},
        },
        "provenance": dict(origin),
    }


def cost_figures(intervals: pd.DataFrame) -> dict[str, float | int | None]:
    """Social costs over the intervals that have all four, and efficiency over those where it is defined.

    Parameters
    ----------
    intervals
        The run's table of intervals.

    Returns
    -------
    dict
        ``market``, ``no_sharing``, ``lam_only``, ``optimum`` [$] over ``intervals`` intervals;
        ``efficiency`` = (no sharing - market) / (no sharing - optimum), each summed over the
        ``efficiency_intervals``; ``None`` where there is nothing to sum or nothing to gain.
    """
    costs = intervals[list(_COSTS.values())].dropna()
    defined = intervals[intervals["efficiency"].notna()]
    gain = defined["cost_no_sharing"].sum() - defined["cost_market"].sum()
    possible = defined["cost_no_sharing"].sum() - defined["cost_optimum"].sum()
    return {
        **{name: float(costs[column].sum()) if len(costs) else None for name, column in _COSTS.items()},
        "intervals": len(costs),
        "efficiency": float(gain / possible) if possible > 0 else None,
        "efficiency_intervals": len(defined),
    }


def _number(value: Any) -> float | None:
    return None if value is None or value != value else float(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _settled(column: pd.Series[Any]) -> float | int:
    total = column.sum()
    return int(total) if column.name == "rounding_micro" else float(total)


def _spread(column: pd.Series[Any]) -> dict[str, float | None]:
    return {"p50": _number(column.quantile(0.5)), "p95": _number(column.quantile(0.95))}
