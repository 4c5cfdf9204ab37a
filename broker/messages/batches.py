"""Columns of a population host's messages, checked: whom they speak for, and what was metered."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from broker.messages.bids import BidBatch, OpeningBatch
from broker.messages.columns import unpack, unpack_index
from broker.messages.devices import MeteredBatch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]


def check_prosumers(batch: BidBatch | OpeningBatch | MeteredBatch, prosumer: Ints) -> None:
    """Refuse a batch that is not about its sender's prosumers, ``(m,)`` indices, all and in order.

    Raises
    ------
    ValueError
        The batch names others, leaves one out or changes the order.
    """
    if not np.array_equal(unpack_index(batch.prosumer), prosumer):
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
    return unpack(batch.energy_kwh, size), unpack(batch.reactive_kvarh, size)
