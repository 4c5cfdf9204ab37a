"""Columns of a population host's messages, checked: whom they speak for, and what was metered."""

from __future__ import annotations

import numpy as np

from broker.messages import BidBatch, MeteredBatch, OpeningBatch, columns
from market.model.arrays import Floats, Ints


def check_prosumers(batch: BidBatch | OpeningBatch | MeteredBatch, prosumer: Ints) -> None:
    """Refuse a batch that is not about its sender's prosumers, ``(m,)`` indices, all and in order.

    Raises
    ------
    ValueError
        The batch names others, leaves one out or changes the order.
    """
    if not np.array_equal(columns.unpack_index(batch.prosumer), prosumer):
        verb = "report" if isinstance(batch, MeteredBatch) else "bid for"
        raise ValueError(f"{batch.sender} must {verb} its own prosumers, all and in order")


def read_metered(batch: MeteredBatch, prosumer: Ints) -> tuple[Floats, Floats]:
    """Energy [kWh] and reactive energy [kvarh] of the sender's prosumers, ``(m,)`` each.

    Raises
    ------
    ValueError
        The batch is about other prosumers, or a value is missing or not finite.
    """
    check_prosumers(batch, prosumer)
    size = prosumer.size
    return columns.unpack(batch.energy_kwh, size), columns.unpack(batch.reactive_kvarh, size)


def read_values(column: bytes, length: int) -> Floats:
    """Values of a column, finite or not: one that is not must spoil its own bid alone.

    Raises
    ------
    ValueError
        The column has another length.
    """
    values = np.frombuffer(column, dtype="<f8").astype(np.float64)
    if values.size != length:
        raise ValueError(f"a column has {values.size} values where {length} belong")
    return values
