"""Emulated chargers and flexible loads: stores behind registers, which draw up to the limit that is set.

Each is a store of `devices.physics.storage`, whose path says what it may do in an interval. Its registers
tell energy as it is drawn at the meter: what a vehicle or work that can wait has had, wants and until when,
or how full of heat a room is. A limit that is not renewed runs out, and then it draws all that it may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from broker.snapshot import Values, array_of, part
from devices.emulation.bank import RegisterBank
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.revert import RevertTimers
from devices.physics.storage import StorePath, advance_energy, power_range
from devices.registers.profiles import load_profile
from devices.registers.sunspec import flat_layout

Array = NDArray[np.float64]
ConsumerKind = Literal["ev", "load"]
_CONTROLS = ("limit", "enable", "seconds")
_REMEMBERED = ("energy_kwh", "p_kw")


@dataclass(frozen=True)
class Conditions:
    """What ``n`` stores are up to in an interval.

    Attributes
    ----------
    path
        What they may do in it, ``(n, 1)``.
    wanted_kwh, left_s
        Energy that each wants to have next, and how long until then from the beginning of the interval [s];
        NaN where it wants none by a time, ``(n,)``.
    beyond_kwh
        What each wants at the end of the interval and could not be given in time, ``(n,)`` [kWh].
    """

    path: StorePath
    wanted_kwh: Array
    left_s: Array
    beyond_kwh: Array | float = 0.0


class ConsumerUnits:
    """All chargers, or all flexible loads, of a fleet.

    Parameters
    ----------
    prosumers
        Whose they are, ``(n,)``.
    kind
        ``ev`` or ``load``; the profile ``sharegrid-ev`` or ``sharegrid-load`` has their registers.

    Attributes
    ----------
    energy_kwh
        Energy in each, ``(n,)`` [kWh].
    p_kw
        What each draws, ``(n,)`` [kW].
    """

    def __init__(self, prosumers: Sequence[EmulatedProsumer], kind: ConsumerKind) -> None:
        layout = flat_layout(load_profile(f"sharegrid-{kind}"))
        self.bank = RegisterBank(layout, len(prosumers), _CONTROLS)
        self._is_ev = kind == "ev"
        self._timers = RevertTimers(self.bank, _CONTROLS, "seconds")
        self.rating_kw = np.array([p.ev_kw if self._is_ev else p.flexible_kw for p in prosumers])
        self.energy_kwh = np.array([p.ev_kwh if self._is_ev else p.flexible_kwh for p in prosumers])
        self.p_kw = np.zeros(len(prosumers))
        self._most_kw, self._drawn_kwh = np.zeros((2, len(prosumers)))
        for name in _CONTROLS:
            self.bank.put(name, 0.0)
        self.bank.put("rating", 1e3 * self.rating_kw)
        self.bank.keep_defaults()

    def restart(self, row: int) -> None:
        """Let one device forget its limit, as after a loss of supply."""
        self.bank.restart(row)
        self._timers.stop(row)

    def begin_interval(self, now: Conditions, hours: float) -> None:
        """Begin an interval of so many hours: draw no more in it than there is room for."""
        _, most_kw = power_range(self.energy_kwh, now.path, hours)
        self._most_kw = np.clip(most_kw, 0.0, self.rating_kw)
        self._drawn_kwh = np.zeros(self.rating_kw.size)

    def step(self, dt_s: float) -> Array:
        """Let a part of the interval pass; mean power drawn, ``(n,)`` [kW]."""
        held_s = np.minimum(self._timers.begin(), dt_s)
        limit_kw = np.clip(-self.bank.get("limit") / 1e3, 0.0, None)
        limited = np.where(self.bank.get("enable") == 1.0, np.minimum(limit_kw, self._most_kw), self._most_kw)
        expired = self._timers.pass_time(dt_s)
        self.bank.put_rows("enable", expired, 0.0)
        mean_kw = (limited * held_s + self._most_kw * (dt_s - held_s)) / dt_s
        self.p_kw = np.where(expired, self._most_kw, limited)
        self._drawn_kwh += mean_kw * dt_s / 3600.0
        return mean_kw

    def end_interval(self, now: Conditions, hours: float) -> None:
        """End the interval that was begun."""
        self.energy_kwh = advance_energy(self.energy_kwh, self._drawn_kwh / hours, now.path, hours)

    def lacking(self, now: Conditions) -> Array:
        """What each lacks of what it wants at the end of the interval, which is over, ``(n,)`` [kWh]."""
        return np.asarray(np.maximum(now.path.lower_kwh[:, 0] - self.energy_kwh, 0.0) + now.beyond_kwh)

    def show(self, upcoming: Conditions, hours: float) -> None:
        """Put what is so now, and in the interval that comes, into the registers."""
        path, bank = upcoming.path, self.bank
        is_here = path.draw_kw[:, 0] > 0.0
        drawn = self.energy_kwh / path.efficiency
        wanted = np.where(is_here, upcoming.wanted_kwh / path.efficiency, drawn)
        bank.put("power", -1e3 * self.p_kw)
        bank.put("left", upcoming.left_s)
        if self._is_ev:
            bank.put("plugged", is_here)
            bank.put("session", 1e3 * drawn)
            bank.put("wanted", 1e3 * wanted)
            return
        # Where nothing is wanted by a time, there is heat.
        is_heat = np.isnan(upcoming.wanted_kwh)
        capacity = path.upper_kwh[:, 0] / path.efficiency
        lost = (1.0 - path.retention) * self.energy_kwh - path.drift_kwh[:, 0]
        bank.put("session", np.where(is_heat, np.nan, 1e3 * drawn))
        bank.put("wanted", np.where(is_heat, np.nan, 1e3 * wanted))
        bank.put("filled", np.where(is_heat, 100.0 * drawn / capacity, np.nan))
        bank.put("capacity", np.where(is_heat, 1e3 * capacity, np.nan))
        bank.put("loss", np.where(is_heat, 1e3 * lost / path.efficiency / hours, np.nan))

    def snapshot(self) -> Values:
        """Registers, energy and power."""
        return {
            "words": self.bank.words,
            "timers": self._timers.snapshot(),
            **{name: getattr(self, name) for name in _REMEMBERED},
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        self._timers.restore(part(values, "timers"))
        for name in _REMEMBERED:
            setattr(self, name, array_of(values, name, getattr(self, name)))
        self.bank.put_words(array_of(values, "words", self.bank.words))
