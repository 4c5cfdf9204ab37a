"""What an interval was worth: true positions, certificate, rents and benchmarks."""

from __future__ import annotations

from typing import Literal

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.header import Message

BenchmarkName = Literal["no_sharing", "lam_only", "single_layer", "single_layer_network", "optimum"]


@message("position/{host}", sender=("population host", "live host"), receivers="auditor", writer="host")
class PositionBatch(Message, frozen=True, tag="position"):
    """True inflexible demand and resources of a host's prosumers, for benchmarks only."""

    prosumer: Index
    demand_kw: Column
    owner: Index
    min_kw: Column
    max_kw: Column
    cost_linear: Column
    cost_quadratic: Column
    output_kw: Column


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
    violated: int


@message("audit", sender="auditor", receivers="recorder")
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
    saving: Column
    beyond: list[str]
    notes: list[str]
    seconds: float
