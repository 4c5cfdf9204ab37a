"""Wire messages: typed, validated, versioned structs in JSON.

Every message names its run, tick, sender and its number in the sender's stream on that topic.
Small columns travel as JSON lists, those over all prosumers or nodes as base64 strings (`broker.columns`).
JSON has no NaN: check finiteness before encoding; a missing value is ``None``.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from broker.columns import Column, Index

Quality = Literal["good", "suspect", "held", "missing"]
BenchmarkName = Literal["no_sharing", "lam_only", "single_layer", "single_layer_network", "optimum"]
StepName = Literal["measure", "bid", "clear", "dispatch", "act", "meter", "settle", "end"]


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Header that every message carries.

    ``seq`` counts this sender's messages on this topic from 0.
    """

    run: str
    tick: int
    sender: str
    seq: int
    v: Literal[1] = 1


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one service since its start."""

    sent: int = 0
    received: int = 0
    gaps: int = 0
    duplicates: int = 0
    late: int = 0
    rejected: int = 0
    modbus_reads: int = 0
    modbus_writes: int = 0
    modbus_errors: int = 0
    set_points_limited: int = 0
    set_points_renewed: int = 0


class Step(Message, frozen=True, tag="step"):
    """The clock opens a step; ``opened`` and ``deadline`` are wall time [s since epoch].

    ``lag_s`` says how late the interval opened against its absolute deadline; 0 where nothing paces the run.
    ``pace`` is simulated seconds per wall second: 1 in real time, ``None`` where nothing paces the run.
    """

    step: StepName
    opened: float
    deadline: float
    interval_s: float
    lag_s: float = 0.0
    pace: float | None = None


class Done(Message, frozen=True, tag="done"):
    """A service has finished its part of a step; ``flags`` say what went wrong in it."""

    step: StepName
    flags: list[str] = []
    traffic: Traffic = Traffic()


class Availability(Message, frozen=True, tag="availability"):
    """Whether a service is on the bus, and a digest of the world that it has built for the run."""

    online: bool
    world: str = ""


class DeviceState(msgspec.Struct, frozen=True, kw_only=True):
    """One controllable device: measured power (+ generates) and what it can do in the next interval [kW].

    ``obeys`` is false where no set-point reaches it: it is only observed, or was stopped. ``read_at`` says
    when it was last read [s since epoch].
    """

    device: Literal["pv", "battery"]
    p_kw: float | None
    min_kw: float | None
    max_kw: float | None
    soc: float | None = None
    quality: Quality = "good"
    obeys: bool = True
    read_at: float | None = None


class Telemetry(Message, frozen=True, tag="telemetry"):
    """Readings at one live prosumer's connection point; power and energy are positive on import.

    ``interval_kwh`` and ``interval_kvarh`` are net import since the previous settlement reading, only
    at phase ``meter``. ``read_at`` says when the meter was last read [s since epoch], ``response_s`` how long
    after a set-point was asked for the meter showed it [s], ``checks`` which checks of plausibility failed.
    """

    phase: Literal["measure", "meter"]
    p_kw: float | None
    q_kvar: float | None
    v_pu: float | None
    import_kwh: float | None
    export_kwh: float | None
    quality: Quality
    interval_kwh: float | None = None
    interval_kvarh: float | None = None
    devices: list[DeviceState] = []
    read_at: float | None = None
    response_s: float | None = None
    checks: list[str] = []


class CurveBid(Message, frozen=True, tag="bid"):
    """Whole price response of one prosumer: prices ascending [$/kWh], trade non-increasing [kW], + buys."""

    price: list[float]
    kw: list[float]
    reactive_kvar: float


class BidBatch(Message, frozen=True, tag="bid-batch"):
    """Curve bids of many prosumers: ``count`` vertices each, prices and trades end to end."""

    prosumer: Index
    count: Index
    price: Column
    kw: Column
    reactive_kvar: Column


class LamBid(Message, frozen=True, tag="lam-bid"):
    """Aggregate price response of one LAM, its reactive power and the members that fell back."""

    price: Column
    kw: Column
    reactive_kvar: float
    fallbacks: list[str] = []


class Opening(Message, frozen=True, tag="opening"):
    """Before rounds of bidding: what one prosumer can trade at any price [kW, + buys]."""

    low_kw: float
    high_kw: float
    reactive_kvar: float


class OpeningBatch(Message, frozen=True, tag="opening-batch"):
    """Openings of many prosumers."""

    prosumer: Index
    low_kw: Column
    high_kw: Column
    reactive_kvar: Column


class LamOpening(Message, frozen=True, tag="lam-opening"):
    """Openings of the LAMs of one operator host, and the members that fell back."""

    lam: Index
    low_kw: Column
    high_kw: Column
    reactive_kvar: Column
    fallbacks: list[str] = []


class WamPrice(Message, frozen=True, tag="wam-price"):
    """Wide-area prices of all LAMs [$/kWh]: each is to bid what it would buy there."""

    round: int
    price: list[float]


class LamPrice(Message, frozen=True, tag="lam-price"):
    """Local prices of some LAMs [$/kWh]: their members are to bid what they would buy there."""

    round: int
    lam: Index
    price: Column


class RoundBid(Message, frozen=True, tag="round-bid"):
    """One prosumer's bid at the announced price: the intercept ``b`` of its demand ``q = b - a * price``.

    A slope bid also says how steeply the trade falls there [kW per $/kWh].
    """

    round: int
    intercept_kw: float
    slope: float | None = None


class RoundBidBatch(Message, frozen=True, tag="round-bid-batch"):
    """Bids at the announced prices of many prosumers; ``slope`` is empty in plain bids."""

    round: int
    prosumer: Index
    intercept_kw: Column
    slope: Column


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


class FeederRequest(Message, frozen=True, tag="feeder-request"):
    """Solve AC power flow at these LAM nets; judge it by the last model sent; linearise if not confirmed.

    ``inverter_kvar`` are reactive set-points of the LAMs' inverters, + absorbs, beside ``reactive_kvar`` of
    their loads; empty where the market sets none.
    """

    round: int
    net_kw: list[float]
    reactive_kvar: list[float]
    low_kw: list[float]
    high_kw: list[float]
    inverter_kvar: list[float] = []


class ReactiveModel(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a linear model that holds reactive set-points, each within plus and minus ``limit_kvar``.

    ``present_kvar`` is where they stand, ``balance`` is head power per kvar; ``matrix`` holds the rows'
    derivatives per kvar of each LAM.
    """

    limit_kvar: list[float]
    present_kvar: list[float]
    balance: list[float]
    matrix: Column


