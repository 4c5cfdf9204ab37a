"""What no set-point to a device may leave, whatever the market says."""

import math

import msgspec

from devices.errors import RangeError
from devices.kinds import CONSUMERS, DeviceKind

# How far power that is shown may lie beyond what it may be [kW]; a share of the envelope's farther edge,
# for what devices keep to; one of the rating that the owner states, for what they round.
_TOLERATED_KW, _TOLERATED_OF_EDGE, _TOLERATED_OF_RATING = 0.1, 0.05, 0.01


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
    writes_per_day
        Writes that set-points may use in a day, for devices whose memory wears; 0 for any number.
    rated_kw
        Rating that its owner states [kW], against which what the device tells is held; 0 for none.
    """

    real: bool = False
    armed: bool = True
    min_kw: float = -math.inf
    max_kw: float = math.inf
    ramp_kw_per_s: float = math.inf
    write_interval_s: float = 0.0
    revert_s: float = math.inf
    safe_kw: float = 0.0
    writes_per_day: int = 0
    rated_kw: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that would let everything through, as those that are no numbers do."""
        if not self.min_kw <= self.max_kw:
            raise RangeError(f"an envelope from {self.min_kw} to {self.max_kw} kW holds no power; correct it")
        if not math.isfinite(self.safe_kw):
            raise RangeError(f"a safe value of {self.safe_kw} kW cannot be set; give a finite one")
        if not self.ramp_kw_per_s >= 0.0:
            raise RangeError(f"a ramp of {self.ramp_kw_per_s} kW/s cannot be kept; give 0 or more")

    @property
    def span(self) -> str:
        """Its envelope, for people."""
        return f"{self.min_kw:g} to {self.max_kw:g} kW"

    @property
    def words(self) -> str:
        """What it may be set to, for people."""
        ramp = f"at most {self.ramp_kw_per_s:g} kW/s" if math.isfinite(self.ramp_kw_per_s) else "any ramp"
        return f"{self.span}, safe value {self.safe_kw:g} kW, {ramp}"

    @property
    def tolerance_kw(self) -> float:
        """How far power that is shown may lie beyond what it may be, for noise and rounding [kW]."""
        edges_kw = [abs(edge) for edge in (self.min_kw, self.max_kw) if math.isfinite(edge)]
        of_edge_kw = _TOLERATED_OF_EDGE * max(edges_kw, default=0.0)
        return _TOLERATED_KW + of_edge_kw + _TOLERATED_OF_RATING * self.rated_kw

    def shown_kw(self, *, is_stopped: bool) -> tuple[float, float]:
        """Least and largest power that the device may show, tolerance included [kW].

        None at all is never beyond: the sun sets, a battery is empty, a vehicle leaves.

        Parameters
        ----------
        is_stopped
            Whether its safe value counts in place of its envelope.
        """
        low_kw, high_kw = (self.safe_kw, self.safe_kw) if is_stopped else (self.min_kw, self.max_kw)
        return min(low_kw, 0.0) - self.tolerance_kw, max(high_kw, 0.0) + self.tolerance_kw

    @property
    def has_envelope(self) -> bool:
        """Whether there are powers that no set-point may leave."""
        return math.isfinite(self.max_kw) or math.isfinite(self.min_kw)

    @property
    def is_bounded(self) -> bool:
        """Whether there is anything that a set-point could leave."""
        return self.has_envelope or math.isfinite(self.ramp_kw_per_s)


FREE = SetPointLimits()

# How far a reading may lie beyond the rating and still be believed, as a share of the rating.
_CREDIBLE_EXCESS = 0.1


def admissible_kw(limits: SetPointLimits, wanted_kw: float) -> float:
    """Set-point within the envelope's power; raises `RangeError` where it is not finite."""
    if not math.isfinite(wanted_kw):
        raise RangeError(f"a set-point of {wanted_kw} kW cannot be carried out; send a finite one")
    return min(max(wanted_kw, limits.min_kw), limits.max_kw)


def ramped_kw(limits: SetPointLimits, from_kw: float, to_kw: float, elapsed_s: float) -> float:
    """Where a set-point may be ``elapsed_s`` seconds after it stood at ``from_kw``, within the envelope.

    A device that stands outside its envelope goes to the nearer edge at once.
    """
    inside_kw = admissible_kw(limits, to_kw)
    if math.isinf(limits.ramp_kw_per_s):
        return inside_kw
    start_kw = admissible_kw(limits, from_kw)
    reach_kw = limits.ramp_kw_per_s * max(elapsed_s, 0.0)
    return min(max(inside_kw, start_kw - reach_kw), start_kw + reach_kw)


def ramp_start_kw(
    limits: SetPointLimits, measured_kw: float | None, least_kw: float | None, most_kw: float | None
) -> float:
    """Where a ramp begins that follows no set-point: at what was measured, where that can be true.

    Parameters
    ----------
    limits
        What no set-point may leave.
    measured_kw
        Power that the device says it has now [kW]; ``None`` where it does not say.
    least_kw, most_kw
        What it can do by its ratings [kW]; where they are not known, the envelope stands in.

    Returns
    -------
    float
        Power within the envelope [kW]; the safe value where the reading is missing, not finite, or
        beyond what the device can do.
    """
    low_kw = limits.min_kw if least_kw is None else least_kw
    high_kw = limits.max_kw if most_kw is None else most_kw
    margin_kw = _CREDIBLE_EXCESS * max(abs(low_kw), abs(high_kw))
    if measured_kw is None or not math.isfinite(measured_kw):
        return admissible_kw(limits, limits.safe_kw)
    if not low_kw - margin_kw <= measured_kw <= high_kw + margin_kw:
        return admissible_kw(limits, limits.safe_kw)
    return admissible_kw(limits, measured_kw)


def released_kw(limits: SetPointLimits, device: DeviceKind, rating_kw: float | None) -> float | None:
    """What stands for giving control back: within an envelope a device is not left to itself.

    PV is limited to the most that it may generate, a charger or load to the most that it may draw, a battery
    idles; ``None`` without an envelope.
    """
    if not limits.is_bounded:
        return None
    if device == "battery":
        return admissible_kw(limits, 0.0)
    if device in CONSUMERS:
        least_kw = max(limits.min_kw, -math.inf if rating_kw is None else min(-rating_kw, limits.max_kw))
        return None if math.isinf(least_kw) else least_kw
    most_kw = min(limits.max_kw, math.inf if rating_kw is None else max(rating_kw, limits.min_kw))
    return None if math.isinf(most_kw) else most_kw


def may_leave(limits: SetPointLimits, least_kw: float | None, most_kw: float | None) -> bool:
    """Whether a device that is left to itself could leave its envelope.

    Parameters
    ----------
    limits
        What no set-point may leave.
    least_kw, most_kw
        What it can do by its ratings [kW]; ``None`` where it does not tell.
    """
    below = math.isfinite(limits.min_kw) and (least_kw is None or least_kw < limits.min_kw)
    above = math.isfinite(limits.max_kw) and (most_kw is None or most_kw > limits.max_kw)
    return below or above
