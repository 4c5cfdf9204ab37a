"""How some points are read: requests, and where the points stand in their replies."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import isfinite

from devices.registers.points import Point, decode_bytes


@dataclass(frozen=True, slots=True)
class Place:
    """A point and its address; ``scale`` names the point that holds its scale factor."""

    address: int
    point: Point
    scale: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """One block of registers to be read."""

    function: int
    address: int
    count: int


@dataclass(frozen=True, slots=True)
class Field:
    """A point within the replies to a plan's requests."""

    name: str
    place: Place
    request: int
    begin: int
    end: int


@dataclass(frozen=True)
class Plan:
    """Requests that bring in some points.

    Attributes
    ----------
    requests
        Blocks of registers.
    scales, fields
        Scale factors, and the points themselves, within the replies.
    headers
        ID and length of each SunSpec model that is read from, as one number of 32 bits.
    sums
        Points that are all those with some label together.
    """

    requests: tuple[Request, ...]
    scales: tuple[Field, ...]
    fields: tuple[Field, ...]
    headers: tuple[tuple[Field, bytes], ...] = ()
    sums: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def moved(self, replies: Sequence[bytes]) -> str | None:
        """Name of a model whose header is not where it was; ``None`` where all are."""
        for field, header in self.headers:
            if replies[field.request][field.begin : field.end] != header:
                return field.name
        return None

    def decode(
        self, replies: Sequence[bytes], scale_factors: dict[str, int | None]
    ) -> dict[str, float | None]:
        """Values by name; what the replies say of scale factors goes into ``scale_factors``."""
        if self._floats is not None:
            return self._floats.decode(replies)
        for field in self.scales:
            sf = decode_bytes(field.place.point, replies[field.request][field.begin : field.end])
            scale_factors[field.name] = int(sf) if isinstance(sf, int) else None
        values: dict[str, float | None] = {}
        for field in self.fields:
            point, scale = field.place.point, field.place.scale
            power = scale_factors.get(scale) if scale is not None else point.sf or 0
            value = decode_bytes(point, replies[field.request][field.begin : field.end], power)  # type: ignore[arg-type]
            values[field.name] = None if isinstance(value, str) else value
        for name, parts in self.sums:
            known = [value for part in parts if (value := values.get(part)) is not None]
            values[name] = sum(known) if known else None
        return values

    def words(self, replies: Sequence[bytes]) -> dict[str, bytes]:
        """Bytes of each point as they are."""
        return {field.name: replies[field.request][field.begin : field.end] for field in self.fields}

    @cached_property
    def _floats(self) -> "_Floats | None":
        """Its fields where all are plain floats, as most meters have them: they are decoded in one go."""
        fields = sorted(self.fields, key=lambda field: (field.request, field.begin))
        is_plain = all(_is_plain_float(field.place) for field in fields)
        overlap = any(a.request == b.request and b.begin < a.end for a, b in pairwise(fields))
        return None if self.scales or self.sums or overlap or not is_plain else _Floats(fields)


class _Floats:
    """Plain floats in some replies, in the order of their places there, none over another."""

    def __init__(self, fields: Sequence[Field]) -> None:
        by_reply: dict[int, list[Field]] = {}
        for field in fields:
            by_reply.setdefault(field.request, []).append(field)
        self._parts = [
            (request, _layout(each), [field.name for field in each]) for request, each in by_reply.items()
        ]

    def decode(self, replies: Sequence[bytes]) -> dict[str, float | None]:
        """Values by name; ``None`` for what is no number."""
        return {
            name: number if isfinite(number) else None
            for request, layout, names in self._parts
            for name, number in zip(names, layout.unpack_from(replies[request]), strict=True)
        }


def _is_plain_float(place: Place) -> bool:
    point = place.point
    is_high_first = point.order != "low first"
    return point.type == "float32" and is_high_first and point.scale == 1.0 and point.sign == 1


def _layout(fields: Sequence[Field]) -> struct.Struct:
    """Layout of fields in the order of their places, without what is between them."""
    parts, at = [], 0
    for field in fields:
        parts.append(f"{field.begin - at}xf")
        at = field.end
    return struct.Struct(">" + "".join(parts))
