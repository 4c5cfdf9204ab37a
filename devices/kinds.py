"""Kinds of devices that a prosumer has."""

from typing import Literal

DeviceKind = Literal["meter", "pv", "battery", "ev", "load"]

CONSUMERS: frozenset[DeviceKind] = frozenset({"ev", "load"})
"""Those that are told the most that they may draw: a charger of an electric vehicle, a flexible load."""
