"""Emulated PV inverters: SunSpec models 1, 103, 120, 121 and 123 in front of the inverter physics.

A limit acts only through the registers: ``WMaxLimPct`` while ``WMaxLim_Ena`` is set and its revert time
has not run out; ``Conn`` 0 takes the inverter off the grid.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.bank import Bank
from devices.inverter import curtail
from devices.meter import Phases
from devices.nameplate import put_identity, put_rating
from devices.registers import scale_factor
from devices.revert import RevertTimers
from devices.sunspec import sunspec_layout

Array = NDArray[np.float64]
MODELS = (1, 103, 120, 121, 123)
_CONTROLS = ("123.Conn", "123.WMaxLimPct", "123.WMaxLimPct_RvrtTms", "123.WMaxLim_Ena")
_PV = 4
_OFF, _SLEEPING, _MPPT, _THROTTLED = 1.0, 2.0, 4.0, 5.0


class PvUnits:
    """All PV inverters of a fleet.

    Parameters
    ----------
    ids
        Serial numbers, ``(n,)``.
    rating_kw
        Ratings [kW], ``(n,)``.
    ramp_pct_s
        Largest change [% of the rating per second], ``(n,)``.
    nominal_v, frequency_hz
        Voltage to neutral [V], ``(n,)``, and frequency of the grid [Hz].

    Attributes
    ----------
    p_kw
        Generation now [kW], ``(n,)``.
    energy_kwh
        Energy generated since the start [kWh], ``(n,)``.
    """

    def __init__(
        self, ids: Sequence[str], rating_kw: Array, ramp_pct_s: Array, nominal_v: Array, frequency_hz: float
    ) -> None:
        self.bank = Bank(sunspec_layout(MODELS), len(ids), _CONTROLS)
        self.rating_kw = rating_kw
        self.p_kw = np.zeros(len(ids))
        self.energy_kwh = np.zeros(len(ids))
        self._rate_kw_s = ramp_pct_s / 100.0 * rating_kw
        self._state = np.full(len(ids), _SLEEPING)
        self._timers = RevertTimers(self.bank, _CONTROLS[1:], "123.WMaxLimPct_RvrtTms")
        put_identity(self.bank, "PV inverter", ids)
        put_rating(self.bank, _PV, rating_kw, nominal_v)
        self._put_constants(ramp_pct_s, frequency_hz)

    def begin(self, available_kw: ArrayLike) -> None:
        """Start in the steady state of a given sun [kW], ``(n,)``, without a limit."""
        self.p_kw = np.clip(available_kw, 0.0, self.rating_kw)
        self._state = np.where(self.p_kw > 0.0, _MPPT, _SLEEPING)

    def step(self, available_kw: ArrayLike, dt_s: float) -> Array:
        """Let ``dt_s`` seconds pass with the limits now in the registers.

        Parameters
        ----------
        available_kw
            What the modules could deliver [kW], ``(n,)``.
        dt_s
            Length of the step [s], positive.

        Returns
        -------
        NDArray
            Mean generation [kW], ``(n,)``.
        """
        bank = self.bank
        available = np.clip(available_kw, 0.0, self.rating_kw)
        connected = bank.get("123.Conn") != 0.0
        enabled = bank.get("123.WMaxLim_Ena") == 1.0
        share = np.clip(bank.get("123.WMaxLimPct"), 0.0, 100.0) / 100.0
        free_kw = np.where(connected, np.inf, 0.0)
        limit_kw = np.where(connected & enabled, share * self.rating_kw, free_kw)
        held_s = np.minimum(self._timers.begin(), dt_s)
        first = curtail(self.p_kw, available, limit_kw, self._rate_kw_s, held_s)
        rest = curtail(first.end_kw, available, free_kw, self._rate_kw_s, dt_s - held_s)
        self.p_kw = rest.end_kw
        expired = self._timers.pass_time(dt_s)
        bank.put_rows("123.WMaxLim_Ena", expired, 0.0)
        held_back = (self.p_kw < available) & (available > 0.0)
        self._state = np.select(
            [~connected, available <= 0.0, held_back], [_OFF, _SLEEPING, _THROTTLED], default=_MPPT
        )
        generated = first.net_kws + rest.net_kws
        self.energy_kwh = self.energy_kwh + generated / 3600.0
        return generated / dt_s

    def show(self, phases: Phases) -> None:
        """Put measurements into the registers; ``phases`` are those of the inverter's own terminals."""
        bank = self.bank
        bank.put("103.W", 1e3 * self.p_kw)
        bank.put("103.VA", 1e3 * self.p_kw)
        bank.put("103.A", phases.i_a.sum(axis=1))
        for k, letter in enumerate("ABC"):
            used = phases.v[:, k] > 0.0
            bank.put(f"103.Aph{letter}", np.where(used, phases.i_a[:, k], np.nan))
            bank.put(f"103.PhVph{letter}", np.where(used, phases.v[:, k], np.nan))
        bank.put("103.WH", 1e3 * self.energy_kwh)
        bank.put("103.St", self._state)

    def _put_constants(self, ramp_pct_s: Array, frequency_hz: float) -> None:
        bank, points = self.bank, self.bank.layout.points
        power_sf = scale_factor(2e3 * self.rating_kw, points["103.W"])
        for name in ("103.W_SF", "103.VA_SF", "103.VAr_SF"):
            bank.put(name, power_sf)
        for name in ("103.A_SF", "103.Hz_SF", "123.WMaxLimPct_SF", "123.OutPFSet_SF"):
            bank.put(name, -2)
        for name in ("103.V_SF", "103.PF_SF", "121.WGra_SF"):
            bank.put(name, -1)
        for name in ("103.WH_SF", "103.Tmp_SF", "103.VAr", "103.Evt1", "103.Evt2"):
            bank.put(name, 0)
        bank.put("103.Hz", frequency_hz)
        bank.put("103.PF", 100.0)
        bank.put("121.WGra", ramp_pct_s)
        bank.put("123.Conn", 1)
        bank.put("123.WMaxLimPct", 100.0)
        bank.put("123.OutPFSet", 1.0)
        for name in ("WMaxLimPct_RvrtTms", "WMaxLim_Ena", "OutPFSet_Ena", "VArPct_Ena"):
            bank.put(f"123.{name}", 0)
