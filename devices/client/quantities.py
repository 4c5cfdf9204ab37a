"""Quantities of one device, each through the first of its points that the device tells."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import msgspec

from devices.client.unit import CONSTANT_S, Unit
from devices.registers.profiles import load_profile
from devices.registers.schema import QUANTITIES, conversion


class _Term(msgspec.Struct, frozen=True):
    """Points whose sum is a quantity, once multiplied with ``factor``."""

    quantity: str
    names: tuple[str, ...]
    factor: float

    def value(self, read: dict[str, float | None]) -> float | None:
        """What was read; points that are not implemented are left out of a sum."""
        if len(self.names) == 1:
            told = read.get(self.names[0])
            return None if told is None else told * self.factor
        known = [value for name in self.names if (value := read.get(name)) is not None]
        return self.factor * sum(known) if known else None


@lru_cache(maxsize=1000)
def _terms(profile_name: str, folder: Path | None, wanted: tuple[str, ...]) -> tuple[_Term, ...]:
    """All points through which quantities may be told, in order of preference."""
    profile = load_profile(profile_name, folder)
    units = QUANTITIES[profile.kind]
    return tuple(
        _Term(quantity, names, conversion(profile.point(names[0]).unit, units[quantity]) or 1.0)
        for quantity in wanted
        for names in profile.alternatives(quantity)
    )


class Quantities:
    """Quantities of one device, each through the first of its points that the device tells.

    Which point that is shows at the first good reading; later ones ask for no others.
    """

    def __init__(self, unit: Unit, wanted: Iterable[str]) -> None:
        self._unit = unit
        self._wanted = tuple(q for q in wanted if q in unit.profile.quantities)
        self._terms = self._all_terms()
        self._names = _names(self._terms)
        self._walks = unit.walks

    async def read(self, fresh_s: float = CONSTANT_S) -> dict[str, float | None]:
        """Values by quantity; what the device does not tell is left out. Raises `DeviceError`.

        ``fresh_s`` is how old scale factors may be [s].
        """
        if self._walks != self._unit.walks:
            self._terms = self._all_terms()
            self._names = _names(self._terms)
        read = await self._unit.read(self._names, fresh_s)
        found: dict[str, float | None] = {}
        used: list[_Term] = []
        for term in self._terms:
            if found.get(term.quantity) is None:
                value = term.value(read)
                if value is not None:
                    found[term.quantity] = value
                    used.append(term)
        if self._walks != self._unit.walks:
            self._walks = self._unit.walks
            self._terms = (*used, *(term for term in self._terms if term.quantity not in found))
            self._names = _names(self._terms)
        return found

    def _all_terms(self) -> tuple[_Term, ...]:
        return _terms(self._unit.endpoint.profile, self._unit.folder, self._wanted)


def _names(terms: Iterable[_Term]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for term in terms for name in term.names))
