"""What observers of a run are told beside what services say to each other: what it is, what was booked."""

from __future__ import annotations

import zlib
from typing import Annotated, Literal

import msgspec

from broker.messages.declaration import message
from broker.messages.fields import Count, Figure, MicroUsd, NetKwh, Opaque, Price, Usd, Values, WallTime
from broker.messages.header import Message
from sharegrid.decoding import decode_json

_LARGEST_BYTES = 64 * 2**20


class FeederMap(msgspec.Struct, frozen=True, kw_only=True):
    """Drawing of a feeder: where the buses are [any length unit], what connects them, which carry a LAM.

    ``name`` is the feeder's, ``elements`` names what each segment is, ``source`` the bus of the feeder head.
    ``base_kv`` is the base of each voltage that the feeder tells, between its ends [kV], in their order;
    ``limits_pu`` are the limits of each [pu], and ``branches`` names the conductors whose loading it tells.
    """

    buses: dict[str, tuple[float, float]]
    segments: list[tuple[str, str]]
    lams: list[str]
    base_kv: dict[str, float] = {}
    name: str = ""
    elements: list[str] = []
    source: str = ""
    limits_pu: list[tuple[float, float]] = []
    branches: list[str] = []


class LiveDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device of a live prosumer that can be commanded; ``armed`` where the run may command hardware."""

    device: str
    real: bool = False
    armed: bool = True


class LiveProsumerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A live prosumer: what people call it, the index of its LAM, and its devices."""

    prosumer: str
    name: str
    lam: int
    devices: list[LiveDevice]


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is, for whoever has neither its scenario nor its directory.

    ``start`` is the beginning of the first interval [s since epoch]; ``members`` says how many prosumers each
    LAM has.
    """

    start: float
    time_zone: str
    interval_s: float
    intervals: int
    prosumers: int
    lams: list[str]
    members: list[int]
    map: FeederMap
    live: list[LiveProsumerFacts]

    def packed(self) -> bytes:
        """As a message's content: JSON, compressed by zlib."""
        return zlib.compress(msgspec.json.encode(self))


def unpacked_facts(content: bytes) -> RunFacts:
    """Facts of a message's content; raises ``ValueError`` where it holds none."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(content, _LARGEST_BYTES)
        return decode_json(text, RunFacts)
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"a run's facts cannot be read: {error}") from None


@message("facts", sender="recorder", receivers="observer", size="batch", retained=True, always=True)
class Facts(Message, frozen=True, tag="facts"):
    """What the run is, for observers, who have nothing but the bus: `RunFacts` as JSON, compressed by zlib.

    The broker keeps it, so that whoever comes later has it at once.
    """

    content: Annotated[bytes, Opaque()]


@message("alarm", sender="recorder", receivers="observer", always=True)
class Alarm(Message, frozen=True, tag="alarm"):
    """Something that somebody should look at, ``at`` a wall time [s since epoch]; ``count`` alike are one."""

    weight: Literal["note", "warning", "alarm"]
    source: str
    text: str
    count: Count
    at: WallTime


class MoneyFlow(msgspec.Struct, frozen=True, kw_only=True):
    """What the entries of one kind add up to by group of accounts, + received [µ$]; they sum to zero."""

    kind: str
    prosumers: MicroUsd
    lams: MicroUsd
    wam: MicroUsd
    grid: MicroUsd
    utility: MicroUsd
    imbalance: MicroUsd
    rounding: MicroUsd


@message("settled", sender="recorder", receivers="observer", size="batch")
class Settled(Message, frozen=True, tag="settled"):
    """What the recorder booked of an interval, and the figures that only it has; nobody acts on it.

    Energy is that of the interval [kWh], as in the table of intervals; ``flags`` are the recorder's own.
    """

    import_price: Price
    export_price: Price
    retail_price: Price
    feed_in_price: Price
    bought_kwh: NetKwh
    traded_lam_kwh: NetKwh
    traded_wam_kwh: NetKwh
    imbalance_kwh: NetKwh
    grid_scheduled_kw: Annotated[float, Values("net_kw")]
    grid_actual_kw: Annotated[float, Values("net_kw")]
    made_kwh: NetKwh | None
    saving_usd: Usd | None
    cost_market: Usd | None
    cost_no_sharing: Usd | None
    cost_optimum: Usd | None
    efficiency: Figure | None
    certified: bool | None
    entries: Count
    money: list[MoneyFlow]
    flags: list[str] = []
