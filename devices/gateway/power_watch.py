"""Whether hardware that is commanded shows a power that it may have: the envelope's, or its safe value's."""

from typing import Literal

from devices.limits import SetPointLimits

READINGS = 3
"""Readings in a row beyond what it may be until that counts: one alone may be false."""

EVERY_S = 5.0
"""Time from one reading to the next [s]; longer where a device takes long to answer."""

RAMP_S = 60.0
"""How long a device may take to come within what it may have, before it has been there once [s]."""

Finding = Literal["", "beyond", "within"]


class PowerWatch:
    """Watches the power of one piece of hardware from when it has taken a command.

    Parameters
    ----------
    limits
        Its envelope, safe value and tolerance.
    ramp_s
        How long it may take to come within [s].
    """

    def __init__(self, limits: SetPointLimits, ramp_s: float = RAMP_S) -> None:
        self._limits = limits
        self._ramp_s = ramp_s
        self._is_stopped: bool | None = None
        self._since_s = 0.0
        self._was_within = False
        self._beyond = 0
        self._is_told = False

    def take(self, power_kw: float, now_s: float, *, is_stopped: bool) -> Finding:
        """Take a reading in, and say what is new.

        Parameters
        ----------
        power_kw
            Power that the device shows [kW], + generates.
        now_s
            Monotonic time [s].
        is_stopped
            Whether its safe value stands in place of a set-point.

        Returns
        -------
        str
            ``beyond`` once it has been beyond what it may have in `READINGS` readings in a row, ``within``
            once it is back after that; else empty.
        """
        if is_stopped is not self._is_stopped:
            self._is_stopped, self._since_s = is_stopped, now_s
            self._was_within, self._beyond = False, 0
        low_kw, high_kw = self._limits.shown_kw(is_stopped=is_stopped)
        if low_kw <= power_kw <= high_kw:
            was_told, self._is_told = self._is_told, False
            self._was_within, self._beyond = True, 0
            return "within" if was_told else ""
        # Only a device that was never within may still be on its way there.
        if self._was_within or now_s >= self._since_s + self._ramp_s:
            self._beyond += 1
        if self._beyond != READINGS:
            return ""
        self._beyond, self._is_told = READINGS + 1, True
        return "beyond"