class NetworkModel(msgspec.Struct, frozen=True, kw_only=True):
    """Linear model of the feeder: head power and rows ``lower <= base + R Q <= upper`` over the LAM nets.

    Where the market sets the inverters' reactive power, ``reactive`` adds its columns; the rest is the model
    at set-points of zero. ``unserved`` are positions of LAMs that no source feeds.
    """

    balance: list[float]
    offset_kw: float
    name: list[str]
    row_kind: list[Literal["voltage", "congestion"]]
    matrix: Column
    base: Column
    lower: Column
    upper: Column
    reactive: ReactiveModel | None = None
    unserved: list[int] = []


class FeederReply(Message, frozen=True, tag="feeder-reply"):
    """AC solution of a request: head power, worst errors and violations, and the next linear model.

    It is confirmed only if it also keeps the limits once regulators and capacitors have answered it.
    """

    round: int
    solved: bool
    confirmed: bool
    source_kw: float | None
    linear_error_pu: float | None
    severity: float | None
    violations: list[str]
    model: NetworkModel | None
    seconds: float


class FeederState(Message, frozen=True, tag="feeder-state"):
    """AC power flow of what was metered in the interval; voltages per node, loading per branch.

    Powers are means of the interval; voltages, loading and violations are those with which it ends, once
    controls have acted. A node or LAM without source has voltage 0. ``under_pu_h`` to ``node_h`` weigh by
    time: pu h below and above the limits, kVA h above ratings, node-hours outside the voltage limits.
    """

    solved: bool
    v_pu: Column
    loading: Column
    lam_kw: Column
    lam_kvar: Column
    lam_v_pu: Column
    source_kw: float | None
    source_kvar: float | None
    losses_kw: float | None
    tap_changes: int
    violations: list[str]
    estimated: list[str]
    capacitor_switchings: int = 0
    under_pu_h: float = 0.0
    over_pu_h: float = 0.0
    overload_kva_h: float = 0.0
    node_h: float = 0.0
    events: list[str] = []
    unserved: list[str] = []


