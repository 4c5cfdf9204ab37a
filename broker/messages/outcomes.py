"""What was cleared: prices and allocations of both layers, and everyone's award."""

from __future__ import annotations

from typing import Literal

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.header import Message


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer's exchange of bids took: rounds, messages, bytes of the numbers in them (8 each).

    Every party's bid counts as a message, also where a host sends many in one. ``damped``, ``accelerated``:
    plain bids that cycled or crept were treated so.
    """

    rounds: int
    messages: int
    bytes: int
    damped: bool = False
    accelerated: bool = False


@message("wam/outcome", sender="WAM", receivers="LAM hosts, feeder, auditor, device host, recorder")
class WamOutcome(Message, frozen=True, tag="wam-outcome"):
    """Cleared and judged outcome of the WAM: nets, DLMPs and their parts per LAM, in LAM order.

    ``inverter_kvar`` are the reactive set-points of the LAMs' inverters, + absorbs, with their values
    ``inverter_price`` [$/kvarh]; both empty where the market sets none. ``unserved`` are positions of LAMs
    without source. ``relaxed_by`` tells by how much the limits ``relaxed_name``, which no trade can keep,
    gave way: upper +, lower -, in row units; the feeder head's own is named ``head`` and in kW.
    """

    status: Literal["confirmed", "unconfirmed", "held"]
    round: int
    rounds: int
    net_kw: list[float]
    price: list[float]
    energy: list[float]
    loss: list[float]
    voltage: list[float]
    congestion: list[float]
    energy_price: float
    grid_kw: float
    row_name: list[str]
    row_dual: list[float]
    linear_error_pu: float | None
    violations: list[str]
    flags: list[str]
    fallbacks: list[str]
    clear_s: float
    confirm_s: float
    talks: Exchange
    inverter_kvar: list[float] = []
    inverter_price: list[float] = []
    unserved: list[int] = []
    relaxed_name: list[str] = []
    relaxed_by: list[float] = []


@message("lam-outcome/{lam_host}", sender="LAM host", receivers="auditor, recorder", writer="lam_host")
class LamOutcome(Message, frozen=True, tag="lam-outcome"):
    """Local prices and allocations of the LAMs of one operator host."""

    lam: Index
    price: Column
    net_kw: Column
    wam_price: Column
    prosumer: Index
    trade_kw: Column
    trade_price: Column
    alone: bool
    refused: list[str]
    missing: list[str]
    talks: Exchange


@message("award/{lam}/{prosumer}", sender="LAM host", receivers="live host", writer="lam")
class Award(Message, frozen=True, tag="award"):
    """One live prosumer's allocation: trade [kW, + buys] and the price it pays or gets [$/kWh]."""

    trade_kw: float
    price: float


@message("award-batch/{lam_host}/{host}", sender="LAM host", receivers="population host", writer="lam_host")
class AwardBatch(Message, frozen=True, tag="award-batch"):
    """Allocations of the prosumers of one population host."""

    prosumer: Index
    trade_kw: Column
    price: Column
