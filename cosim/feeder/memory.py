"""What a feeder's operation keeps over a restart."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cosim.feeder.boundary import FREE, Boundary
from cosim.feeder.controls import Positions
from cosim.feeder.settings import Event
from cosim.feeder.watched import LimitNames


@dataclass(frozen=True)
class Memory:
    """What an operation remembers from one interval to the next.

    Attributes
    ----------
    opened
        Last tick whose events have happened; -1 for none.
    where
        Where controls stand; ``None`` for where they stood at the start.
    at_rest
        Whether they have come to rest once.
    asked
        Events that operators asked for and what ends them, by tick, past and to come.
    boundary
        What others set last, from outside.
    near
        Limits that the last interval ended at, of a feeder whose models do not hold all of them.
    """

    opened: int = -1
    where: Positions | None = None
    at_rest: bool = False
    asked: Mapping[int, tuple[Event, ...]] = field(default_factory=dict)
    boundary: Boundary = FREE
    near: LimitNames = field(default_factory=LimitNames)
