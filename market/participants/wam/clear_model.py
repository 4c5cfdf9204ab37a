"""Clear the WAM over a linear model as the feeder sends it, and put what was cleared into messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker.messages import NetworkModel, columns
from market.model.arrays import Floats
from market.participants.network_model import dlmp_fields, inverters_of, network_of
from market.participants.roster import Terms
from market.solver.lam_bids import LamBids
from market.solver.relaxation import HEAD
from market.solver.wam import LimitPrices, WamClearing
from sharegrid.text import some_of

_UNIT = {HEAD: " kW"}


def clear_model(
    bids: LamBids,
    model: NetworkModel,
    terms: Terms,
    start: LimitPrices | None = None,
    around_kw: Floats | None = None,
) -> WamClearing:
    """Clear the WAM over a linear model, with set-points of inverters where it has any.

    LAMs that no source feeds trade nothing. Limits that no trade can keep are relaxed by as little as
    possible, and named in the clearing's ``relaxed``.

    Parameters
    ----------
    bids
        Of the M LAMs.
    model
        Balance and rows from the feeder.
    terms
        Prices and limits at the feeder head.
    start
        Prices that the last round of the same interval came to.
    around_kw
        Flows that the last clearing before this model came to, ``(M,)`` [kW].

    Raises
    ------
    NotConverged
        As `market.solver.relaxation.clear_or_relax`.
    ValueError
        The model's columns do not fit each other.
    """
    bids = bids.without(model.unserved)
    network, balance = network_of(model), np.array(model.balance)
    return bids.clear(network, terms.grid, balance, model.offset_kw, inverters_of(model), start, around_kw)


def relaxation_flags(relaxed: Mapping[str, float], round_: int) -> list[str]:
    """Flag for limits that no trade can keep: names the three that were relaxed most, in their units."""
    if not relaxed:
        return []
    worst = sorted(relaxed.items(), key=lambda each: -abs(each[1]))
    limits = [
        f"{'upper' if by > 0 else 'lower'} limit of {name} by {abs(by):.4g}{_UNIT.get(name, '')}"
        for name, by in worst
    ]
    named = some_of(limits, 3)
    return [f"clearing of round {round_}: no trade keeps the {named}; the least violation is cleared"]


def outcome_fields(clearing: WamClearing, model: NetworkModel | None) -> dict[str, Any]:
    """Fields of the outcome message that come from a clearing over a model; of its rows those that bind."""
    binding = np.flatnonzero(clearing.row_dual)
    rows = {"row_name": []} if model is None else _binding_rows(clearing, model, binding)
    return {
        "net_kw": columns.column_list(clearing.net_kw),
        "price": columns.column_list(clearing.price),
        **_flow_fields(clearing),
        **dlmp_fields(clearing.parts),
        "energy_price": clearing.energy_price,
        "grid_kw": clearing.grid_kw,
        "balance": columns.column_list(clearing.balance),
        "row_dual": columns.column_list(clearing.row_dual[binding]),
        **rows,
        "inverter_kvar": columns.column_list(clearing.inverter_kvar),
        "inverter_price": columns.column_list(clearing.inverter_price),
        "relaxed_name": list(clearing.relaxed),
        "relaxed_by": list(clearing.relaxed.values()),
    }


def _flow_fields(clearing: WamClearing) -> dict[str, list[float]]:
    """Flows and charges, where net purchases are not all that flows."""
    if np.array_equal(clearing.flow_kw, clearing.net_kw) and not clearing.charge.any():
        return {}
    return {
        "flow_kw": columns.column_list(clearing.flow_kw),
        "charge": columns.column_list(clearing.charge),
    }


def _binding_rows(clearing: WamClearing, model: NetworkModel, binding: NDArray[np.intp]) -> dict[str, Any]:
    """Name, kind, limit and value of the rows that bind; the limit is the one that its price is of."""
    count = len(model.name)
    lower, upper = columns.unpack_open(model.lower, count), columns.unpack_open(model.upper, count)
    limit = np.where(clearing.row_dual > 0, upper, lower)
    return {
        "row_name": [model.name[row] for row in binding],
        "row_kind": [model.row_kind[row] for row in binding],
        "row_limit": columns.column_list(limit[binding]),
        "row_value": columns.column_list(clearing.row_value[binding]),
    }
