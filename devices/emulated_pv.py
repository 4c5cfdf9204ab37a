"""Emulated PV inverters: SunSpec models 1, 103, 120, 121 and 123 in front of the inverter physics.

A limit acts only through the registers: ``WMaxLimPct`` while ``WMaxLim_Ena`` is set and its revert time
has not run out; ``Conn`` 0 takes the inverter off the grid. Volt-var, volt-watt and trips act on the voltage
at the terminals (`devices.grid_support`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.bank import Bank
from devices.emulated_prosumer import EmulatedProsumer
from devices.grid_support import (
    SERVICE_RAMP_S,
    VOLT_VAR_RESPONSE_S,
    GridSupport,
    Protection,
    Service,
    Terminals,
    respond,
    volt_var,
    volt_watt,
)
from devices.inverter import curtail
from devices.meter import Phases, power_factor
from devices.nameplate import put_identity, put_rating
from devices.registers import scale_factor
from devices.revert import RevertTimers
from devices.sunspec import sunspec_layout

Array = NDArray[np.float64]
MODELS = (1, 103, 120, 121, 123)
_CONTROLS = ("123.Conn", "123.WMaxLimPct", "123.WMaxLimPct_RvrtTms", "123.WMaxLim_Ena")
_PV = 4
_OFF, _SLEEPING, _MPPT, _THROTTLED, _FAULT = 1.0, 2.0, 4.0, 5.0, 7.0
_ACC32 = 2.0**32
# Bits of 103.Evt1: the grid is disconnected, and for each window of `grid_support.WINDOWS` why.
_GRID_DISCONNECT = 1 << 4
_CAUSES = np.array([1 << 10, 1 << 10, 1 << 11, 1 << 11, 1 << 8, 1 << 8, 1 << 9, 1 << 9])


class PvUnits:
    """All PV inverters of a fleet.

    Parameters
    ----------
    prosumers
        Whose inverters, ``(n,)``; apparent and active rating are the same.
    frequency_hz
        Nominal frequency of the grid [Hz].
    support
        Which grid-support functions are in force.

    Attributes
    ----------
    p_kw, q_kvar
        Generation and injected reactive power now [kW, kvar], ``(n,)``.
    mean_kvar
        Mean injected reactive power of the last step [kvar], ``(n,)``.
    energy_kwh
        Energy generated since the start [kWh], ``(n,)``.
    """

    def __init__(
        self, prosumers: Sequence[EmulatedProsumer], frequency_hz: float, support: GridSupport
    ) -> None:
        ids = [p.id for p in prosumers]
        self.bank = Bank(sunspec_layout(MODELS), len(ids), _CONTROLS)
        self.rating_kw = np.array([p.pv_kw for p in prosumers])
        self.efficiency = np.array([p.pv_efficiency for p in prosumers])
        self.support = support
        self.protection = Protection(len(ids), frequency_hz)
        self.p_kw, self.q_kvar, self.mean_kvar = np.zeros((3, len(ids)))
        self.energy_kwh = np.zeros(len(ids))
        ramp_pct_s = np.array([p.pv_ramp_pct_s for p in prosumers])
        self._rate_kw_s = ramp_pct_s / 100.0 * self.rating_kw
        self._state = np.full(len(ids), _SLEEPING)
        self._timers = RevertTimers(self.bank, _CONTROLS[1:], "123.WMaxLimPct_RvrtTms")
        put_identity(self.bank, "PV inverter", ids)
        put_rating(self.bank, _PV, self.rating_kw, np.array([p.nominal_v for p in prosumers]))
        self._put_constants(ramp_pct_s)
        self.bank.keep_defaults()

    def restart(self, row: int) -> None:
        """Let one inverter forget what it was told, as after a loss of supply."""
        self.bank.restart(row)
        self._timers.stop(row)

    def begin(self, available_kw: ArrayLike) -> None:
        """Start in the steady state of a given sun [kW], ``(n,)``, without a limit."""
        self.p_kw = np.clip(available_kw, 0.0, self.rating_kw)
        self._state = np.where(self.p_kw > 0.0, _MPPT, _SLEEPING)

    def step(self, available_kw: ArrayLike, at: Terminals, hz: float, dt_s: float) -> Array:
        """Let ``dt_s`` seconds pass with the limits now in the registers.

        A limit may run out within the step and the protection may act in it, so it has several parts.

        Parameters
        ----------
        available_kw
            What the modules could deliver [kW], ``(n,)``.
        at, hz
            Voltages at the terminals and frequency [Hz], constant over the step.
        dt_s
            Length of the step [s], positive.

        Returns
        -------
        NDArray
            Mean generation [kW], ``(n,)``.
        """
        available = np.clip(available_kw, 0.0, self.rating_kw)
        held_s = np.minimum(self._timers.begin(), dt_s)
        service = self._service(at, hz, dt_s)
        edges = [np.zeros_like(held_s), held_s]
        if not service.whole:
            edges += [np.clip(e, 0.0, dt_s) for e in (service.from_s, service.until_s, service.slow_until_s)]
        times = np.sort(np.stack(edges), axis=0)
        spans = np.diff(times, axis=0, append=dt_s)
        generated_kws, injected_kvars = np.zeros_like(held_s), np.zeros_like(held_s)
        slow_kw_s = np.minimum(self._rate_kw_s, self.rating_kw / SERVICE_RAMP_S)
        awake = (available > 0.0) & (self.bank.get("123.Conn") != 0.0)
        for begin_s, span_s in zip(times, spans, strict=True):
            on = (begin_s >= service.from_s) & (begin_s < service.until_s)
            rate_kw_s = np.where(begin_s < service.slow_until_s, slow_kw_s, self._rate_kw_s)
            injected_kvars += self._inject(on & awake, at, span_s)
            limit_kw = self._limit_kw(begin_s < held_s, at)
            motion = curtail(self.p_kw, np.where(on, available, 0.0), limit_kw, rate_kw_s, span_s)
            generated_kws, self.p_kw = generated_kws + motion.net_kws, motion.end_kw
        self.mean_kvar = injected_kvars / dt_s
        self.bank.put_rows("123.WMaxLim_Ena", self._timers.pass_time(dt_s), 0.0)
        self._note_state(available)
        self.energy_kwh = self.energy_kwh + generated_kws / 3600.0
        mean_kw: Array = generated_kws / dt_s
        return mean_kw

    def _service(self, at: Terminals, hz: float, dt_s: float) -> Service:
        if self.support.trips:
            return self.protection.pass_time(at, hz, dt_s)
        zeros = np.zeros_like(self.p_kw)
        return Service(zeros, np.full_like(zeros, np.inf), zeros)

    def _inject(self, on: NDArray[np.bool_], at: Terminals, span_s: Array) -> Array:
        """Reactive energy of a part of a step [kvar s]; who is off the grid or has no sun injects nothing."""
        if not self.support.volt_var:
            return np.zeros_like(self.q_kvar)
        target = np.where(on, volt_var(at.mean_pu) * self.rating_kw, 0.0)
        start = np.where(on, self.q_kvar, 0.0)
        integral, self.q_kvar = respond(start, target, VOLT_VAR_RESPONSE_S, span_s)
        return integral

    def _limit_kw(self, held: NDArray[np.bool_], at: Terminals) -> Array:
        """The most that registers and voltage allow; reactive power comes first where both do not fit."""
        bank = self.bank
        enabled = held & (bank.get("123.WMaxLim_Ena") == 1.0)
        share = np.clip(bank.get("123.WMaxLimPct"), 0.0, 100.0) / 100.0
        limit_kw = np.where(enabled, share * self.rating_kw, np.inf)
        if self.support.volt_watt:
            limit_kw = np.minimum(limit_kw, volt_watt(at.mean_pu) * self.rating_kw)
        if self.support.volt_var:
            limit_kw = np.minimum(limit_kw, np.sqrt(self.rating_kw**2 - self.q_kvar**2))
        return np.where(bank.get("123.Conn") != 0.0, limit_kw, 0.0)

    def _note_state(self, available: Array) -> None:
        held_back = (self.p_kw < available) & (available > 0.0)
        states = [self.bank.get("123.Conn") == 0.0, ~self.protection.connected, available <= 0.0, held_back]
        self._state = np.select(states, [_OFF, _FAULT, _SLEEPING, _THROTTLED], default=_MPPT)

    def show(self, phases: Phases, frequency_hz: float) -> None:
        """Put measurements into the registers; ``phases`` are those of the inverter's own terminals."""
        bank = self.bank
        bank.put("103.W", 1e3 * self.p_kw)
        bank.put("103.VAr", 1e3 * self.q_kvar)
        bank.put("103.VA", 1e3 * np.hypot(self.p_kw, self.q_kvar))
        bank.put("103.PF", 100.0 * power_factor(self.p_kw, self.q_kvar))
        bank.put("103.DCW", 1e3 * self.p_kw / self.efficiency)
        bank.put("103.A", phases.i_a.sum(axis=1))
        for k, letter in enumerate("ABC"):
            used = phases.v[:, k] > 0.0
            bank.put(f"103.Aph{letter}", np.where(used, phases.i_a[:, k], np.nan))
            bank.put(f"103.PhVph{letter}", np.where(used, phases.v[:, k], np.nan))
        bank.put("103.Hz", frequency_hz)
        bank.put("103.WH", np.mod(1e3 * self.energy_kwh, _ACC32))
        bank.put("103.St", self._state)
        off = ~self.protection.connected
        bank.put("103.Evt1", np.where(off, _GRID_DISCONNECT | _CAUSES[self.protection.cause], 0))

    def _put_constants(self, ramp_pct_s: Array) -> None:
        bank, points = self.bank, self.bank.layout.points
        power_sf = scale_factor(2e3 * self.rating_kw, points["103.W"])
        for name in ("103.W_SF", "103.VA_SF", "103.VAr_SF", "103.DCW_SF"):
            bank.put(name, power_sf)
        for name in ("103.A_SF", "103.Hz_SF", "123.WMaxLimPct_SF", "123.OutPFSet_SF"):
            bank.put(name, -2)
        for name in ("103.V_SF", "103.PF_SF", "121.WGra_SF"):
            bank.put(name, -1)
        for name in ("103.WH_SF", "103.Tmp_SF", "103.Evt1", "103.Evt2"):
            bank.put(name, 0)
        bank.put("121.WGra", ramp_pct_s)
        bank.put("123.Conn", 1)
        bank.put("123.WMaxLimPct", 100.0)
        bank.put("123.OutPFSet", 1.0)
        for name in ("WMaxLimPct_RvrtTms", "WMaxLim_Ena", "OutPFSet_Ena", "VArPct_Ena"):
            bank.put(f"123.{name}", 0)
