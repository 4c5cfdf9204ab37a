"""What prosumers and LAMs bid: whole price responses, or answers to prices round by round."""

from __future__ import annotations

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.header import Message


@message("bid/{lam}/{prosumer}", sender="live host", receivers="LAM host of the LAM")
class CurveBid(Message, frozen=True, tag="bid"):
    """Whole price response of one prosumer: prices ascending [$/kWh], trade non-increasing [kW], + buys."""

    price: list[float]
    kw: list[float]
    reactive_kvar: float


@message("bid-batch/{host}", sender="population host", receivers="LAM hosts", writer="host")
class BidBatch(Message, frozen=True, tag="bid-batch"):
    """Curve bids of many prosumers: ``count`` vertices each, prices and trades end to end."""

    prosumer: Index
    count: Index
    price: Column
    kw: Column
    reactive_kvar: Column


@message("lam-bid/{lam}", sender="LAM host", receivers="WAM", writer="lam")
class LamBid(Message, frozen=True, tag="lam-bid"):
    """Aggregate price response of one LAM, its reactive power and the members that fell back."""

    price: Column
    kw: Column
    reactive_kvar: float
    fallbacks: list[str] = []


@message("opening/{lam}/{prosumer}", sender="live host", receivers="LAM host of the LAM")
class Opening(Message, frozen=True, tag="opening"):
    """Before rounds of bidding: what one prosumer can trade at any price [kW, + buys]."""

    low_kw: float
    high_kw: float
    reactive_kvar: float


@message("opening-batch/{host}", sender="population host", receivers="LAM hosts", writer="host")
class OpeningBatch(Message, frozen=True, tag="opening-batch"):
    """Openings of many prosumers."""

    prosumer: Index
    low_kw: Column
    high_kw: Column
    reactive_kvar: Column


@message("lam-opening/{lam_host}", sender="LAM host", receivers="WAM", writer="lam_host")
class LamOpening(Message, frozen=True, tag="lam-opening"):
    """Openings of the LAMs of one operator host, and the members that fell back."""

    lam: Index
    low_kw: Column
    high_kw: Column
    reactive_kvar: Column
    fallbacks: list[str] = []


@message("wam/price", sender="WAM", receivers="LAM hosts")
class WamPrice(Message, frozen=True, tag="wam-price"):
    """Wide-area prices of all LAMs [$/kWh]: each is to bid what it would buy there."""

    round: int
    price: list[float]


@message(
    "lam-price/{lam_host}", sender="LAM host", receivers="population hosts, live host", writer="lam_host"
)
class LamPrice(Message, frozen=True, tag="lam-price"):
    """Local prices of some LAMs [$/kWh]: their members are to bid what they would buy there."""

    round: int
    lam: Index
    price: Column


@message("round-bid/{lam}/{prosumer}", sender="live host", receivers="LAM host of the LAM")
class RoundBid(Message, frozen=True, tag="round-bid"):
    """One prosumer's bid at the announced price: the intercept ``b`` of its demand ``q = b - a * price``.

    A slope bid also says how steeply the trade falls there [kW per $/kWh].
    """

    round: int
    intercept_kw: float
    slope: float | None = None


@message("round-bid-batch/{lam_host}/{host}", sender="population host", receivers="LAM host", writer="host")
class RoundBidBatch(Message, frozen=True, tag="round-bid-batch"):
    """Bids at the announced prices of many prosumers; ``slope`` is empty in plain bids."""

    round: int
    prosumer: Index
    intercept_kw: Column
    slope: Column


@message("lam-round-bid/{lam_host}", sender="LAM host", receivers="WAM", writer="lam_host")
class LamRoundBid(Message, frozen=True, tag="lam-round-bid"):
    """Bids of one host's LAMs at the announced wide-area prices: intercepts ``B`` of ``Q = B - A * price``.

    ``fallbacks`` names members that fell silent in this round; the ranges that are left are told only then.
    """

    round: int
    lam: Index
    intercept_kw: Column
    slope: Column
    low_kw: Column = b""
    high_kw: Column = b""
    fallbacks: list[str] = []
