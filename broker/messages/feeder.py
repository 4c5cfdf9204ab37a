"""What market and feeder say to each other, and what AC power flow makes of the metered interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from broker.messages.columns import Column
from broker.messages.declaration import message
from broker.messages.fields import Count, Duration, Extent, Figure, NetKvar, NetKw, Pu, RowKind, Values
from broker.messages.header import Message


@message("feeder/request", sender="WAM", receivers="feeder", size="batch")
class FeederRequest(Message, frozen=True, tag="feeder-request"):
    """Solve AC power flow at these LAM nets; judge it by the last model sent; linearise if not confirmed.

    A confirmed one gets a model, too, where its clearing broke limits of controls' positions that it does not
    bring about.

    ``inverter_kvar`` are reactive set-points of the LAMs' inverters, + absorbs, beside ``reactive_kvar`` of
    their loads; empty where the market sets none.
    """

    round: Count
    net_kw: Annotated[list[float], Values("net_kw", "lams")]
    reactive_kvar: Annotated[list[float], Values("net_kvar", "lams")]
    low_kw: Annotated[list[float], Values("net_kw", "lams")]
    high_kw: Annotated[list[float], Values("net_kw", "lams")]
    inverter_kvar: Annotated[list[float], Values("net_kvar", "lams", empty=True)] = []


class ReactiveModel(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a linear model that holds reactive set-points, each within plus and minus ``limit_kvar``.

    ``present_kvar`` is where they stand, ``balance`` is head power per kvar; ``matrix`` holds the rows'
    derivatives per kvar of each LAM.
    """

    limit_kvar: Annotated[list[float], Values("net_kvar", "lams")]
    present_kvar: Annotated[list[float], Values("net_kvar", "lams")]
    balance: Annotated[list[float], Values("slope", "lams")]
    matrix: Annotated[Column, Values("slope", "row*lams")]


class NetworkModel(msgspec.Struct, frozen=True, kw_only=True):
    """Linear model of the feeder: head power and rows ``lower <= base + R Q <= upper`` over the LAM nets.

    Where the market sets the inverters' reactive power, ``reactive`` adds its columns; the rest is the model
    at set-points of zero. ``unserved`` are indices of LAMs that no source feeds.
    """

    balance: Annotated[list[float], Values("slope", "lams")]
    offset_kw: NetKw
    name: Annotated[list[str], Values(size="row")]
    row_kind: Annotated[list[RowKind], Values(size="row")]
    matrix: Annotated[Column, Values("slope", "row*lams")]
    base: Annotated[Column, Values("dual", "row")]
    lower: Annotated[Column, Values("dual", "row", infinite=True)]
    upper: Annotated[Column, Values("dual", "row", infinite=True)]
    reactive: ReactiveModel | None = None
    unserved: Annotated[list[int], Values(of="lam")] = []


@message("feeder/reply", sender="feeder", receivers=("WAM", "auditor", "recorder"), size="model")
class FeederReply(Message, frozen=True, tag="feeder-reply"):
    """AC solution of a request: head power, worst errors and violations, and the next linear model.

    It is confirmed only if it also keeps the limits once regulators and capacitors have answered it. A large
    feeder's model holds the rows of those limits that its states came near to; ``unwatched`` are those that
    the dispatch breaks and the model behind it did not hold. Of broken limits the worst are named, up to a
    hundred; ``unnamed`` is how many more there are.
    """

    round: Count
    solved: bool
    confirmed: bool
    source_kw: NetKw | None
    linear_error_pu: Extent | None
    severity: Figure | None
    violations: list[str]
    model: NetworkModel | None
    seconds: Duration
    unwatched: Count = 0
    unnamed: Count = 0


@message("feeder/ahead", sender="WAM", receivers="feeder", size="batch")
class AheadRequest(Message, frozen=True, tag="ahead-request"):
    """Tell a linear model for intervals to come, in which these LAM nets are expected.

    ``place`` counts the requests of an interval; the other fields are those of `FeederRequest`.
    """

    place: Count
    net_kw: Annotated[list[float], Values("net_kw", "lams")]
    reactive_kvar: Annotated[list[float], Values("net_kvar", "lams")]
    low_kw: Annotated[list[float], Values("net_kw", "lams")]
    high_kw: Annotated[list[float], Values("net_kw", "lams")]
    inverter_kvar: Annotated[list[float], Values("net_kvar", "lams", empty=True)] = []


