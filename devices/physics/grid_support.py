"""What IEEE 1547-2018 asks of an inverter at its terminals, as array functions: volt-var, volt-watt, trips.

Default settings: of category B for volt-var (clause 5.3.3) and volt-watt (5.4.2), of category III for
abnormal voltage (6.4), for abnormal frequency (6.5) and for entering service (4.10). Voltages are in per unit
of the nominal one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Reactive power over the rated apparent power, + injected.
VOLT_VAR_V_PU, VOLT_VAR_Q = (0.92, 0.98, 1.02, 1.08), (0.44, 0.0, 0.0, -0.44)
# Most active power over the rated one.
VOLT_WATT_V_PU, VOLT_WATT_P = (1.06, 1.10), (1.0, 0.2)
VOLT_VAR_RESPONSE_S = 5.0
_OPEN_LOOP = np.log(10.0)


class TripSetting(NamedTuple):
    """Beyond ``limit`` for ``clearing_s`` seconds an inverter has to leave the grid."""

    over: bool
    limit: float
    clearing_s: float


VOLTAGE_TRIPS = (
    TripSetting(True, 1.20, 0.16),
    TripSetting(True, 1.10, 13.0),
    TripSetting(False, 0.88, 21.0),
    TripSetting(False, 0.50, 2.0),
)
FREQUENCY_TRIPS = (
    TripSetting(True, 62.0, 0.16),
    TripSetting(True, 61.2, 300.0),
    TripSetting(False, 58.5, 300.0),
    TripSetting(False, 56.5, 0.16),
)
TRIPS = (*VOLTAGE_TRIPS, *FREQUENCY_TRIPS)
# Entering service: voltage [pu], frequency against nominal [Hz], delay [s] and the ramp after it [s].
SERVICE_V_PU, SERVICE_HZ = (0.917, 1.05), (-0.5, 0.1)
SERVICE_DELAY_S, SERVICE_RAMP_S = 300.0, 300.0
# The frequency limits are those of a 60 Hz grid; elsewhere they lie as far from nominal.
_NOMINAL_HZ = 60.0


class Terminals(NamedTuple):
    """Voltage at inverters' terminals: lowest, highest and mean of the connected phases [pu], ``(n,)``."""

    low_pu: Array
    high_pu: Array
    mean_pu: Array

    @classmethod
    def of(cls, v_pu: Array, connected: Flags) -> "Terminals":
        """Terminals of inverters on some of three phases, both ``(n, 3)``."""
        low = np.where(connected, v_pu, np.inf).min(axis=1, initial=np.inf)
        high = np.where(connected, v_pu, -np.inf).max(axis=1, initial=-np.inf)
        mean = np.where(connected, v_pu, 0.0).sum(axis=1) / np.maximum(connected.sum(axis=1), 1)
        return cls(low, high, mean)


class GridSupport(msgspec.Struct, frozen=True, kw_only=True):
    """Which functions are in force; by the standard's defaults only the trips are."""

    volt_var: bool = False
    volt_watt: bool = False
    trips: bool = True


def volt_var(v_pu: Array) -> Array:
    """Reactive power over the rated apparent power at a voltage, ``(n,)``, + injected."""
    return np.interp(v_pu, VOLT_VAR_V_PU, VOLT_VAR_Q)


def volt_watt(v_pu: Array) -> Array:
    """Most active power over the rated one at a voltage, ``(n,)``."""
    return np.interp(v_pu, VOLT_WATT_V_PU, VOLT_WATT_P)


def respond(start: Array, target: Array, response_s: float, dt_s: Array | float) -> tuple[Array, Array]:
    """First-order answer that has gone nine tenths of the way after ``response_s``.

    Returns
    -------
    integral, end
        Integral over the step [unit s] and value at its end, ``(n,)``.
    """
    rate = _OPEN_LOOP / response_s
    left = np.exp(-rate * np.asarray(dt_s))
    gap = start - target
    integral: Array = target * dt_s + gap * (1.0 - left) / rate
    end: Array = target + gap * left
    return integral, end


