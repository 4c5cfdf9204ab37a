"""Units of power and energy as column names tell them, and the factor to kW."""

import re

POWER = {"w": 1e-3, "kw": 1.0, "mw": 1e3}
ENERGY = {"wh": 1e-3, "kwh": 1.0, "mwh": 1e3}
UNITS = (*POWER, *ENERGY)

_WORD = re.compile(r"[a-zA-Z]+")


def unit_in(name: str) -> str | None:
    """The unit that a column's name tells, in lower case; ``None`` where it tells none or several."""
    found = {word for word in (each.lower() for each in _WORD.findall(name)) if word in UNITS}
    return found.pop() if len(found) == 1 else None


def to_kw(unit: str, step_s: float) -> float:
    """Factor from a unit to mean kW over a step [s]; energy is that of the step."""
    unit = unit.lower()
    return POWER[unit] if unit in POWER else ENERGY[unit] * 3600.0 / step_s
