"""Between the wire and the core: the feeder's linear model as rows of the clearing, a clearing as fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from broker.messages import NetworkModel, columns
from market.errors import Infeasible
from market.model.case import Grid, Network
from market.model.curves import Curves, join, take
from market.participants.roster import Terms
from market.solver.reactive import Inverters, clear_with_inverters, widened
from market.solver.relaxation import HEAD, give_way, relax
from market.solver.wam import WamClearing, clear_wam

TRUE_PU = 1e-4
"""Distance from AC power flow within which a linear model counts as true."""

_UNIT = {HEAD: " kW"}


def clear_model(curves: Curves, model: NetworkModel, terms: Terms) -> WamClearing:
    """Clear the WAM over a linear model as it came off the wire, with inverters' set-points where it has any.

    LAMs that no source feeds trade nothing. Limits that no trade can keep give way by as little as possible,
    and are named in the outcome's ``relaxed``.

    Parameters
    ----------
    curves
        Net purchase of each LAM over its locational price, ``(M,)`` curves.
    model
        Balance and rows from the feeder.
    terms
        Prices and limits at the feeder head.

    Raises
    ------
    NotConverged
        As `market.solver.wam.clear_wam`.
    ValueError
        The model's columns do not fit each other.
    """
    curves = _served(curves, model.unserved)
    network, balance = network_of(model), np.array(model.balance)
    inverters = inverters_of(model)

    def clear(network: Network, grid: Grid) -> WamClearing:
        if inverters is None:
            return clear_wam(curves, network, grid, balance, model.offset_kw)
        return clear_with_inverters(curves, network, grid, balance, model.offset_kw, inverters)

    try:
        return clear(network, terms.grid)
    except Infeasible:
        problem = (curves, network, terms.grid, balance)
        if inverters is not None:
            problem = widened(*problem, inverters)
        by = relax(*problem, model.offset_kw).by
        return replace(clear(*give_way(network, terms.grid, by)), relaxed=by)


def _served(curves: Curves, unserved: list[int]) -> Curves:
    """Curves in which LAMs without source stay at zero."""
    if not unserved:
        return curves
    still = Curves(np.zeros(1), np.zeros(1), np.array([0, 1]))
    source = np.arange(len(curves))
    source[unserved] = len(curves)
    return take(join([curves, still]), source)


def inverters_of(model: NetworkModel) -> Inverters | None:
    """Inverters of a linear model as it came off the wire; ``ValueError`` where columns do not fit."""
    reactive = model.reactive
    if reactive is None:
        return None
    rows, lams = len(model.name), len(model.balance)
    if not len(reactive.limit_kvar) == len(reactive.present_kvar) == len(reactive.balance) == lams:
        raise ValueError(f"the model has inverters of {len(reactive.limit_kvar)} LAMs where there are {lams}")
    if min(reactive.limit_kvar, default=0.0) < 0.0:
        raise ValueError("the capability of inverters must not be negative")
    matrix = columns.unpack(reactive.matrix, rows * lams).reshape(rows, lams)
    return Inverters(
        np.array(reactive.limit_kvar), np.array(reactive.present_kvar), np.array(reactive.balance), matrix
    )


def unreachable(relaxed: Mapping[str, float], round_: int) -> list[str]:
    """What to say of limits that no trade can keep: the three that give way most in their own units."""
    if not relaxed:
        return []
    worst = sorted(relaxed.items(), key=lambda each: -abs(each[1]))
    named = ", ".join(
        f"{'upper' if by > 0 else 'lower'} limit of {name} by {abs(by):.4g}{_UNIT.get(name, '')}"
        for name, by in worst[:3]
    )
    others = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
    return [f"clearing of round {round_}: no trade keeps the {named}{others}; the least violation is cleared"]


def is_final(relaxed: Mapping[str, float], linear_error_pu: float | None) -> bool:
    """Whether the least violation is known: no trade keeps the limits, and the model that says so is true."""
    return bool(relaxed) and linear_error_pu is not None and linear_error_pu <= TRUE_PU


def middle_price(terms: Terms) -> float:
    """Price halfway between the grid's two [$/kWh]."""
    return 0.5 * (terms.grid.import_price + terms.grid.export_price)


def network_of(model: NetworkModel) -> Network:
    """Rows of a linear model as it came off the wire; raises ``ValueError`` where columns do not fit."""
    rows, lams = len(model.name), len(model.balance)
    return Network(
        matrix=columns.unpack(model.matrix, rows * lams).reshape(rows, lams),
        base=columns.unpack(model.base, rows),
        lower=columns.unpack_open(model.lower, rows),
        upper=columns.unpack_open(model.upper, rows),
        voltage=np.array([kind == "voltage" for kind in model.row_kind], dtype=bool),
        name=tuple(model.name),
    )


def cleared_body(outcome: WamClearing, row_name: list[str]) -> dict[str, Any]:
    """Fields of the outcome message that come from a clearing; only rows that bind are named."""
    binding = np.flatnonzero(outcome.row_dual)
    return {
        "net_kw": columns.column_list(outcome.net_kw),
        "price": columns.column_list(outcome.price),
        "energy": columns.column_list(outcome.energy),
        "loss": columns.column_list(outcome.loss),
        "voltage": columns.column_list(outcome.voltage),
        "congestion": columns.column_list(outcome.congestion),
        "energy_price": outcome.energy_price,
        "grid_kw": outcome.grid_kw,
        "row_name": [row_name[row] for row in binding],
        "row_dual": columns.column_list(outcome.row_dual[binding]),
        "inverter_kvar": columns.column_list(outcome.inverter_kvar),
        "inverter_price": columns.column_list(outcome.inverter_price),
        "relaxed_name": list(outcome.relaxed),
        "relaxed_by": list(outcome.relaxed.values()),
    }
