"""Between the wire and the core: the feeder's linear model as rows of the clearing, a clearing as fields."""

from __future__ import annotations

from typing import Any

import numpy as np

from broker import columns
from broker.messages import NetworkModel
from market.case import Network
from market.curves import Curves
from market.services.roster import Terms
from market.wam import WamOutcome, clear_wam


def clear_model(curves: Curves, model: NetworkModel, terms: Terms) -> WamOutcome:
    """Clear the WAM over a linear model as it came off the wire.

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
    Infeasible, NotConverged
        As `market.wam.clear_wam`.
    ValueError
        The model's columns do not fit each other.
    """
    return clear_wam(curves, network_of(model), terms.grid, np.array(model.balance), model.offset_kw)


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


def cleared_body(outcome: WamOutcome, row_name: list[str]) -> dict[str, Any]:
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
    }
