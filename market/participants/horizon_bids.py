"""Bids over a horizon: what hosts expect of their prosumers, as arrays and in messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from broker.messages import HorizonBid, columns
from broker.messages.fields import StoreKind
from market.horizon.stores import Stores
from market.model.arrays import Floats, Ints
from market.participants.batches import pack_values, read_values

_CHANGING = ("charge_kw", "discharge_kw", "charge_efficiency", "discharge_efficiency", "drift_kwh")
_BOUNDS = ("lower_kwh", "upper_kwh")
_FIXED = ("initial_kwh", "retention", "charge_wear", "discharge_wear", "end_value")


@dataclass(frozen=True)
class Prospect:
    """What a host expects of its ``n`` prosumers in T intervals, the present one first.

    Attributes
    ----------
    demand_kw
        Inflexible net demand, ``(n, T)`` [kW].
    owner, max_kw, cost_linear, cost_quadratic
        Resources but stores, with outputs from zero: owners are indices into the host's prosumers, ``(r,)``,
        largest outputs ``(r, T)`` [kW], costs ``(r,)`` [$/kWh], [$/kWh per kW].
    stores
        What couples the intervals; owners as above, who may have several.
    kind
        What each store is, ``(S,)``.
    """

    demand_kw: Floats
    owner: Ints
    max_kw: Floats
    cost_linear: Floats
    cost_quadratic: Floats
    stores: Stores
    kind: tuple[StoreKind, ...]

    @property
    def intervals(self) -> int:
        """Number of intervals T."""
        return int(self.demand_kw.shape[1])


def bid_fields(prospect: Prospect, members: Ints) -> dict[str, Any]:
    """Fields of the `HorizonBid` of a host whose prosumers are ``members``, ``(n,)``."""
    stores = prospect.stores
    changing = {name: _pack(getattr(stores, name)) for name in _CHANGING}
    bounds = {name: _pack(getattr(stores, name)[:, 1:]) for name in _BOUNDS}
    fixed = {name: pack_values(getattr(stores, name)) for name in _FIXED}
    return {
        "ahead": prospect.intervals,
        "prosumer": columns.pack_index(members),
        "demand_kw": _pack(prospect.demand_kw),
        "owner": columns.pack_index(members[prospect.owner]),
        "max_kw": _pack(prospect.max_kw),
        "cost_linear": pack_values(prospect.cost_linear),
        "cost_quadratic": pack_values(prospect.cost_quadratic),
        "store": columns.pack_index(members[stores.owner]),
        "store_kind": list(prospect.kind),
        **changing,
        **bounds,
        **fixed,
    }


def read_bid(bid: HorizonBid, members: Ints, most: int) -> Prospect:
    """What a bid says of its host's prosumers, ``(n,)`` indices, over ``most`` intervals at most.

    Its numbers may be any, NaN too: `market.participants.wam.horizon_checks` judges them member by member.

    Raises
    ------
    ValueError
        The bid is about other prosumers, or a column is not as long as it must be.
    """
    said, T = bid.ahead, min(bid.ahead, most)
    if T < 1:
        raise ValueError("a horizon has one interval at least")
    if not np.array_equal(columns.unpack_index(bid.prosumer), members):
        raise ValueError(f"{bid.sender} must tell of its own prosumers, all and in order")
    owner, store = (columns.unpack_index(which) for which in (bid.owner, bid.store))
    S, initial = store.size, read_values(bid.initial_kwh, store.size)
    stores = Stores(
        owner=np.searchsorted(members, store),
        **{name: np.column_stack([initial, _unpack(getattr(bid, name), S, said, T)]) for name in _BOUNDS},
        **{name: _unpack(getattr(bid, name), S, said, T) for name in _CHANGING},
        **{name: read_values(getattr(bid, name), S) for name in _FIXED},
    )
    return Prospect(
        demand_kw=_unpack(bid.demand_kw, members.size, said, T),
        owner=np.searchsorted(members, owner),
        max_kw=_unpack(bid.max_kw, owner.size, said, T),
        cost_linear=read_values(bid.cost_linear, owner.size),
        cost_quadratic=read_values(bid.cost_quadratic, owner.size),
        stores=stores,
        kind=tuple(bid.store_kind),
    )


def _pack(rows: Floats) -> bytes:
    """Rows one after the other, or the first value of each where none of them changes."""
    if rows.size and (rows == rows[:, :1]).all():
        rows = rows[:, 0]
    return pack_values(rows)


def _unpack(column: bytes, rows: int, said: int, kept: int) -> Floats:
    """The first ``kept`` of the values that were ``said`` in each row, ``(rows, kept)``."""
    if len(column) == 8 * rows:
        return np.repeat(read_values(column, rows)[:, None], kept, axis=1)
    if len(column) != 8 * rows * said:
        raise ValueError(f"a column has {len(column) // 8} values where {rows} or {rows * said} belong")
    return read_values(column, rows * said).reshape(rows, said)[:, :kept]
