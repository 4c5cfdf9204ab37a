"""How a set-point moves: no faster than its limits allow, whatever happened in between."""

import math

from broker.messages import CommandedDevice
from broker.snapshot import Values, typed
from devices.client.drivers import Inverter
from devices.errors import DeviceError
from devices.limits import SetPointLimits, admissible_kw, ramp_start_kw, ramped_kw

# The step that a ramp begins with lasts no longer than this [s], however long the device stood still.
_FIRST_STEP_S = 1.0
# A step lasts no longer than this many pauses between writes, however long a gateway slept.
_MOST_PAUSES = 2.0


class Ramp:
    """Where the set-point of one device stands, and where it may be next.

    Parameters
    ----------
    limits
        What no set-point may leave.
    """

    def __init__(self, limits: SetPointLimits) -> None:
        self._limits = limits
        self._at_kw = limits.safe_kw
        self._since_s = 0.0
        self._is_moving = False

    @property
    def is_limited(self) -> bool:
        """Whether set-points have to ramp at all."""
        return math.isfinite(self._limits.ramp_kw_per_s)

    def snapshot(self) -> Values:
        """Where the set-point stands."""
        return {"at_kw": self._at_kw, "since_s": self._since_s, "is_moving": self._is_moving}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self._at_kw, self._since_s = typed(values, "at_kw", float), typed(values, "since_s", float)
        self._is_moving = typed(values, "is_moving", bool)

    def begin(self, from_kw: float, now_s: float) -> None:
        """Begin anew where a device stands now, which takes a write before anything moves."""
        self._at_kw, self._since_s, self._is_moving = from_kw, now_s, False

    def stood(self, at_kw: float | None, now_s: float, *, is_moving: bool) -> None:
        """Note what was written, and whether it goes on from there."""
        if at_kw is not None:
            self._at_kw, self._since_s, self._is_moving = at_kw, now_s, is_moving

    def step_kw(self, target_kw: float, now_s: float) -> float:
        """Set-point now on the way to a target, within the envelope [kW]."""
        elapsed_s = now_s - self._since_s
        if not self._is_moving:
            elapsed_s = min(elapsed_s, _FIRST_STEP_S)
        elif self._limits.real:
            elapsed_s = min(elapsed_s, _MOST_PAUSES * max(_FIRST_STEP_S, self._limits.write_interval_s))
        return ramped_kw(self._limits, self._at_kw, target_kw, elapsed_s)


async def start_kw(inverter: Inverter, device: CommandedDevice) -> float:
    """Where a ramp begins without a set-point in force [kW]: at a reading made for it, if it can be true."""
    try:
        range_kw = (await inverter.ratings()).range_kw(device)
        measured_kw = await inverter.power_kw()
    except DeviceError:
        return admissible_kw(inverter.limits, inverter.limits.safe_kw)
    return ramp_start_kw(inverter.limits, measured_kw, *range_kw)
