"""Checks of a case file's entries; each raises ``CaseError`` with the key, the index and the remedy."""

from __future__ import annotations

import numpy as np

from market.errors import CaseError
from market.model.arrays import Floats, Ints
from sharegrid.text import entry

LARGEST = 1e9
"""Numbers beyond this come from a wrong unit, and would drown all others in rounding."""

HIGHEST_PRICE = 1e6
"""The same for prices, fees and costs [$/kWh], which the prices of limits must exceed."""


def names_of(key: str, names: list[str]) -> tuple[str, ...]:
    """Names, at least one and each only once."""
    if not names:
        raise CaseError(f"{key}: empty; give at least one")
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if seen.setdefault(name, i) != i:
            raise CaseError(
                f"{entry(key, i)}: {name!r} is already entry {seen[name] + 1}; names must be unique"
            )
    return tuple(names)


def indices_of(
    key: str, names: list[str], known: tuple[str, ...], where: str, size: int | None = None
) -> Ints:
    """Index of each name among the ``known`` ones, listed at ``where``; ``size`` of them, if given."""
    if size is not None:
        check_length(key, len(names), size)
    place = {name: i for i, name in enumerate(known)}
    for i, name in enumerate(names):
        if name not in place:
            raise CaseError(f"{entry(key, i)}: unknown {name!r}; use a name of {where}")
    return np.array([place[name] for name in names], dtype=np.intp)


def check_length(key: str, have: int, want: int) -> None:
    """Refuse a column whose length is not that of its table."""
    if have != want:
        raise CaseError(f"{key}: {have} entries where {want} are needed; give one per row of its table")


def column(
    key: str, values: list[float], size: int, least: float | None = None, most: float = LARGEST
) -> Floats:
    """A column of ``size`` numbers within ``least`` and ``most``."""
    check_length(key, len(values), size)
    found = np.array(values, dtype=np.float64)
    bad = np.flatnonzero(~(np.abs(found) <= most))
    if bad.size:
        at = int(bad[0])
        raise CaseError(f"{entry(key, at)}: {found[at]} is not finite or beyond {most:g}; check the unit")
    if least is not None and (found < least).any():
        at = int(np.argmax(found < least))
        raise CaseError(f"{entry(key, at)}: {found[at]} is below {least:g}; it must not be negative")
    return found


def sensitivities(key: str, values: list[float], size: int) -> Floats:
    """A column of ``size`` sensitivities, see `sensitivity`."""
    found = column(key, values, size)
    return np.array([sensitivity(entry(key, i), value) for i, value in enumerate(found.tolist())])


def sensitivity(key: str, value: float) -> float:
    """A positive number whose inverse is not too large either: it becomes a slope."""
    if not value > 0:
        raise CaseError(f"{key}: {value} is not positive; give kW per $/kWh")
    if value < 1.0 / LARGEST:
        raise CaseError(f"{key}: {value} is below {1.0 / LARGEST:g}; check the unit, kW per $/kWh")
    return number(key, value)


def number(key: str, value: float, least: float | None = None, most: float = LARGEST) -> float:
    """A number within ``least`` and ``most``."""
    if not abs(value) <= most:
        raise CaseError(f"{key}: {value} is not finite or beyond {most:g}; check the unit")
    if least is not None and value < least:
        raise CaseError(f"{key}: {value} is below {least:g}; it must not be negative")
    return value


def check_order(key: str, low: Floats, high: Floats, low_name: str, high_name: str) -> None:
    """Refuse a column ``high`` that is anywhere below the column ``low``."""
    if (low > high).any():
        at = int(np.argmax(low > high))
        what = f"{high_name} {high[at]} below {low_name} {low[at]}"
        raise CaseError(f"{entry(f'{key}.{high_name}', at)}: {what}; swap or correct them")
