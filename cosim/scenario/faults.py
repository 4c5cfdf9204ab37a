"""The section [[faults]] of a scenario: what goes wrong at emulated devices, on demand."""

from typing import Annotated

from msgspec import Meta, Struct

from broker.messages.devices import DeviceKind
from cosim.scenario.units import ONE, NotNegative, Share
from devices.faults.fault import FaultKind


class FaultOrder(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[[faults]]: faults of emulated devices on demand, as docs/faults.md explains them."""

    kind: Annotated[
        FaultKind,
        Meta(description="What goes wrong."),
    ]
    device: Annotated[DeviceKind, Meta(description="At which device.")] = "meter"
    prosumers: Annotated[
        tuple[str, ...],
        Meta(description="At which live prosumers; none: as many as `share` says are drawn."),
    ] = ()
    share: Annotated[
        Share,
        Meta(
            description="How many of the live prosumers with such a device, at least one; drawn by the "
            "scenario's seed, by preference among those without a fault so far.",
            extra=ONE,
        ),
    ] = 0.0
    first_interval: Annotated[int, Meta(ge=0, description="Interval in which it begins, counted from 0.")] = 0
    intervals: Annotated[int, Meta(ge=1, description="For how many intervals it stays.")] = 1
    rate: Annotated[
        Share,
        Meta(
            description="Chance in each interval from the first on that it begins (anew); 0 lets it begin "
            "once, in the first.",
            extra=ONE,
        ),
    ] = 0.0
    size: Annotated[
        NotNegative,
        Meta(
            description="Seconds (slow), exception code (exception), factor on readings (spike, scale), "
            "speed of the clock (clock); 0 takes the usual one.",
            extra={"unit": "by kind"},
        ),
    ] = 0.0
