"""What is known of the set-point of one device: asked for, held, valid until when, and what is due for it."""

import math
from collections.abc import Callable

from broker.snapshot import Values, typed
from devices.gateway.write_times import WriteTimes

_REMEMBERED: dict[str, type] = {
    "_target_kw": float,
    "_held_kw": float,
    "_is_active": bool,
    "_is_behind": bool,
    "_is_overwritten": bool,
    "_is_released": bool,
    "_keeps_release": bool,
    "_until_s": float,
}

_MAY_BE_NONE = {"_target_kw", "_held_kw"}


class SetPointState:
    """State of the set-point of one device.

    Parameters
    ----------
    times
        When the device was written to, and how long that stands.
    now
        Clock of ramps and validity [s].

    Attributes
    ----------
    target_kw
        Power that was asked for, within the limits [kW]; ``None`` gives control back.
    held_kw
        Power that was written and read back last [kW]; ``None`` without a set-point.
    is_active
        Whether a set-point has to be kept up, or ended when it runs out.
    is_behind
        Whether more has to be written until the target is reached.
    is_overwritten
        Whether another master has written to the device since.
    is_released
        Whether the device was released after a set-point that it did not take.
    keeps_release
        Whether a release holds a power that the device's own timer would end.
    until_s
        When the set-point ends [s].
    """

    def __init__(self, times: WriteTimes, now: Callable[[], float]) -> None:
        self.target_kw: float | None = None
        self.held_kw: float | None = None
        self.is_active = False
        self.is_behind = False
        self.is_overwritten = False
        self.is_released = False
        self.keeps_release = False
        self.until_s = math.inf
        self._times = times
        self._now = now

    @property
    def in_force_kw(self) -> float | None:
        """What the device goes by [kW]; ``None`` while a ramp moves it, or without a set-point."""
        return None if self.is_behind else self.held_kw

    @property
    def is_due(self) -> bool:
        """Whether there is something to write: a step, a renewal or a release."""
        if not self.is_active:
            return self.keeps_release and self._times.may_release and self._times.is_half_over
        if self._now() >= self.until_s:
            return self._times.may_release
        if self.is_overwritten or self._times.is_pausing:
            return False
        if self.is_behind:
            return True
        return self._times.reverts_before(self.until_s) and self._times.is_half_over

    @property
    def stands(self) -> bool:
        """Whether what was written last should still stand in the registers."""
        is_held = self.is_active and self.held_kw is not None and not self.is_overwritten
        return is_held and not self._times.reverts_soon

    def took(self, power_kw: float | None) -> None:
        """Note that the device took a power, or a release for ``None``."""
        self.keeps_release = False
        self.held_kw = power_kw
        self.is_overwritten = self.is_released = False
        self.is_active = power_kw is not None
        self.is_behind = power_kw != self.target_kw

    def ended(self) -> None:
        """Note that the set-point ran out, and that the device was released or has reverted."""
        self.is_active, self.is_behind, self.held_kw = False, False, None
        self.is_overwritten = False

    def snapshot(self) -> Values:
        """What is in force."""
        return {name: getattr(self, name.removeprefix("_")) for name in _REMEMBERED}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        for name, kind in _REMEMBERED.items():
            value = values.get(name)
            known = None if value is None and name in _MAY_BE_NONE else typed(values, name, kind)
            setattr(self, name.removeprefix("_"), known)
