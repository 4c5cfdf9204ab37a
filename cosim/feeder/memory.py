"""What a feeder's operation keeps over a restart."""

from dataclasses import dataclass

from cosim.feeder.controls import Positions


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
    """

    opened: int = -1
    where: Positions | None = None
    at_rest: bool = False
