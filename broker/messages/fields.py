"""What the numbers of a message may be: their unit, how many belong there, and of what they are indices.

A field says so in its annotation, beside its type; `broker.door` holds what comes in against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

Unit = Literal[
    "",
    "kw",
    "kvar",
    "net_kw",
    "net_kvar",
    "kwh",
    "kvarh",
    "counter_kwh",
    "net_kwh",
    "stock_kwh",
    "price",
    "dual",
    "pu",
    "share",
    "soc",
    "s",
    "wait_s",
    "wall_s",
    "min",
    "count",
    "tap",
    "usd",
    "micro_usd",
    "slope",
    "extent",
    "figure",
]
"""Each has a range that is plausible in a run (`broker.door.bounds.Bounds.ranges`); no number goes without.

``kw`` and ``kvar`` are those of one connection, ``net_kw``, ``net_kvar`` and ``net_kwh`` those of a LAM or
the feeder. ``stock_kwh`` is what a vehicle, work or a tank wants or holds, ``soc`` how full a store is.
``wait_s`` is how long somebody has time, ``wall_s`` a time since epoch. ``slope`` is a derivative of the
feeder's model, ``extent`` how large something is, from 0 on; ``figure`` is told to be judged, whatever it is.
"""

Domain = Literal["", "prosumer", "lam"]


@dataclass(frozen=True)
class Values:
    """Values of one field.

    Attributes
    ----------
    unit
        Which range is plausible; empty for what is no number.
    size
        How many there are: ``lams``, ``nodes``, ``branches``, ``prosumers`` are those of the run; any other
        word stands for the length of the first field of the message that has it, so that parallel columns
        have equal lengths. ``row*lams`` is a product of two.
    of
        What the values are indices, or names, of.
    empty
        There may be none at all instead.
    infinite
        Infinity means that there is no limit.
    apart
        The receiver judges the values one by one, so that one party's bad value does not spoil all others'.
    sums
        The values count how many of this size there are in all.
    steady
        There may be one value of each of the first factor of the size instead, where the others are equal.
    measured
        How long something took: no two runs have the same.
    """

    unit: Unit = ""
    size: str = ""
    of: Domain = ""
    empty: bool = False
    infinite: bool = False
    apart: bool = False
    sums: str = ""
    steady: bool = False
    measured: bool = False


@dataclass(frozen=True)
class Opaque:
    """Bytes that no service looks into but their own sender; the length of the body bounds them."""


Kw = Annotated[float, Values("kw")]
Kvar = Annotated[float, Values("kvar")]
NetKw = Annotated[float, Values("net_kw")]
NetKvar = Annotated[float, Values("net_kvar")]
CounterKwh = Annotated[float, Values("counter_kwh")]
NetKwh = Annotated[float, Values("net_kwh")]
StockKwh = Annotated[float, Values("stock_kwh")]
Soc = Annotated[float, Values("soc")]
Price = Annotated[float, Values("price")]
Usd = Annotated[float, Values("usd")]
MicroUsd = Annotated[int, Values("micro_usd")]
Pu = Annotated[float, Values("pu")]
Seconds = Annotated[float, Values("s")]
WaitSeconds = Annotated[float, Values("wait_s")]
WallTime = Annotated[float, Values("wall_s")]
Duration = Annotated[float, Values("s", measured=True)]
Count = Annotated[int, Values("count")]
Extent = Annotated[float, Values("extent")]
Figure = Annotated[float, Values("figure")]
RowKind = Literal["voltage", "congestion", "unbalance", "neutral"]
"""What a row of a linear model limits."""
StoreKind = Literal["battery", "vehicle", "heat pump", "appliance"]
"""What a store of the market over a horizon is."""
