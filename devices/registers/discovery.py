"""SunSpec as it is found in the field: where a device shows its marker, and what models follow it.

Makers differ in base address, in what a device answers outside its map (an exception of any number, zeros,
nothing), in how a chain ends, and now and then a length is wrong. A wrong length would put all points that
follow at wrong places, so it is named and nothing is read behind it.
"""

from collections.abc import Awaitable, Callable, Sequence

from devices.errors import (
    DeviceBusy,
    DeviceError,
    DeviceFailure,
    DeviceRefused,
    DeviceTimeout,
    GatewayNoResponse,
    IllegalAddress,
    IllegalFunction,
    IllegalValue,
    MalformedReply,
    NotSunSpec,
)
from devices.registers.chain import Chain, Span, meters_in
from devices.registers.models import model, model_ids
from devices.registers.spans import merge_spans
from devices.registers.sunspec import BASES, END, MARKER

MOST_READ = 125
_MOST_MODELS = 100
_MOST_GUESSES = 3
# IDs in use are small, or a maker's own.
_LAST_OF_THE_STANDARD, _FIRST_OF_MAKERS = 999, 63000
_REFUSED = (DeviceRefused, MalformedReply)
# What a device answers where its map ends; others are of the moment, as of one that is busy.
_END_OF_MAP = (IllegalFunction, IllegalAddress, IllegalValue, DeviceFailure)

Read = Callable[[int, int], Awaitable[list[int]]]


class Search:
    """Where one device has been asked for its chain.

    At the first contact all bases are asked, though each costs a time-out where the device is silent. Later
    a search ends with the first silence, and the next one begins behind it, so that a device which is off
    does not hold up the others on its link.
    """

    def __init__(self) -> None:
        self.silent: list[int] = []
        self._is_first = True

    def bases(self) -> list[int]:
        """Base addresses in the order in which they are to be asked; those silent before come last."""
        return [*(base for base in BASES if base not in self.silent), *self.silent]

    def fell_silent(self, base: int) -> None:
        """Note that a base gave no answer."""
        if base in self.silent:
            self.silent.remove(base)
        self.silent.append(base)

    def ends_with_silence(self) -> bool:
        """Whether one silence ends the search."""
        return not self._is_first

    def has_ended(self) -> None:
        """Note the end of a search, with or without a chain."""
        self._is_first = False


class Chains:
    """Chains that units showed, by profile: most devices of a kind show the same one.

    A unit is asked first whether it shows one that is known: all headers and the end marker are read, in
    blocks, which takes fewer requests than walking from link to link. Where one differs, its chain is walked.
    """

    def __init__(self) -> None:
        self._known: dict[str, list[Chain]] = {}

    async def find(self, profile: str, read: Read, where: str, search: Search | None = None) -> Chain:
        """Models of a device; parameters and errors as in `discover`."""
        known = self._known.setdefault(profile, [])
        search = search or Search()
        if not search.silent:
            for chain in known[-_MOST_GUESSES:]:
                try:
                    is_shown = await _shows(chain, read)
                except DeviceTimeout:
                    search.fell_silent(chain[0][1].address - len(MARKER))
                    break
                if is_shown:
                    return chain
        chain = await discover(read, where, search)
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
    except _REFUSED:
        return False
    return all(
        cells[address + k] == word for address, words in headers.items() for k, word in enumerate(words)
    )


async def discover(read: Read, where: str, search: Search | None = None) -> Chain:
    """Find the marker of a device and walk its chain of models.

    Parameters
    ----------
    read
        Reads ``count`` holding registers from an address.
    where
        Name of the device for the error.
    search
        Where it has been asked before.

    Returns
    -------
    Chain
        ID and place of each model in their order; one ID may come several times.

    Raises
    ------
    NotSunSpec
        No marker at any base address, no model behind it, a wrong length, or a chain without an end.
    DeviceBusy,
    DeviceTimeout, GatewayNoResponse
        No base was answered at all.
    DeviceError
        What ``read`` raises once the marker was found, but for the end of the map.
    """
    search = search or Search()
    try:
        return await _walk(read, await _marker(read, where, search) + len(MARKER), where)
    finally:
        search.has_ended()


