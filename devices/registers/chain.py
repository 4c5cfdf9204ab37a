"""Chain of SunSpec models that a device shows: which, and where."""

import msgspec

_METERS = frozenset((*range(201, 205), *range(211, 215)))


class Span(msgspec.Struct, frozen=True):
    """Place of one model: address of its ID register, and its length without ID and length."""

    address: int
    length: int


Chain = tuple[tuple[int, Span], ...]


def meters_in(chain: Chain) -> Chain:
    """Meters of a chain, of whatever model, in their order."""
    return tuple((model_id, span) for model_id, span in chain if model_id in _METERS)
