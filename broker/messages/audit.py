"""What an interval was worth: true positions, certificate, rents and benchmarks."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.fields import Count, Duration, Values
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

    balance_kw: float
    row_excess_kw: float
    complementarity: float
    duality_gap: float
    prosumer_gain: float
    lam_gain: float
    price_error: float
    payment_error: float


class Rents(msgspec.Struct, frozen=True, kw_only=True):
    """Where the WAM's surplus of the interval comes from [$]; the parts sum to it.

    ``loss``: what marginal losses bring beyond what losses and load outside the market cost. ``limits``: of
    the grid's limits.
    """

    fees: float
    loss: float
    voltage: float
    congestion: float
    limits: float


class BenchmarkCost(msgspec.Struct, frozen=True, kw_only=True):
    """Social cost of the interval under other rules [$], and how many limits they would violate."""

    name: BenchmarkName
    cost: float
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
    market_cost: float | None
    made_kwh: float | None
    benchmarks: list[BenchmarkCost]
    efficiency: float | None
    saving: Annotated[Column, Values("any", "prosumers", empty=True)]
    beyond: list[str]
    notes: list[str]
    seconds: Duration