async def _marker(read: Read, where: str, search: Search) -> int:
    """Address of the marker."""
    answered: list[str] = []
    silence: DeviceError | None = None
    for base in search.bases():
        try:
            head = tuple(await read(base, len(MARKER)))
            if head == MARKER:
                return base
            beside = await _beside(read, base, head)
        except (DeviceTimeout, GatewayNoResponse) as error:
            search.fell_silent(base)
            silence = error
            if search.ends_with_silence():
                raise
        except DeviceBusy:
            # It has not said that nothing stands there.
            raise
        except _REFUSED as error:
            answered.append(f"{base} ({type(error).__name__})")
        else:
            if beside is not None:
                return beside
            answered.append(f"{base} (other data)")
    if silence is not None and not answered:
        raise silence
    quiet = [f"{base} (silent)" for base in search.silent]
    raise NotSunSpec(
        f"{where} shows no SunSpec marker at {', '.join([*answered, *quiet])}; "
        "see that SunSpec is switched on in it, and check unit id and profile"
    )


async def _beside(read: Read, base: int, head: Sequence[int]) -> int | None:
    """Address of a marker that stands one register off, as where a maker counts from 1."""
    for offset, part in ((1, head[1:] == MARKER[:1]), (-1, head[:1] == MARKER[1:])):
        if part and base + offset >= 0 and tuple(await read(base + offset, len(MARKER))) == MARKER:
            return base + offset
    return None


async def _walk(read: Read, address: int, where: str) -> Chain:
    found: list[tuple[int, Span]] = []
    while len(found) < _MOST_MODELS:
        header = await _header(read, address, found, where)
        model_id, length = header or (END, 0)
        is_usual = not found or _has_usual_length(*found[-1])
        if model_id in (0, END):
            if not is_usual and not (header and model_id == END and length == 0):
                raise _wrong_length(found[-1], where)
            if not found:
                raise NotSunSpec(f"{where} shows a SunSpec marker and no model behind it; check its settings")
            return tuple(found)
        if not _may_follow(model_id, length, is_usual=is_usual):
            raise _wrong_length(found[-1], where) if found else _no_model(model_id, address, where)
        found.append((model_id, Span(address, length)))
        address += length + 2
    raise NotSunSpec(f"{where} has a chain of SunSpec models without an end; update its firmware")


async def _header(
    read: Read, address: int, found: Sequence[tuple[int, Span]], where: str
) -> tuple[int, int] | None:
    """ID and length of the model at an address; ``None`` where the device has nothing there.

    Some devices tell both words of the end marker only one by one, or have none and refuse.
    """
    if address >= END:
        raise _wrong_length(found[-1], where)
    try:
        model_id, length = await read(address, 2)
    except DeviceTimeout:
        if found and not _has_usual_length(*found[-1]):
            raise _wrong_length(found[-1], where) from None
        raise
    except _END_OF_MAP:
        return await _header_word_by_word(read, address)
    return model_id, length


async def _header_word_by_word(read: Read, address: int) -> tuple[int, int] | None:
    try:
        (model_id,) = await read(address, 1)
        length = 0 if model_id in (0, END) else (await read(address + 1, 1))[0]
    except _END_OF_MAP:
        return None
    return model_id, length


def _may_follow(model_id: int, length: int, *, is_usual: bool) -> bool:
    """Whether a header can be one; behind a model of unusual length only what is known for sure."""
    is_known = model_id in model_ids()
    if not is_usual:
        return is_known and model(model_id).has_length(length)
    return is_known or model_id <= _LAST_OF_THE_STANDARD or model_id >= _FIRST_OF_MAKERS


def _has_usual_length(model_id: int, span: Span) -> bool:
    # A number of makers' own may be another one's, too.
    is_judged = model_id in model_ids() and model_id < _FIRST_OF_MAKERS
    return not is_judged or model(model_id).has_length(span.length)


def expect_meter(chain: Chain, nth: int, where: str) -> None:
    """Raise `NotSunSpec` where a chain has fewer than ``nth`` meters."""
    number = len(meters_in(chain))
    if number < nth:
        raise NotSunSpec(
            f"{where} shows {number} {'meter' if number == 1 else 'meters'} in its chain of SunSpec models, "
            f"and number {nth} is asked for; correct the profile"
        )


def _wrong_length(last: tuple[int, Span], where: str) -> NotSunSpec:
    model_id, span = last
    usual = f", where the definition has {model(model_id).length}" if model_id in model_ids() else ""
    return NotSunSpec(
        f"{where}: SunSpec model {model_id} at register {span.address} says that it is {span.length} "
        f"registers long{usual}, but no model follows it there; update the device's firmware"
    )


def _no_model(model_id: int, address: int, where: str) -> NotSunSpec:
    return NotSunSpec(
        f"{where}: register {address} behind the SunSpec marker holds {model_id}, which is no model; "
        "update the device's firmware"
    )