@dataclass(frozen=True, slots=True)
class Service:
    """When within a step each inverter is on the grid.

    Attributes
    ----------
    from_s, until_s
        Seconds from the start of the step, ``(n,)``; nobody comes and goes in one step of constant voltage,
        because the voltages at which service is entered lie inside those at which it is left.
    slow_until_s
        Until when power may only rise slowly, after it came back.
    """

    from_s: Array
    until_s: Array
    slow_until_s: Array

    @property
    def whole(self) -> bool:
        """Whether everybody is on the grid all the time, at full speed."""
        never_off = not self.from_s.any() and bool(np.isinf(self.until_s).all())
        return never_off and not self.slow_until_s.any()


_REMEMBERED = ("connected", "trips", "cause", "_beyond_s", "_fit_s", "_slow_s")


class Protection:
    """Trips and reconnections of ``count`` inverters on simulated time.

    Attributes
    ----------
    connected
        Who is on the grid, ``(count,)``.
    trips
        How often each has tripped, ``(count,)``.
    cause
        Index into `TRIPS` of what made those trip that are off, ``(count,)``; -1 while connected.
    """

    def __init__(self, count: int, nominal_hz: float = 60.0) -> None:
        self.connected = np.ones(count, dtype=bool)
        self.trips = np.zeros(count, dtype=np.int64)
        self.cause = np.full(count, -1)
        self._nominal_hz = nominal_hz
        self._beyond_s = np.zeros((len(TRIPS), count))
        self._fit_s = np.zeros(count)
        self._slow_s = np.zeros(count)

    def snapshot(self) -> dict[str, NDArray[Any]]:
        """Who is off the grid, why, and how far every delay has come."""
        return {name: getattr(self, name) for name in _REMEMBERED}

    def restore(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a snapshot of as many inverters."""
        for name in _REMEMBERED:
            setattr(self, name, values[name])

    def pass_time(self, at: Terminals, hz: float, dt_s: float) -> Service:
        """Let a step of constant voltage pass.

        Parameters
        ----------
        at
            Voltages at the terminals.
        hz
            Frequency [Hz].
        dt_s
            Length of the step [s].
        """
        zeros, never = np.zeros_like(at.low_pu), np.full_like(at.low_pu, np.inf)
        beyond, fits = self._beyond(at, hz), self._fits(at, hz)
        if self.connected.all() and not beyond.any() and not self._slow_s.any():
            self._beyond_s[:] = 0.0
            return Service(zeros, never, zeros)
        clearing_s = np.array([[w.clearing_s] for w in TRIPS])
        left_by_window_s = np.where(beyond, np.maximum(clearing_s - self._beyond_s, 0.0), np.inf)
        left_s = left_by_window_s.min(axis=0)
        trips = self.connected & (left_s < dt_s)
        back_s = np.where(fits, np.maximum(SERVICE_DELAY_S - self._fit_s, 0.0), np.inf)
        returns = ~self.connected & (back_s < dt_s)
        from_s = np.where(self.connected, 0.0, np.where(returns, back_s, np.inf))
        until_s = np.where(trips, left_s, np.inf)
        slow_until_s = np.where(returns, back_s + SERVICE_RAMP_S, self._slow_s)
        self.trips += trips
        self.cause = np.where(trips, left_by_window_s.argmin(axis=0), np.where(returns, -1, self.cause))
        self.connected = (self.connected & ~trips) | returns
        self._beyond_s = np.where(beyond & self.connected, self._beyond_s + dt_s, 0.0)
        self._fit_s = np.where(self.connected | ~fits, 0.0, self._fit_s + dt_s)
        self._slow_s = np.where(self.connected, np.maximum(slow_until_s - dt_s, 0.0), 0.0)
        return Service(from_s, until_s, slow_until_s)

    def _beyond(self, at: Terminals, hz: float) -> Flags:
        volts = [at.high_pu > w.limit if w.over else at.low_pu < w.limit for w in VOLTAGE_TRIPS]
        at_60 = hz - self._nominal_hz + _NOMINAL_HZ
        hertz = [at_60 > w.limit if w.over else at_60 < w.limit for w in FREQUENCY_TRIPS]
        return np.array([*volts, *(np.full(at.low_pu.shape, out) for out in hertz)], dtype=bool)

    def _fits(self, at: Terminals, hz: float) -> Flags:
        off_hz = hz - self._nominal_hz
        steady = SERVICE_HZ[0] <= off_hz <= SERVICE_HZ[1]
        fits: Flags = (at.low_pu >= SERVICE_V_PU[0]) & (at.high_pu <= SERVICE_V_PU[1]) & steady
        return fits
