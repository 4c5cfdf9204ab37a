"""Kinds of devices that a prosumer has."""

from typing import Literal

DeviceKind = Literal["meter", "pv", "battery"]
