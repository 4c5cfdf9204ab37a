"""SunSpec: where the models of a chain lie, for a device that is emulated and for one that is met.

A device shows the marker "SunS" at one of three base addresses, then models one after another, each with
its ID and length, then an end marker. Lengths differ between makers, so a client walks the chain.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from devices.errors import DeviceRefused, IllegalAddress, NotSunSpec
from devices.registers.models import model
from devices.registers.points import Point, word_count
from devices.registers.schema import Profile
from devices.registers.spans import merge_spans

BASES = (40000, 0, 50000)
MARKER = (0x5375, 0x6E53)
END = 0xFFFF
MOST_READ = 125
_MOST_MODELS = 100
_MOST_GUESSES = 3

Read = Callable[[int, int], Awaitable[list[int]]]


class Layout(msgspec.Struct, frozen=True):
    """Register image of a device: points counted from ``base``, and words that never change.

    SunSpec points are named ``model.point``, as ``103.W``, and so are their scale factors.
    """

    base: int
    length: int
    functions: frozenset[int]
    points: dict[str, Point]
    fixed: dict[int, int]


class Span(msgspec.Struct, frozen=True):
    """Place of one model: address of its ID register, and its length without ID and length."""

    address: int
    length: int


Chain = tuple[tuple[int, Span], ...]


def flat_layout(profile: Profile) -> Layout:
    """Layout of a device with points at fixed addresses."""
    access, points = profile.modbus, profile.points
    end = max((point.at + word_count(point) for point in points.values()), default=0)
    writes = {access.write_function} if any(point.rw for point in points.values()) else set()
    return Layout(0, access.length or end, frozenset({access.read_function} | writes), points, {})


def sunspec_layout(model_ids: Sequence[int], base: int = BASES[0]) -> Layout:
    """Layout of a SunSpec device that serves the given models in this order.

    Parameters
    ----------
    model_ids
        Models after one another; the first is 1 by the standard.
    base
        Address of the marker, one of `BASES`.
    """
    points: dict[str, Point] = {}
    fixed = dict(enumerate(MARKER))
    start = len(MARKER)
    for model_id in model_ids:
        described = model(model_id)
        fixed |= {start: model_id, start + 1: described.length}
        for name, point in described.points.items():
            sf = f"{model_id}.{point.sf}" if isinstance(point.sf, str) else point.sf
            points[f"{model_id}.{name}"] = msgspec.structs.replace(point, at=start + point.at, sf=sf)
        start += described.length + 2
    fixed |= {start: END, start + 1: 0}
    return Layout(base, start + 2, frozenset({3, 6, 16}), points, fixed)


class Chains:
    """Chains that units showed, by profile: most devices of a kind show the same one.

    A unit is asked first whether it shows one that is known: all headers and the end marker are read, in
    blocks, which takes fewer requests than walking from link to link. Where one differs, its chain is walked.
    """

    def __init__(self) -> None:
        self._known: dict[str, list[Chain]] = {}

    async def find(self, profile: str, read: Read, where: str) -> Chain:
        """Models of a device; parameters and errors as in `discover`."""
        known = self._known.setdefault(profile, [])
        for chain in known[-_MOST_GUESSES:]:
            if await _shows(chain, read):
                return chain
        chain = tuple((await discover(read, where)).items())
        if chain not in known:
            known.append(chain)
        return chain


async def _shows(chain: Chain, read: Read) -> bool:
    """Whether a device has these models at these places, one after another, and no other."""
    first, (_, last) = chain[0][1], chain[-1]
    headers = {first.address - len(MARKER): MARKER, last.address + last.length + 2: (END,)}
    headers |= {span.address: (model_id, span.length) for model_id, span in chain}
    spans = [(address, address + len(words)) for address, words in headers.items()]
    cells: dict[int, int] = {}
    try:
        for begin, end in merge_spans(spans, MOST_READ, MOST_READ):
            cells.update(enumerate(await read(begin, end - begin), start=begin))
    except DeviceRefused:
        return False
    return all(
        cells[address + k] == word for address, words in headers.items() for k, word in enumerate(words)
    )


async def discover(read: Read, where: str) -> dict[int, Span]:
    """Walk the chain of models of a device.

    Parameters
    ----------
    read
        Reads ``count`` holding registers from an address.
    where
        Name of the device for the error.

    Returns
    -------
    dict
        Place of each model by its ID, the first of its kind where there are several.

    Raises
    ------
    NotSunSpec
        No marker at any base address, or a chain without an end.
    DeviceError
        What ``read`` raises, except for a base address that does not exist.
    """
    for base in BASES:
        try:
            head = await read(base, 2)
        except IllegalAddress:
            continue
        if tuple(head) == MARKER:
            return await _walk(read, base + 2, where)
    raise NotSunSpec(f"{where} shows no SunSpec marker at {', '.join(map(str, BASES))}; check its profile")


async def _walk(read: Read, address: int, where: str) -> dict[int, Span]:
    found: dict[int, Span] = {}
    for _ in range(_MOST_MODELS):
        if address >= END:
            break
        model_id, length = await read(address, 2)
        if model_id == END:
            return found
        found.setdefault(model_id, Span(address, length))
        address += length + 2
    raise NotSunSpec(f"{where} has a chain of SunSpec models without an end; update its firmware")
