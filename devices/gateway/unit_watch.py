"""Whether a battery tells its power in another unit than its profile says, by what it was set to."""

from __future__ import annotations

from devices.gateway.power_watch import READINGS

# Less tells nothing [kW]; nor does a battery that is nearly full or empty.
_TELLING_KW, _SOC = 0.5, (0.05, 0.95)
# A thousandth of what was set, of a device that may also be at its rating.
_SHARE = (0.25e-3, 0.02)


class UnitWatch:
    """Watches one battery: what is read in W and is in kW hides power beyond the envelope from all else."""

    def __init__(self) -> None:
        self._in_a_row = 0

    def take(self, set_kw: float | None, power_kw: float, soc: float | None) -> bool:
        """Take a reading in; true once for as long as it lasts, after `READINGS` of them in a row.

        Parameters
        ----------
        set_kw
            Set-point in force [kW]; ``None`` without one.
        power_kw
            Power that it shows [kW].
        soc
            State of charge that it shows [0..1].
        """
        tells = set_kw is not None and abs(set_kw) >= _TELLING_KW and soc is not None
        tells = tells and soc is not None and _SOC[0] <= soc <= _SOC[1]
        share = abs(power_kw / set_kw) if tells and set_kw else 1.0
        self._in_a_row = self._in_a_row + 1 if _SHARE[0] <= share <= _SHARE[1] else 0
        return self._in_a_row == READINGS
