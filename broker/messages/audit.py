"""What an interval was worth: true positions, certificate, rents and benchmarks."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.fields import Count, Duration, Figure, NetKwh, Usd, Values
from broker.messages.header import Message

BenchmarkName = Literal["no_sharing", "lam_only", "single_layer", "single_layer_network", "optimum"]


@message(
    "position/{host}",
    sender=("population host", "live host"),
    receivers="auditor",
    writer="host",
    size="batch",
)
class PositionBatch(Message, frozen=True, tag="position"):
    """True inflexible demand and resources of a host's prosumers, for benchmarks only."""

    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    demand_kw: Annotated[Column, Values("kw", "prosumer")]
    owner: Annotated[Index, Values(size="resource", of="prosumer")]
    min_kw: Annotated[Column, Values("kw", "resource")]
    max_kw: Annotated[Column, Values("kw", "resource")]
    cost_linear: Annotated[Column, Values("price", "resource")]
    cost_quadratic: Annotated[Column, Values("price", "resource")]
    output_kw: Annotated[Column, Values("kw", "resource")]


class CertificateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How far a clearing is from equilibrium: misses of power [kW], prices [$/kWh] and money [$/h]."""

    balance_kw: Figure
    row_excess_kw: Figure
    complementarity: Figure
    duality_gap: Figure
    prosumer_gain: Figure
    lam_gain: Figure
    price_error: Figure
    payment_error: Figure


class Rents(msgspec.Struct, frozen=True, kw_only=True):
    """Where the WAM's surplus of the interval comes from [$]; the parts sum to it.

    ``loss``: what marginal losses bring beyond what losses and load outside the market cost. ``limits``: of
    the grid's limits.
    """

    fees: Usd
    loss: Usd
    voltage: Usd
    congestion: Usd
    limits: Usd


class BenchmarkCost(msgspec.Struct, frozen=True, kw_only=True):
    """Social cost of the interval under other rules [$], and how many limits they would violate."""

    name: BenchmarkName
    cost: Usd
    violated: Count


@message("audit", sender="auditor", receivers="recorder", size="batch")
class Audit(Message, frozen=True, tag="audit"):
    """What the auditor found of the interval; for the record, nobody acts on it.

    ``beyond`` names every figure of certificate or settlement that is beyond its tolerance, ``notes`` say why
    something is missing. ``made_kwh`` is what prosumers make, gross; ``saving`` is what each one saves
    against no sharing [$], empty if not known.
    """

    certificate: CertificateFigures | None
    rents: Rents | None
    market_cost: Usd | None
    made_kwh: NetKwh | None
    benchmarks: list[BenchmarkCost]
    efficiency: Figure | None
    saving: Annotated[Column, Values("usd", "prosumers", empty=True)]
    beyond: list[str]
    notes: list[str]
    seconds: Duration
