"""What single points are held against, and what of SunSpec points a make of device does otherwise."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class Trait(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a point reads as with devices of a kind, to tell them from others, or in a state that is needed.

    Attributes
    ----------
    point
        Name of the point.
    equals
        Numbers, or names of numbers, of which it shows one.
    contains
        Text of which it shows one, in whatever case.
    between
        Least and greatest value.
    reason
        What it means where it does not, and the remedy.
    """

    point: str
    equals: tuple[float | str, ...] = ()
    contains: tuple[str, ...] = ()
    between: tuple[float, float] | None = None
    reason: str = ""

    def fits(self, value: float | str | None, names: dict[str, int]) -> bool:
        """Whether a value that was read is such a one."""
        if isinstance(value, str):
            return any(text.casefold() in value.casefold() for text in self.contains)
        if value is None:
            return False
        if self.between is not None:
            return self.between[0] <= value <= self.between[1]
        return any(value == (names.get(one) if isinstance(one, str) else one) for one in self.equals)


class Correction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a make of device does otherwise than the definition of a SunSpec point says; as in `Point`."""

    sign: Literal[1, -1] = 1
    scale: float = 1.0
    sf: int | None = None
    limits: tuple[float, float] | None = None
    tolerance: Annotated[float, Meta(ge=0.0)] | None = None