class Talks(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer's exchange of bids took: rounds, messages, bytes of the numbers in them (8 each).

    Every party's bid counts as a message, also where a host sends many in one. ``damped``, ``accelerated``:
    plain bids that cycled or crept were treated so.
    """

    rounds: int
    messages: int
    bytes: int
    damped: bool = False
    accelerated: bool = False


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
    talks: Talks
    inverter_kvar: list[float] = []
    inverter_price: list[float] = []
    unserved: list[int] = []
    relaxed_name: list[str] = []
    relaxed_by: list[float] = []


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
    talks: Talks


class Award(Message, frozen=True, tag="award"):
    """One live prosumer's allocation: trade [kW, + buys] and the price it pays or gets [$/kWh]."""

    trade_kw: float
    price: float


class AwardBatch(Message, frozen=True, tag="award-batch"):
    """Allocations of the prosumers of one population host."""

    prosumer: Index
    trade_kw: Column
    price: Column


class DeviceSetPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Set-point of one device.

    ``pv``: the most it may generate [kW], ``None`` lifts the limit; ``battery``: power [kW], + discharges.
    """

    device: Literal["pv", "battery"]
    power_kw: float | None


class SetPoint(Message, frozen=True, tag="set-point"):
    """Set-points of a live prosumer's devices, valid for ``valid_s`` of simulated time from the dispatch."""

    valid_s: float
    devices: list[DeviceSetPoint]


class Acknowledgement(Message, frozen=True, tag="acknowledgement"):
    """What a gateway wrote and read back; ``ok`` only where every register read back as written.

    ``seconds`` is wall time from the set-point's arrival to the read-back.
    """

    ok: bool
    detail: str = ""
    seconds: float | None = None


class Stop(Message, frozen=True, tag="stop"):
    """Emergency stop: every device goes to its safe value and takes no set-point any more."""

    reason: str


class Stopped(Message, frozen=True, tag="stopped"):
    """What a gateway did on an emergency stop: devices that it commands, and one line for each failure.

    ``safe`` devices read back their safe value; ``observed`` ones are never written.
    """

    by: str
    reason: str
    devices: int
    safe: int
    observed: int
    failed: list[str]


class MeteredBatch(Message, frozen=True, tag="metered"):
    """Metered energy of the interval: net import [kWh] and reactive energy [kvarh] per prosumer."""

    prosumer: Index
    energy_kwh: Column
    reactive_kvarh: Column


class TruthBatch(Message, frozen=True, tag="truth"):
    """What really flowed at emulated prosumers: net import [kWh]; for the record, nobody acts on it."""

    prosumer: Index
    energy_kwh: Column


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


class Rejected(Message, frozen=True, tag="rejected"):
    """A message that was refused: its topic and why."""

    topic: str
    reason: str


AnyMessage = (
    Step
    | Done
    | Availability
    | Telemetry
    | CurveBid
    | BidBatch
    | LamBid
    | Opening
    | OpeningBatch
    | LamOpening
    | WamPrice
    | LamPrice
    | RoundBid
    | RoundBidBatch
    | LamRoundBid
    | FeederRequest
    | FeederReply
    | FeederState
    | WamOutcome
    | LamOutcome
    | Award
    | AwardBatch
    | SetPoint
    | Acknowledgement
    | Stop
    | Stopped
    | MeteredBatch
    | TruthBatch
    | PositionBatch
    | Audit
    | Rejected
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(AnyMessage)


def encode(message: Message) -> bytes:
    """JSON bytes of a message."""
    return _encoder.encode(message)


def decode(payload: bytes) -> AnyMessage:
    """Message of JSON bytes; raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    message: AnyMessage = _decoder.decode(payload)
    return message
