"""Rows of what the market over a horizon found, from its message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from broker.messages import HorizonProof, Outlook, columns
from cosim.scenario.arrays import Indices


def outlook_tables(
    lams: Sequence[str], prosumers: Sequence[str], outlook: Outlook | None
) -> dict[str, dict[str, Any]]:
    """Rows of an outlook by their table; none where there is no market over a horizon."""
    if outlook is None:
        return {}
    tables = {"horizons": horizon_row(outlook)}
    if outlook.ahead:
        tables |= {"outlook": outlook_columns(lams, outlook), "stores": _store_columns(prosumers, outlook)}
    return tables


def outlook_columns(lams: Sequence[str], outlook: Outlook) -> dict[str, Any]:
    """Rows of prices to come: one for each LAM and interval."""
    M, T = len(lams), outlook.ahead
    return {
        "tick": outlook.tick,
        "ahead": np.tile(np.arange(T), M),
        "lam": np.repeat(lams, T),
        "energy_price": np.tile(outlook.energy_price, M),
        "grid_kw": np.tile(outlook.grid_kw, M),
        "stored_kwh": np.tile(outlook.stored_kwh[:T], M),
        **{
            name: columns.unpack(getattr(outlook, name), M * T)
            for name in ("price", "loss", "voltage", "congestion", "net_kw")
        },
    }


def _store_columns(prosumers: Sequence[str], outlook: Outlook) -> dict[str, Any]:
    """Rows of stores."""
    owner = columns.unpack_index(outlook.store)
    return {
        "tick": outlook.tick,
        "prosumer": np.asarray(prosumers)[owner],
        "kind": outlook.store_kind,
        "number": _numbers(owner, outlook.store_kind),
        **{
            name: columns.unpack(getattr(outlook, name), owner.size)
            for name in ("state_kwh", "energy_value", "store_gain")
        },
    }


def _numbers(owner: Indices, kind: Sequence[str]) -> list[int]:
    """Which of its owner's stores of its kind each one is, from 1."""
    count: Counter[tuple[int, str]] = Counter()
    numbers = []
    for whose in zip(owner.tolist(), kind, strict=True):
        count[whose] += 1
        numbers.append(count[whose])
    return numbers


def horizon_row(outlook: Outlook) -> dict[str, Any]:
    """Row of one clearing over a horizon: its size and certificate."""
    proof = outlook.proof
    figures = {} if proof is None else {name: getattr(proof, name) for name in HorizonProof.__struct_fields__}
    return {
        "tick": outlook.tick,
        "intervals": outlook.ahead,
        "stores": columns.unpack_index(outlook.store).size,
        "shortfall_kwh": outlook.shortfall_kwh,
        "certified": None if proof is None else not outlook.beyond,
        **figures,
        "iterations": outlook.iterations,
        "seconds": outlook.seconds,
        "note": "; ".join(outlook.notes) or None,
    }