@message("feeder/model-ahead", sender="feeder", receivers="WAM", size="model")
class AheadReply(Message, frozen=True, tag="ahead-reply"):
    """Linear model at the powers of a request, with regulators and capacitors where these bring them.

    None where AC power flow has no solution there.
    """

    place: Count
    model: NetworkModel | None
    seconds: Duration


class FeederRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What a metered state can be rebuilt from, beside the feeder's file.

    ``position`` tells where each ``device`` stands: ``regulator.NAME`` its tap, ``capacitor.NAME`` its steps
    (1 for on), ``switch.NAME`` ``open`` or ``closed``. ``changes`` are the OpenDSS commands that changed the
    circuit so far. A connection ``at`` is a bus with one or two of its nodes, such as ``47.1``, to ground, or
    ``76.1-2``; ``lam`` is the number of its LAM, from 1, and 0 outside the market.
    """

    device: Annotated[list[str], Values(size="device")]
    position: Annotated[list[str], Values(size="device")]
    changes: list[str]
    at: Annotated[list[str], Values(size="connection")]
    lam: Annotated[list[int], Values("count", "connection")]
    cleared_kw: Annotated[Column, Values("net_kw", "connection")]
    cleared_kvar: Annotated[Column, Values("net_kvar", "connection")]
    metered_kw: Annotated[Column, Values("net_kw", "connection")]
    metered_kvar: Annotated[Column, Values("net_kvar", "connection")]


@message(
    "feeder/state",
    sender="feeder",
    receivers=("WAM", "population host", "live host", "device host", "recorder"),
    size="batch",
)
class FeederState(Message, frozen=True, tag="feeder-state"):
    """AC power flow of what was metered in the interval; voltages per node, loading per branch.

    Powers are means of the interval; voltages, loading and violations are those with which it ends, once
    controls have acted. A node or LAM without source has voltage 0. ``under_pu_h`` to ``node_h`` weigh by
    time: pu h below and above the limits, kVA h above ratings, node-hours outside the voltage limits.
    Violations are named as in `FeederReply`, and ``broken`` counts all of them.
    ``outside_kw`` and ``outside_kvar`` are loads outside the market, of events and of a co-simulation, and
    ``set_pu`` is the source's voltage that a co-simulation set.
    """

    solved: bool
    v_pu: Annotated[Column, Values("pu", "nodes", empty=True)]
    loading: Annotated[Column, Values("extent", "branches", empty=True)]
    lam_kw: Annotated[Column, Values("net_kw", "lams")]
    lam_kvar: Annotated[Column, Values("net_kvar", "lams")]
    lam_v_pu: Annotated[Column, Values("pu", "lams", empty=True)]
    source_kw: NetKw | None
    source_kvar: NetKvar | None
    losses_kw: NetKw | None
    tap_changes: Count
    violations: list[str]
    estimated: list[str]
    capacitor_switchings: Count = 0
    under_pu_h: Extent = 0.0
    over_pu_h: Extent = 0.0
    overload_kva_h: Extent = 0.0
    node_h: Extent = 0.0
    events: list[str] = []
    unserved: list[str] = []
    record: FeederRecord | None = None
    unbalance_pct: Extent | None = None
    neutral_v: Extent | None = None
    outside_kw: Annotated[Column, Values("net_kw", "lams", empty=True)] = b""
    outside_kvar: Annotated[Column, Values("net_kvar", "lams", empty=True)] = b""
    set_pu: Pu | None = None
    unnamed: Count = 0

    @property
    def broken(self) -> int:
        """How many limits are broken."""
        return len(self.violations) + self.unnamed

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise ``ValueError`` where a solved state does not tell all voltages and loadings."""
        columns = {"nodes": self.v_pu, "branches": self.loading, "lams": self.lam_v_pu}
        for name, column in columns.items():
            if self.solved and not column and sizes.get(name, 0):
                raise ValueError(f"a solved state must tell all {name}")
