"""Quantities of one device over Modbus, in as few requests as may be."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from devices.client.unit import Unit
from devices.ports import CONSTANT_S
from devices.registers.plan import Plan
from devices.registers.profiles import load_profile
from devices.registers.quantities import Term, first_values, point_names, single_points, terms_of


@lru_cache(maxsize=1000)
def _terms(profile_name: str, folder: Path | None, wanted: tuple[str, ...]) -> tuple[Term, ...]:
    return terms_of(load_profile(profile_name, folder), wanted)


class Quantities:
    """Quantities of one device, each through the first of its points that the device tells.

    Which point that is shows at the first good reading; later ones ask for no others.
    """

    def __init__(self, unit: Unit, wanted: Iterable[str]) -> None:
        self._unit = unit
        self._wanted = tuple(q for q in wanted if q in unit.profile.quantities)
        self._ask_for(self._all_terms())
        self._walks = unit.walks

    async def read(self, fresh_s: float = CONSTANT_S) -> dict[str, float | None]:
        """Values by quantity; what the device does not tell is left out. Raises `DeviceError`.

        ``fresh_s`` is how old scale factors may be [s].
        """
        if self._walks != self._unit.walks:
            self._ask_for(self._all_terms())
        values = first_values(self._terms, await self._unit.read(self._names, fresh_s))
        found: dict[str, float | None] = {term.quantity: value for term, value in values}
        if self._walks != self._unit.walks:
            self._walks = self._unit.walks
            self._ask_for(
                (*(term for term, _ in values), *(term for term in self._terms if term.quantity not in found))
            )
        return found

    def plain_plan(self) -> Plan | None:
        """Requests that bring them in; ``None`` where more has to be asked for, or found out."""
        return self._unit.plain_plan(self._names) if self._walks == self._unit.walks else None

    def taken(self, plan: Plan, replies: Sequence[bytes]) -> dict[str, float | None] | None:
        """What `read` returns, of the replies to `plain_plan`; ``None`` where they show another layout."""
        read = self._unit.taken(plan, replies)
        if read is None:
            return None
        if self._single is None:
            return {term.quantity: value for term, value in first_values(self._terms, read)}
        return {
            quantity: factor * value
            for quantity, name, factor in self._single
            if (value := read.get(name)) is not None
        }

    def _ask_for(self, terms: tuple[Term, ...]) -> None:
        self._terms, self._names = terms, point_names(terms)
        self._single = single_points(terms)

    def _all_terms(self) -> tuple[Term, ...]:
        return _terms(self._unit.endpoint.profile, self._unit.folder, self._wanted)
