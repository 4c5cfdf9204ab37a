"""Rows of the result tables (`cosim.results.columns`) from an interval's messages, arrays and payments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from broker.messages import (
    Audit,
    CommandedDevice,
    DeviceState,
    FeederState,
    LamOutcome,
    SetPoint,
    WamOutcome,
    columns,
)
from cosim.recording.interval import Interval
from cosim.recording.interval_messages import IntervalMessages
from cosim.recording.run_counts import RunCounts
from cosim.results.columns import DEVICES, INTERVALS, LAMS, copied
from cosim.results.entries import ENERGY, IMBALANCE, UTILITY, Booking
from cosim.world.world import World

_INTERVAL_NAMES = frozenset(column.name for column in INTERVALS)

_KINDS: tuple[CommandedDevice, ...] = ("pv", "battery", "ev", "load")
_WRITTEN: tuple[CommandedDevice, ...] = ("pv", "battery")
_LIMITED: tuple[CommandedDevice, ...] = ("pv", "ev", "load")
_FROM_TELEMETRY = tuple(column.name for column in DEVICES if column.source == "telemetry")


def interval_row(
    world: World, interval: Interval, booking: Booking, messages: IntervalMessages, audit: Audit | None
) -> dict[str, Any]:
    """The interval's row, but for flags and durations, which are known once it is over."""
    outcome, state, terms = messages.outcome, messages.state, interval.terms
    member_fee = world.rules.case.fee[world.roster.lam]
    row: dict[str, Any] = {
        "tick": interval.tick,
        "time": world.timeline.utc(interval.tick),
        "time_local": world.timeline.local(interval.tick).isoformat(),
        "status": "held" if outcome is None else outcome.status,
        "import_price": terms.grid.import_price,
        "export_price": terms.grid.export_price,
        "retail_price": terms.tariff.retail,
        "feed_in_price": terms.tariff.feed_in,
        "grid_scheduled_kw": interval.grid_scheduled_kw,
        "grid_actual_kw": interval.grid_actual_kw,
        "imbalance_kwh": float(np.abs(interval.deviation_kwh).sum()),
        **traded(world, interval),
        "lam_fees_usd": float(member_fee @ np.abs(interval.allocation.trade_kw)) * interval.dt_h,
        **copied(INTERVALS, "booking", booking),
    }
    if outcome is not None:
        row |= {
            **copied(INTERVALS, "outcome", outcome),
            "binding_rows": len(outcome.row_name),
            "solve_s": outcome.clear_s,
            "confirm_s": outcome.confirm_s,
            **_exchange(outcome, messages.lam_outcomes),
        }
    return row | _audited(audit) | _physics(state)


def _exchange(outcome: WamOutcome, lam_outcomes: Mapping[str, LamOutcome]) -> dict[str, Any]:
    """What the exchange of bids in both layers took."""
    local = [each.exchange for each in lam_outcomes.values()]
    every = [outcome.exchange, *local]
    return {
        "wam_bid_rounds": outcome.exchange.rounds,
        "lam_bid_rounds": max((exchange.rounds for exchange in local), default=0),
        "bid_messages": sum(exchange.messages for exchange in every),
        "bid_bytes": sum(exchange.bytes for exchange in every),
    }


def _audited(audit: Audit | None) -> dict[str, Any]:
    """What the auditor found; where it found nothing, nothing is known."""
    if audit is None:
        return {}
    row: dict[str, Any] = {
        **copied(INTERVALS, "audit", audit),
        "cost_market": audit.market_cost,
        "audit_s": audit.seconds,
        "saving_usd": float(columns.unpack(audit.saving).sum()) if audit.saving else None,
    }
    for each in audit.benchmarks:
        row[f"cost_{each.name}"] = each.cost
        # Benchmarks that respect the network violate nothing, and have no such column.
        if (violated := f"violated_{each.name}") in _INTERVAL_NAMES:
            row[violated] = each.violated
    if audit.certificate is not None:
        row |= copied(INTERVALS, "certificate", audit.certificate)
        row["certified"] = not audit.beyond
    if audit.rents is not None:
        row |= {
            "wam_fees_usd": audit.rents.fees,
            "loss_rent_usd": audit.rents.loss,
            "voltage_rent_usd": audit.rents.voltage,
            "congestion_rent_usd": audit.rents.congestion,
            "limit_rent_usd": audit.rents.limits,
        }
    return row


