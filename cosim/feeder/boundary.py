"""What stands beyond a feeder and its market, and what others set from one interval to the next."""

from typing import Annotated

from msgspec import Meta, Struct

from cosim.feeder.settings import LEAST_SOURCE_PU, MOST_SOURCE_PU


class Boundary(Struct, frozen=True, kw_only=True):
    """Boundary conditions of an interval, in place of those before.

    Attributes
    ----------
    source_pu
        Voltage of the source [pu], over events of the source; ``None`` for what file and events say.
    load_kw, load_kvar
        Loads outside the market at each LAM, beside those of events, + draws ``(M,)`` [kW, kvar]; empty
        for none.
    """

    source_pu: Annotated[float, Meta(gt=LEAST_SOURCE_PU, lt=MOST_SOURCE_PU)] | None = None
    load_kw: tuple[float, ...] = ()
    load_kvar: tuple[float, ...] = ()


FREE = Boundary()
"""Nothing is set from outside."""
