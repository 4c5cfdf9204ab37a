"""The feeder's linear model and the prices over it: between messages and the core's arrays."""

from __future__ import annotations

import numpy as np

from broker.messages import NetworkModel, WamOutcome, columns
from market.model.case import Network
from market.model.dlmp import DLMP_PARTS, DlmpParts
from market.solver.reactive import Inverters


def network_of(model: NetworkModel) -> Network:
    """Rows of a linear model.

    Raises
    ------
    ValueError
        Columns do not fit each other.
    """
    rows, lams = len(model.name), len(model.balance)
    return Network(
        matrix=columns.unpack(model.matrix, rows * lams).reshape(rows, lams),
        base=columns.unpack(model.base, rows),
        lower=columns.unpack_open(model.lower, rows),
        upper=columns.unpack_open(model.upper, rows),
        voltage=np.array([kind != "congestion" for kind in model.row_kind], dtype=bool),
        name=tuple(model.name),
    )


def check_model(model: NetworkModel, lams: int) -> None:
    """Refuse a model that cannot be read, or that is of another number of LAMs, by ``ValueError``."""
    if len(model.balance) != lams:
        raise ValueError(f"the model has {len(model.balance)} LAMs where there are {lams}")
    network_of(model)
    inverters_of(model)


def dlmp_fields(parts: DlmpParts) -> dict[str, list[float]]:
    """Fields of a `WamOutcome` that tell the parts of its prices."""
    return {name: columns.column_list(getattr(parts, name)) for name in DLMP_PARTS}


def dlmp_of(outcome: WamOutcome) -> DlmpParts:
    """Parts of the prices that a `WamOutcome` tells."""
    return DlmpParts(**{name: np.array(getattr(outcome, name)) for name in DLMP_PARTS})


def inverters_of(model: NetworkModel) -> Inverters | None:
    """Inverters of a linear model whose set-points the market chooses; ``None`` where it chooses none.

    Raises
    ------
    ValueError
        Columns do not fit each other, or a capability is negative.
    """
    reactive = model.reactive
    if reactive is None:
        return None
    rows, lams = len(model.name), len(model.balance)
    if not len(reactive.limit_kvar) == len(reactive.present_kvar) == len(reactive.balance) == lams:
        raise ValueError(f"the model has inverters of {len(reactive.limit_kvar)} LAMs where there are {lams}")
    if min(reactive.limit_kvar, default=0.0) < 0.0:
        raise ValueError("the capability of inverters must not be negative")
    return Inverters(
        limit_kvar=np.array(reactive.limit_kvar),
        present_kvar=np.array(reactive.present_kvar),
        balance=np.array(reactive.balance),
        matrix=columns.unpack(reactive.matrix, rows * lams).reshape(rows, lams),
    )
