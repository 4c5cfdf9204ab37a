"""What prosumers and LAMs bid: whole price responses, or answers to prices round by round."""

from __future__ import annotations

from typing import Annotated

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.fields import Count, Kvar, Kw, NetKvar, Values
from broker.messages.header import Message


@message("bid/{lam}/{prosumer}", sender="live host", receivers="LAM host", reader="lam")
class CurveBid(Message, frozen=True, tag="bid"):
    """Whole price response of one prosumer: prices ascending [$/kWh], trade non-increasing [kW], + buys."""

    price: Annotated[list[float], Values("price", "vertex")]
    kw: Annotated[list[float], Values("kw", "vertex")]
    reactive_kvar: Kvar


@message("bid-batch/{host}", sender="population host", receivers="LAM host", writer="host", size="batch")
class BidBatch(Message, frozen=True, tag="bid-batch"):
    """Curve bids of many prosumers: ``count`` vertices each, prices and trades end to end."""

    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    count: Annotated[Index, Values("count", "prosumer", sums="vertex")]
    price: Annotated[Column, Values("price", "vertex", apart=True)]
    kw: Annotated[Column, Values("kw", "vertex", apart=True)]
    reactive_kvar: Annotated[Column, Values("kvar", "prosumer", apart=True)]


@message("lam-bid/{lam}", sender="LAM host", receivers="WAM", writer="lam", size="batch")
class LamBid(Message, frozen=True, tag="lam-bid"):
    """Price response of one LAM, its reactive power and the members that fell back.

    The response is one curve of all members, or, where the rule needs them apart, ``count`` vertices of each.
    """

    price: Annotated[Column, Values("price", "vertex")]
    kw: Annotated[Column, Values("net_kw", "vertex")]
    reactive_kvar: NetKvar
    fallbacks: list[str] = []
    count: Annotated[Index, Values("count", "curve", empty=True)] = b""


@message("opening/{lam}/{prosumer}", sender="live host", receivers="LAM host", reader="lam")
class Opening(Message, frozen=True, tag="opening"):
    """Before rounds of bidding: what one prosumer can trade at any price [kW, + buys]."""

    low_kw: Kw
    high_kw: Kw
    reactive_kvar: Kvar


@message("opening-batch/{host}", sender="population host", receivers="LAM host", writer="host", size="batch")
class OpeningBatch(Message, frozen=True, tag="opening-batch"):
    """Openings of many prosumers."""

    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    low_kw: Annotated[Column, Values("kw", "prosumer", apart=True)]
    high_kw: Annotated[Column, Values("kw", "prosumer", apart=True)]
    reactive_kvar: Annotated[Column, Values("kvar", "prosumer", apart=True)]


@message("lam-opening/{lam_host}", sender="LAM host", receivers="WAM", writer="lam_host", size="batch")
class LamOpening(Message, frozen=True, tag="lam-opening"):
    """Openings of the LAMs of one operator host, and the members that fell back."""

    lam: Annotated[Index, Values(size="lam", of="lam")]
    low_kw: Annotated[Column, Values("net_kw", "lam")]
    high_kw: Annotated[Column, Values("net_kw", "lam")]
    reactive_kvar: Annotated[Column, Values("net_kvar", "lam")]
    fallbacks: list[str] = []


@message("wam/price", sender="WAM", receivers="LAM host", size="batch")
class WamPrice(Message, frozen=True, tag="wam-price"):
    """Wide-area prices of all LAMs [$/kWh]: each is to bid what it would buy there.

    In a pool they come with the charges in them for what flows to each LAM, and with what is to flow [kW].
    """

    round: Count
    price: Annotated[list[float], Values("price", "lams")]
    charge: Annotated[list[float], Values("price", "lams", empty=True)] = []
    flow_kw: Annotated[list[float], Values("net_kw", "lams", empty=True)] = []


@message(
    "lam-price/{lam_host}",
    sender="LAM host",
    receivers=("population host", "live host"),
    writer="lam_host",
    size="batch",
)
class LamPrice(Message, frozen=True, tag="lam-price"):
    """Local prices of some LAMs [$/kWh]: their members are to bid what they would buy there.

    Members who may deal with the utility besides also hear the charge for what flows, and bid their flow.
    """

    round: Count
    lam: Annotated[Index, Values(size="lam", of="lam")]
    price: Annotated[Column, Values("price", "lam")]
    charge: Annotated[Column, Values("price", "lam", empty=True)] = b""


@message("round-bid/{lam}/{prosumer}", sender="live host", receivers="LAM host", reader="lam")
class RoundBid(Message, frozen=True, tag="round-bid"):
    """One prosumer's bid at the announced price: the intercept ``b`` of its demand ``q = b - a * price``.

    A slope bid also says how steeply the trade falls there [kW per $/kWh].
    """

    round: Count
    intercept_kw: Annotated[float, Values("dual")]
    slope: Annotated[float, Values("dual")] | None = None


@message(
    "round-bid-batch/{lam_host}/{host}",
    sender="population host",
    receivers="LAM host",
    writer="host",
    reader="lam_host",
    size="batch",
)
class RoundBidBatch(Message, frozen=True, tag="round-bid-batch"):
    """Bids at the announced prices of many prosumers; ``slope`` is empty in plain bids."""

    round: Count
    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    intercept_kw: Annotated[Column, Values("dual", "prosumer", apart=True)]
    slope: Annotated[Column, Values("dual", "prosumer", empty=True, apart=True)]


@message("lam-round-bid/{lam_host}", sender="LAM host", receivers="WAM", writer="lam_host", size="batch")
class LamRoundBid(Message, frozen=True, tag="lam-round-bid"):
    """Bids of one host's LAMs at the announced wide-area prices: intercepts ``B`` of ``Q = B - A * price``.

    ``fallbacks`` names members that fell silent in this round; the ranges that are left come only then.
    """

    round: Count
    lam: Annotated[Index, Values(size="lam", of="lam")]
    intercept_kw: Annotated[Column, Values("dual", "lam")]
    slope: Annotated[Column, Values("dual", "lam", empty=True)]
    low_kw: Annotated[Column, Values("net_kw", "lam", empty=True)] = b""
    high_kw: Annotated[Column, Values("net_kw", "lam", empty=True)] = b""
    fallbacks: list[str] = []


@message("lam-beliefs/{lam_host}", sender="LAM host", receivers="WAM", writer="lam_host", size="batch")
class LamBeliefs(Message, frozen=True, tag="lam-beliefs"):
    """What one host believes that its members' flows would be over their local prices: a curve of each.

    Round 0 comes before any prices, and rests on ranges alone. ``at_odds`` are LAMs whose members would not
    take what was cleared at the prices of the round, ``fallbacks`` members who fell silent in it.
    """

    round: Count
    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    count: Annotated[Index, Values("count", "prosumer", sums="vertex")]
    price: Annotated[Column, Values("price", "vertex")]
    kw: Annotated[Column, Values("kw", "vertex")]
    lam: Annotated[Index, Values(size="lam", of="lam")]
    reactive_kvar: Annotated[Column, Values("net_kvar", "lam")]
    at_odds: Annotated[Index, Values(size="odd", of="lam")] = b""
    fallbacks: list[str] = []
