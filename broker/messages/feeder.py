"""What market and feeder say to each other, and what AC power flow makes of the metered interval."""

from __future__ import annotations

from typing import Literal

import msgspec

from broker.messages.columns import Column
from broker.messages.declaration import message
from broker.messages.header import Message


@message("feeder/request", sender="WAM", receivers="feeder")
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


@message("feeder/reply", sender="feeder", receivers="WAM, auditor, recorder")
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


@message("feeder/state", sender="feeder", receivers="WAM, device host, recorder")
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
