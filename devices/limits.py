"""What no set-point to a device may leave, whatever the market says."""

import math

import msgspec

from devices.errors import RangeError


class SetPointLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Hard envelope of one device, and whether it may be written at all.

    Attributes
    ----------
    real
        Whether it is hardware, which lives in real time.
    armed
        Whether it may be written; one that is not is only read.
    min_kw, max_kw
        Smallest and largest set-point [kW].
    ramp_kw_per_s
        Largest change of the set-point per second [kW/s].
    write_interval_s
        Least time between two commands [s], for devices whose memory wears.
    revert_s
        Longest revert time that is written [s]; the set-point is renewed at half of it.
    safe_kw
        What an emergency stop sets [kW].
    """

    real: bool = False
    armed: bool = True
    min_kw: float = -math.inf
    max_kw: float = math.inf
    ramp_kw_per_s: float = math.inf
    write_interval_s: float = 0.0
    revert_s: float = math.inf
    safe_kw: float = 0.0

    @property
    def is_bounded(self) -> bool:
        """Whether there is anything that a set-point could leave."""
        return math.isfinite(self.max_kw) or math.isfinite(self.min_kw) or math.isfinite(self.ramp_kw_per_s)


FREE = SetPointLimits()


def admissible_kw(limits: SetPointLimits, wanted_kw: float) -> float:
    """Set-point within the envelope's power; raises `RangeError` where it is not finite."""
    if not math.isfinite(wanted_kw):
        raise RangeError(f"a set-point of {wanted_kw} kW cannot be carried out; send a finite one")
    return min(max(wanted_kw, limits.min_kw), limits.max_kw)


def ramped_kw(limits: SetPointLimits, from_kw: float, to_kw: float, elapsed_s: float) -> float:
    """Where a set-point may be ``elapsed_s`` seconds after it stood at ``from_kw``."""
    if math.isinf(limits.ramp_kw_per_s):
        return to_kw
    reach_kw = limits.ramp_kw_per_s * max(elapsed_s, 0.0)
    return min(max(to_kw, from_kw - reach_kw), from_kw + reach_kw)


def released_kw(limits: SetPointLimits, device: str, rating_kw: float | None) -> float | None:
    """What stands for giving control back: within an envelope a device is not left to itself.

    PV is limited to the most that it may generate, a battery idles; ``None`` without an envelope.
    """
    if not limits.is_bounded:
        return None
    if device == "battery":
        return admissible_kw(limits, 0.0)
    most_kw = min(limits.max_kw, math.inf if rating_kw is None else rating_kw)
    return None if math.isinf(most_kw) else most_kw
