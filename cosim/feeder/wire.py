"""What the feeder's service says on the bus, from arrays: linear models, metered states and their records."""

from __future__ import annotations

from typing import Any

import numpy as np

from broker.messages import BoundaryValues, FeederRecord, NetworkModel, ReactiveModel, columns
from cosim.feeder.boundary import Boundary
from cosim.feeder.circuit import FeederLayout, Floats
from cosim.feeder.dispatch import Model, Physics
from cosim.feeder.linear import Limits
from cosim.feeder.record import StateRecord

_NO_PHYSICS: dict[str, Any] = {
    "solved": False,
    "v_pu": b"",
    "loading": b"",
    "lam_v_pu": b"",
    "source_kw": None,
    "source_kvar": None,
    "losses_kw": None,
    "tap_changes": 0,
    "violations": [],
}


def physics_fields(physics: Physics | None, limits: Limits, layout: FeederLayout) -> dict[str, Any]:
    """Fields of a `FeederState` that a power flow gives; without one, those that say so."""
    if physics is None:
        return _NO_PHYSICS
    last, exposed = physics.run.last, physics.violation_hours
    v_pu = np.nan_to_num(last.v_pu)
    return {
        "solved": True,
        "v_pu": columns.pack(v_pu),
        "loading": columns.pack(limits.loading(last.current_a)),
        "lam_v_pu": columns.pack(lam_voltages(last.v_pu, layout)),
        "source_kw": physics.mean("source_kw"),
        "source_kvar": physics.mean("source_kvar"),
        "losses_kw": physics.mean("losses_kw"),
        "tap_changes": physics.run.count("regulator"),
        "capacitor_switchings": physics.run.count("capacitor"),
        "violations": list(physics.broken.violations),
        "unnamed": physics.broken.unnamed,
        "under_pu_h": exposed.under_pu_h,
        "over_pu_h": exposed.over_pu_h,
        "overload_kva_h": exposed.overload_kva_h,
        "node_h": exposed.node_h,
        "record": record_message(physics.record),
        "unbalance_pct": _highest(limits.power_quality.unbalance(last.phasors)),
        "neutral_v": _highest(np.abs(last.neutral_v)),
    }


def lam_voltages(v_pu: Floats, layout: FeederLayout) -> Floats:
    """Mean voltage of each LAM's nodes that are fed ``(M,)`` [pu], given all ``(n,)``; 0 where none is."""
    own = [v_pu[list(mine)] for mine in layout.lam_nodes]
    fed = [each[np.isfinite(each)] for each in own]
    return np.array([each.mean() if each.size else 0.0 for each in fed])


def _highest(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.max()) if known.size else None


def record_message(record: StateRecord) -> FeederRecord:
    """What a state can be rebuilt from, as a message."""
    metered, cleared = record.metered.kva, record.cleared_kva
    return FeederRecord(
        device=list(record.positions),
        position=list(record.positions.values()),
        changes=list(record.changes),
        at=list(record.metered.at),
        lam=(record.metered.lam + 1).tolist(),
        cleared_kw=columns.pack(cleared.real),
        cleared_kvar=columns.pack(cleared.imag),
        metered_kw=columns.pack(metered.real),
        metered_kvar=columns.pack(metered.imag),
    )


def boundary_of(told: BoundaryValues) -> Boundary:
    """Boundary conditions that the clock tells."""
    return Boundary(source_pu=told.source_pu, load_kw=tuple(told.load_kw), load_kvar=tuple(told.load_kvar))


def model_message(model: Model, unserved: list[int]) -> NetworkModel:
    """A linear model as a message; columns of reactive set-points apart, where there are any."""
    lams = len(model.balance) - len(model.limit_kvar)
    rows = model.rows
    reactive = None
    if len(model.limit_kvar):
        reactive = ReactiveModel(
            limit_kvar=columns.column_list(model.limit_kvar),
            present_kvar=columns.column_list(model.present_kvar),
            balance=columns.column_list(model.balance[lams:]),
            matrix=columns.pack(rows.matrix[:, lams:]),
        )
    return NetworkModel(
        balance=columns.column_list(model.balance[:lams]),
        offset_kw=model.offset_kw,
        name=list(rows.name),
        row_kind=list(rows.kind),
        matrix=columns.pack(rows.matrix[:, :lams]),
        base=columns.pack(rows.base),
        lower=columns.pack_open(rows.lower),
        upper=columns.pack_open(rows.upper),
        reactive=reactive,
        unserved=unserved,
    )
