"""What was cleared: prices and allocations of both layers, and everyone's award."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.fields import Count, Duration, Extent, Kw, NetKw, Price, RowKind, Values
from broker.messages.header import Message


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer's exchange of bids took: rounds, messages, bytes of the numbers in them (8 each).

    Every party's bid counts as a message, also where a host sends many in one.
    """

    rounds: Count
    messages: Count
    bytes: Count


@message(
    "wam/outcome",
    sender="WAM",
    receivers=(
        "population host",
        "live host",
        "LAM host",
        "feeder",
        "auditor",
        "device host",
        "recorder",
    ),
    size="batch",
)
class WamOutcome(Message, frozen=True, tag="wam-outcome"):
    """Cleared and judged outcome of the WAM: nets, DLMPs and their parts per LAM, in LAM order.

    ``inverter_kvar`` are the reactive set-points of the LAMs' inverters, + absorbs, with their values
    ``inverter_price`` [$/kvarh]; both empty where the market sets none. ``unserved`` are indices of LAMs
    without source. ``row_*`` tell the limits that bind: the limit itself, the value there and its price
    ``row_dual``, positive at an upper limit. ``relaxed_by`` tells by how much the limits ``relaxed_name``,
    which no trade can keep, gave way: upper +, lower -, in row units; the feeder head's own is named ``head``
    and in kW. Where members have a utility beside the market, ``flow_kw`` tells what flows to each LAM, net
    purchase and utility together, and ``charge`` the part of its price that all of this pays; both are empty
    where net purchases are all that flows. ``balance`` is head power per kW of each LAM at what was cleared;
    empty where it is the linear model's. Broken limits are named as in `FeederReply`.
    """

    status: Literal["confirmed", "unconfirmed", "held"]
    round: Count
    rounds: Count
    net_kw: Annotated[list[float], Values("net_kw", "lams")]
    price: Annotated[list[float], Values("price", "lams")]
    energy: Annotated[list[float], Values("price", "lams")]
    loss: Annotated[list[float], Values("price", "lams")]
    voltage: Annotated[list[float], Values("price", "lams")]
    congestion: Annotated[list[float], Values("price", "lams")]
    energy_price: Price
    grid_kw: NetKw
    row_name: Annotated[list[str], Values(size="binding")]
    row_dual: Annotated[list[float], Values("dual", "binding")]
    linear_error_pu: Extent | None
    violations: list[str]
    flags: list[str]
    fallbacks: list[str]
    clear_s: Duration
    confirm_s: Duration
    exchange: Exchange
    flow_kw: Annotated[list[float], Values("net_kw", "lams", empty=True)] = []
    charge: Annotated[list[float], Values("price", "lams", empty=True)] = []
    balance: Annotated[list[float], Values("slope", "lams", empty=True)] = []
    inverter_kvar: Annotated[list[float], Values("net_kvar", "lams", empty=True)] = []
    inverter_price: Annotated[list[float], Values("price", "lams", empty=True)] = []
    unserved: Annotated[list[int], Values(of="lam")] = []
    row_kind: Annotated[list[RowKind], Values(size="binding", empty=True)] = []
    row_limit: Annotated[list[float], Values("dual", "binding", empty=True)] = []
    row_value: Annotated[list[float], Values("dual", "binding", empty=True)] = []
    relaxed_name: Annotated[list[str], Values(size="relaxed")] = []
    relaxed_by: Annotated[list[float], Values("dual", "relaxed")] = []
    unnamed: Count = 0

    @property
    def broken(self) -> int:
        """How many limits are broken."""
        return len(self.violations) + self.unnamed


@message(
    "lam-outcome/{lam_host}",
    sender="LAM host",
    receivers=("auditor", "recorder"),
    writer="lam_host",
    size="batch",
)
class LamOutcome(Message, frozen=True, tag="lam-outcome"):
    """Local prices and allocations of the LAMs of one operator host.

    Where members have a utility, ``utility_kw`` tells what each buys of it, and ``charge`` what each LAM's
    members pay for that besides [$/kWh]; both empty where nobody has one.
    """

    lam: Annotated[Index, Values(size="lam", of="lam")]
    price: Annotated[Column, Values("price", "lam")]
    net_kw: Annotated[Column, Values("net_kw", "lam")]
    wam_price: Annotated[Column, Values("price", "lam")]
    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    trade_kw: Annotated[Column, Values("kw", "prosumer")]
    trade_price: Annotated[Column, Values("price", "prosumer")]
    alone: bool
    refused: Annotated[list[str], Values(of="prosumer")]
    missing: Annotated[list[str], Values(of="prosumer")]
    exchange: Exchange
    utility_kw: Annotated[Column, Values("kw", "prosumer", empty=True)] = b""
    charge: Annotated[Column, Values("price", "lam", empty=True)] = b""


@message("award/{lam}/{prosumer}", sender="LAM host", receivers="live host", writer="lam")
class Award(Message, frozen=True, tag="award"):
    """One live prosumer's allocation: trade [kW, + buys] and the price it pays or gets [$/kWh].

    ``utility_kw`` is what it buys of the utility besides [kW], where it has one.
    """

    trade_kw: Kw
    price: Price
    utility_kw: Kw = 0.0


@message(
    "award-batch/{lam_host}/{host}",
    sender="LAM host",
    receivers="population host",
    writer="lam_host",
    reader="host",
    size="batch",
)
class AwardBatch(Message, frozen=True, tag="award-batch"):
    """Allocations of the prosumers of one population host; ``utility_kw`` is empty where it is zero."""

    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    trade_kw: Annotated[Column, Values("kw", "prosumer")]
    price: Annotated[Column, Values("price", "prosumer")]
    utility_kw: Annotated[Column, Values("kw", "prosumer", empty=True)] = b""
