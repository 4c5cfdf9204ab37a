"""Wire messages: typed, validated, versioned structs in JSON.

Every message names its run, tick, sender and its number in the sender's stream on that topic.
Small columns travel as JSON lists, those over all prosumers or nodes as base64 strings
(`broker.messages.columns`).
JSON has no NaN: check finiteness before encoding; a missing value is ``None``.
"""

from __future__ import annotations

import msgspec

from broker.messages.audit import (
    Audit,
    BenchmarkCost,
    BenchmarkName,
    CertificateFigures,
    PositionBatch,
    Rents,
)
from broker.messages.bids import (
    BidBatch,
    CurveBid,
    LamBid,
    LamOpening,
    LamPrice,
    LamRoundBid,
    Opening,
    OpeningBatch,
    RoundBid,
    RoundBidBatch,
    WamPrice,
)
from broker.messages.devices import (
    Acknowledgement,
    DeviceSetPoint,
    DeviceState,
    MeteredBatch,
    Quality,
    SetPoint,
    Stop,
    Stopped,
    Telemetry,
    TruthBatch,
    read_metered,
)
from broker.messages.feeder import FeederReply, FeederRequest, FeederState, NetworkModel, ReactiveModel
from broker.messages.header import Message
from broker.messages.outcomes import Award, AwardBatch, LamOutcome, Talks, WamOutcome
from broker.messages.run import Availability, Done, Rejected, Step, StepName, Traffic

__all__ = [
    "Acknowledgement",
    "AnyMessage",
    "Audit",
    "Availability",
    "Award",
    "AwardBatch",
    "BenchmarkCost",
    "BenchmarkName",
    "BidBatch",
    "CertificateFigures",
    "CurveBid",
    "DeviceSetPoint",
    "DeviceState",
    "Done",
    "FeederReply",
    "FeederRequest",
    "FeederState",
    "LamBid",
    "LamOpening",
    "LamOutcome",
    "LamPrice",
    "LamRoundBid",
    "Message",
    "MeteredBatch",
    "NetworkModel",
    "Opening",
    "OpeningBatch",
    "PositionBatch",
    "Quality",
    "ReactiveModel",
    "Rejected",
    "Rents",
    "RoundBid",
    "RoundBidBatch",
    "SetPoint",
    "Step",
    "StepName",
    "Stop",
    "Stopped",
    "Talks",
    "Telemetry",
    "Traffic",
    "TruthBatch",
    "WamOutcome",
    "WamPrice",
    "decode",
    "encode",
    "read_metered",
]

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
