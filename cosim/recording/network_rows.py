"""Rows of what a run's feeder did and can be rebuilt from: limits, currents, positions, powers."""

from __future__ import annotations

from typing import Any

import numpy as np

from broker.messages import FeederRecord, FeederState, WamOutcome, columns
from cosim.world.world import World

_HIGH = 0.5
"""Loading above which a conductor's current is kept."""


def limit_columns(outcome: WamOutcome) -> dict[str, Any]:
    """Rows of the limits that bind in a clearing."""
    return {
        "tick": outcome.tick,
        "row": outcome.row_name,
        "kind": outcome.row_kind,
        "limit": outcome.row_limit,
        "value": outcome.row_value,
        "price": outcome.row_dual,
    }


def current_columns(world: World, state: FeederState) -> dict[str, Any]:
    """Rows of the conductors of a solved state that are above half of their rating."""
    loading = columns.unpack(state.loading)
    high = np.flatnonzero(loading > _HIGH)
    return {
        "tick": state.tick,
        "branch": [world.layout.branches[place] for place in high],
        "current_a": loading[high] * world.limits.rating_a[high],
        "loading": loading[high],
    }


def position_columns(tick: int, record: FeederRecord) -> dict[str, Any]:
    """Rows of where devices stand, and of the commands that changed the circuit."""
    return {
        "tick": tick,
        "device": [*record.device, *("command" for _ in record.changes)],
        "position": [*record.position, *record.changes],
    }


def connection_columns(world: World, tick: int, record: FeederRecord) -> dict[str, Any]:
    """Rows of what every connection of loads draws."""
    lams = (None, *world.roster.lams)
    return {
        "tick": tick,
        "lam": [lams[number] for number in record.lam],
        "at": record.at,
        **{
            name: columns.unpack(getattr(record, name))
            for name in ("cleared_kw", "cleared_kvar", "metered_kw", "metered_kvar")
        },
    }