def feeder_flags(state: FeederState) -> list[str]:
    """Flags for limits that are broken, the worst by name, and for LAMs without source."""
    flags = [f"as metered: {violation}" for violation in state.violations]
    if state.unnamed:
        flags.append(f"as metered: {state.unnamed:,} more limits are broken")
    if state.unserved:
        flags.append(f"no source feeds {len(state.unserved)} LAMs: their members are unserved")
    return flags


def _physics(state: FeederState | None) -> dict[str, Any]:
    if state is None:
        return {}
    if not state.solved:
        return {"set_pu": state.set_pu}
    v_pu, loading = columns.unpack(state.v_pu), columns.unpack(state.loading)
    fed_pu = v_pu[v_pu > 0]
    return {
        **copied(INTERVALS, "state", state),
        "v_min_pu": float(fed_pu.min()) if fed_pu.size else None,
        "v_max_pu": float(fed_pu.max()) if fed_pu.size else None,
        "max_loading": float(loading.max(initial=0.0)),
        "violations": state.broken,
        "grid_kvar": state.source_kvar,
        "unserved_lams": len(state.unserved),
        "set_pu": state.set_pu,
    }


def traded(world: World, interval: Interval) -> dict[str, float]:
    """Energy bought in all, from other members of the own LAM, and by LAMs from other LAMs [kWh].

    What a LAM's members buy beyond its net purchase they buy from each other; the same holds for LAMs
    and the grid.
    """
    lams = len(world.roster.lams)
    trade_kw, net_kw = interval.allocation.trade_kw, interval.allocation.net_kw
    shared = np.bincount(world.roster.lam, np.maximum(trade_kw, 0.0), minlength=lams)
    inside = shared - np.maximum(net_kw, 0.0)
    bought = float(shared.sum() + np.maximum(interval.allocation.utility_kw, 0.0).sum())
    between = np.minimum(np.maximum(net_kw, 0.0).sum(), np.maximum(-net_kw, 0.0).sum())
    return {
        "bought_kwh": bought * interval.dt_h,
        "traded_lam_kwh": max(0.0, float(inside.sum())) * interval.dt_h,
        "traded_wam_kwh": float(between) * interval.dt_h,
    }


def lam_columns(
    world: World, interval: Interval, booking: Booking, messages: IntervalMessages, audit: Audit | None
) -> dict[str, Any]:
    """Rows of all LAMs."""
    saving = None
    if audit is not None and audit.saving:
        by_member = columns.unpack(audit.saving, len(world.roster.prosumers))
        saving = np.bincount(world.roster.lam, by_member, minlength=len(world.roster.lams))
    outcome, state = messages.outcome, messages.state
    return {
        "tick": interval.tick,
        "lam": list(world.roster.lams),
        "net_kw": interval.allocation.net_kw,
        "price": interval.allocation.price,
        "wam_price": interval.allocation.wam_price,
        "utility_kw": np.bincount(
            world.roster.lam, interval.allocation.utility_kw, minlength=len(world.roster.lams)
        ),
        "charge": interval.allocation.charge,
        "alone": interval.allocation.alone,
        "surplus_usd": booking.lam_surplus,
        "saving_usd": saving,
        "metered_kw": None if state is None else columns.unpack(state.lam_kw),
        "v_pu": columns.unpack(state.lam_v_pu) if state is not None and state.solved else None,
        "kvar": None if state is None else columns.unpack(state.lam_kvar),
        **_outside(state),
        **_reactive(outcome),
        **({} if outcome is None else copied(LAMS, "outcome", outcome)),
    }


