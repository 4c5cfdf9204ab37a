"""Faults of emulated devices as data: what goes wrong, where, and from which interval to which."""

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from broker.messages.devices import DeviceKind

FaultKind = Literal[
    "silent",
    "slow",
    "exception",
    "stuck",
    "spike",
    "sign",
    "scale",
    "clock",
    "ignored",
    "lost",
    "reboot",
]
KINDS: tuple[FaultKind, ...] = get_args(FaultKind)

_READINGS = frozenset({"spike", "sign", "scale", "clock"})
_COMMANDS = frozenset({"ignored", "lost"})
ON_THE_LINE = frozenset({"silent", "slow"})

# What ``size`` means, and what it is where nobody says.
SIZES: dict[str, float] = {"slow": 0.2, "exception": 6.0, "spike": 50.0, "scale": 10.0, "clock": 2.0}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one device.

    Attributes
    ----------
    kind
        What goes wrong (docs/faults.md).
    prosumer, device
        Where.
    first, last
        Intervals in which it is there, both inclusive.
    size
        Seconds of delay (slow), exception code (exception), factor on readings (spike, scale), speed of the
        clock (clock); without meaning for the others.
    """

    kind: FaultKind
    prosumer: str
    device: DeviceKind
    first: int
    last: int
    size: float = 0.0

    def during(self, tick: int) -> bool:
        """Whether it is there in an interval."""
        return self.first <= tick <= self.last


def can_have(kind: FaultKind, device: DeviceKind) -> bool:
    """Whether a fault makes sense at a device: only meters give readings, only inverters take commands."""
    if kind in _READINGS:
        return device == "meter"
    return device != "meter" if kind in _COMMANDS else True


def on_the_line(faults: Iterable[Fault]) -> frozenset[str]:
    """Prosumers whose connection some fault lies on: they need a port of their own."""
    return frozenset(fault.prosumer for fault in faults if fault.kind in ON_THE_LINE)