def _outside(state: FeederState | None) -> dict[str, Any]:
    names = ("outside_kw", "outside_kvar")
    told = {name: getattr(state, name) if state else b"" for name in names}
    return {name: columns.unpack(column) if column else None for name, column in told.items()}


def _reactive(outcome: WamOutcome | None) -> dict[str, Any]:
    names = ("inverter_kvar", "inverter_price")
    return {name: (getattr(outcome, name) if outcome else None) or None for name in names}


def payment_columns(world: World, interval: Interval, booking: Booking) -> dict[str, Any]:
    """Rows of all prosumers: what each traded and used, and what was booked for it."""
    n = len(world.roster.prosumers)
    return {
        "tick": interval.tick,
        "prosumer": world.roster.prosumers,
        "traded_kwh": interval.allocation.trade_kw * interval.dt_h,
        "price": interval.allocation.trade_price,
        "utility_kwh": interval.allocation.utility_kw * interval.dt_h,
        "metered_kwh": interval.metered_kwh,
        "energy_usd": booking.paid_usd(ENERGY, n),
        "utility_usd": booking.paid_usd(UTILITY, n),
        "imbalance_usd": booking.paid_usd(IMBALANCE, n),
    }


def node_columns(world: World, tick: int, state: FeederState) -> dict[str, Any]:
    """Rows of all nodes of a solved state; those without source are missing."""
    v_pu = columns.unpack(state.v_pu)
    return {"tick": tick, "node": list(world.layout.nodes), "v_pu": np.where(v_pu > 0, v_pu, np.nan)}


def device_columns(tick: int, messages: IntervalMessages) -> dict[str, Any]:
    """Rows of all live prosumers: readings before bidding and at the end, set-points beside the second."""
    before, after = len(messages.measured), len(messages.metered_live)
    names = [*messages.measured, *messages.metered_live]
    readings = [*messages.measured.values(), *messages.metered_live.values()]
    devices: list[dict[str, DeviceState]] = [{each.device: each for each in r.devices} for r in readings]
    asked = [_asked(messages.set_points.get(name)) for name in messages.metered_live]
    acknowledged = [messages.acknowledgements.get(name) for name in messages.metered_live]
    blank = [None] * before
    return {
        "tick": tick,
        "prosumer": names,
        "phase": ["measure"] * before + ["meter"] * after,
        **{name: [getattr(r, name) for r in readings] for name in _FROM_TELEMETRY},
        **{f"{kind}_kw": [_of(each.get(kind), "p_kw") for each in devices] for kind in _KINDS},
        "soc": [_of(each.get("battery"), "soc") for each in devices],
        **{f"{kind}_writes": [_of(each.get(kind), "writes") for each in devices] for kind in _WRITTEN},
        **{f"{kind}_limit_kw": blank + [each.get(kind) for each in asked] for kind in _LIMITED},
        "battery_set_point_kw": blank + [each.get("battery") for each in asked],
        "acknowledged": blank + [None if each is None else each.ok for each in acknowledged],
    }


def _of(state: DeviceState | None, name: str) -> Any:
    return None if state is None else getattr(state, name)


def _asked(set_point: SetPoint | None) -> dict[str, float | None]:
    return {} if set_point is None else {each.device: each.power_kw for each in set_point.devices}


def prosumer_columns(world: World, counts: RunCounts) -> dict[str, Any]:
    """What each prosumer traded and saved over the run."""
    roster = world.roster
    return {
        "prosumer": list(roster.prosumers),
        "name": list(world.population.name),
        "lam": [roster.lams[lam] for lam in roster.lam],
        "live": roster.live,
        "bought_kwh": counts.bought_kwh,
        "sold_kwh": counts.sold_kwh,
        "saving_usd": counts.saving_usd if counts.compared else None,
    }
