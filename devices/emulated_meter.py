"""Emulated meters: an SDM630 or a SunSpec meter (model 203) that show the same quantities.

A meter integrates what it measures: its gain error is in power and energy alike, and its counters never run
backwards. Noise is in what it shows now, and averages out of the counters.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.bank import Bank
from devices.emulated_prosumer import EmulatedProsumer
from devices.errors import MapError
from devices.meter import Phases, count_energy, count_reactive, power_factor
from devices.nameplate import put_identity
from devices.profiles import load_profile
from devices.registers import scale_factor
from devices.schema import QUANTITIES, Profile, conversion
from devices.server import Unit
from devices.sunspec import flat_layout, sunspec_layout

Array = NDArray[np.float64]
_LETTERS = "ABC"
_SMALLEST_METER_KW = 30.0
_ACC32 = 2.0**32
# A meter of a class keeps to it with three standard deviations.
_SIGMAS = 3.0


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """How exact meters are.

    Attributes
    ----------
    class_pct
        Accuracy class: largest error of power and energy [% of the reading]; each meter has its own.
    noise_pct
        Standard deviation of the noise of power and voltage as shown [% of the reading].
    """

    class_pct: float = 0.0
    noise_pct: float = 0.0


class _Group(NamedTuple):
    """Meters of one profile: whose they are, their registers, and what brings these up to date."""

    at: NDArray[np.intp]
    bank: Bank
    show: "_Show"


_Show = Callable[[Bank, Phases, Array, Array, float], None]


class MeterUnits:
    """All meters of a fleet.

    Parameters
    ----------
    prosumers
        Whose meters, ``(n,)``.
    frequency_hz
        Frequency of the grid [Hz].
    accuracy
        How exact they are.
    rng
        Source of errors; needed where there are any.
    profiles
        Folder of the user's profiles.

    Attributes
    ----------
    energy_kwh
        Counters of import and export [kWh], ``(2, n)``.
    reactive_kvarh
        Reactive counters by quadrant [kvarh], ``(4, n)``; the first two are import.
    gain
        Measured over true power and energy, ``(n,)``.
    clock
        Speed of each meter's clock, by which it integrates, ``(n,)``; 1 is right.
    hold_counters
        Whether registers show counters only as they were at the last `release_counters`.

    Raises
    ------
    ValueError
        Errors are asked for without a source.
    MapError
        A profile is missing, or cannot be emulated.
    """

    def __init__(
        self,
        prosumers: Sequence[EmulatedProsumer],
        frequency_hz: float,
        accuracy: Accuracy,
        rng: np.random.Generator | None = None,
        profiles: Path | None = None,
    ) -> None:
        if rng is None and (accuracy.class_pct or accuracy.noise_pct):
            raise ValueError("meters with errors need a generator; pass rng")
        self.energy_kwh = np.array([[p.import_kwh for p in prosumers], [p.export_kwh for p in prosumers]])
        self.reactive_kvarh = np.zeros((4, len(prosumers)))
        self.gain, self.clock = np.ones((2, len(prosumers)))
        if rng is not None and accuracy.class_pct:
            drawn = rng.standard_normal(len(prosumers)) / _SIGMAS
            self.gain += accuracy.class_pct / 100.0 * np.clip(drawn, -1.0, 1.0)
        self._rng = rng
        self._noise = accuracy.noise_pct / 100.0
        self._frequency_hz = frequency_hz
        self._profiles = profiles
        self.hold_counters = False
        self._held: tuple[Array, Array] | None = None
        self._groups = [self._group(name, prosumers) for name in dict.fromkeys(p.meter for p in prosumers)]
        self._units = {
            int(k): Unit(group.bank, row) for group in self._groups for row, k in enumerate(group.at)
        }

    def _group(self, name: str, prosumers: Sequence[EmulatedProsumer]) -> "_Group":
        """Meters of one profile."""
        at = np.flatnonzero([p.meter == name for p in prosumers])
        if name == "sdm630":
            return _Group(at, sdm630_bank(at.size, self._frequency_hz), show_sdm630)
        profile = load_profile(name, self._profiles)
        if profile.kind != "meter" or (profile.sunspec and name != "sunspec-meter"):
            raise MapError(f"profile {name} cannot be emulated as a meter; use sunspec-meter or a fixed map")
        if not profile.sunspec:
            return _Group(at, Bank(flat_layout(profile), at.size), partial(show_profile, profile))
        owners = [p for p in prosumers if p.meter == name]
        largest_kw = np.array([max(_SMALLEST_METER_KW, p.pv_kw + p.battery_kw) for p in owners])
        bank = sunspec_meter_bank([p.id for p in owners], largest_kw, self._frequency_hz)
        return _Group(at, bank, show_sunspec_meter)

    def unit(self, k: int) -> Unit:
        """Registers of the meter of prosumer ``k``."""
        return self._units[k]

    def restart(self, k: int) -> None:
        """Let the counters of prosumer ``k`` begin at zero, as those of a new meter."""
        self.energy_kwh[:, k] = 0.0
        self.reactive_kvarh[:, k] = 0.0

    def count(self, net_kw: Array, net_kvar: Array, dt_h: float) -> None:
        """Let energy flow at mean powers [kW, kvar], ``(n,)``, + import, for ``dt_h`` hours."""
        factor = self.gain * self.clock
        seen_kw, seen_kvar = factor * net_kw, factor * net_kvar
        self.energy_kwh = count_energy(self.energy_kwh, seen_kw, dt_h)
        self.reactive_kvarh = count_reactive(self.reactive_kvarh, seen_kw, seen_kvar, dt_h)

    def show(self, phases: Phases, frequency_hz: float) -> None:
        """Put measurements into the registers; ``phases`` are the true quantities, ``(n, 3)``."""
        seen = self._measured(phases)
        energy_kwh, reactive_kvarh = self._held or (self.energy_kwh, self.reactive_kvarh)
        for group in self._groups:
            at = group.at
            group.show(group.bank, seen.rows(at), energy_kwh[:, at], reactive_kvarh[:, at], frequency_hz)

    def release_counters(self) -> None:
        """Show counters as they are now; with ``hold_counters`` they then stand until the next release."""
        self._held = (self.energy_kwh.copy(), self.reactive_kvarh.copy()) if self.hold_counters else None

    def _measured(self, phases: Phases) -> Phases:
        gain = self.gain[:, None]
        factor_v: Array | float = 1.0
        if self._rng is not None and self._noise:
            gain = gain * (1.0 + self._noise * self._rng.standard_normal(phases.p_w.shape))
            factor_v = 1.0 + self._noise * self._rng.standard_normal(phases.v.shape)
        p, q, s, i = (gain * quantity for quantity in (phases.p_w, phases.q_var, phases.s_va, phases.i_a))
        return Phases(factor_v * phases.v, i, p, q, s, phases.power_factor)


def sdm630_bank(count: int, frequency_hz: float) -> Bank:
    """Registers of ``count`` SDM630 meters; what the emulator does not measure reads 0."""
    bank = Bank(flat_layout(load_profile("sdm630")), count)
    bank.words[:] = 0
    bank.put("frequency", frequency_hz)
    return bank


def sunspec_meter_bank(ids: Sequence[str], largest_kw: Array, frequency_hz: float) -> Bank:
    """Registers of SunSpec three-phase meters; ``largest_kw`` sets the resolution of power [kW], ``(n,)``."""
    bank = Bank(sunspec_layout((1, 203)), len(ids))
    put_identity(bank, "meter", ids)
    power_sf = scale_factor(1e3 * largest_kw, bank.layout.points["203.W"])
    scales: dict[str, ArrayLike] = {
        "203.A_SF": -1,
        "203.V_SF": -1,
        "203.Hz_SF": -2,
        "203.W_SF": power_sf,
        "203.VA_SF": power_sf,
        "203.VAR_SF": power_sf,
        "203.PF_SF": -1,
        "203.TotWh_SF": 0,
        "203.TotVArh_SF": 0,
    }
    for name, sf in scales.items():
        bank.put(name, sf)
    bank.put("203.Hz", frequency_hz)
    bank.put("203.Evt", 0)
    return bank


def show_sdm630(
    bank: Bank, phases: Phases, energy_kwh: Array, reactive_kvarh: Array, frequency_hz: float
) -> None:
    """Put measurements into SDM630 registers.

    Parameters
    ----------
    bank
        From `sdm630_bank`.
    phases
        Quantities per phase, ``(n, 3)``.
    energy_kwh
        Counters of import and export [kWh], ``(2, n)``.
    reactive_kvarh
        Counters of reactive energy by quadrant [kvarh], ``(4, n)``; the first two are import.
    frequency_hz
        Frequency of the grid [Hz].
    """
    bank.put("frequency", frequency_hz)
    for k in range(3):
        bank.put(f"V_L{k + 1}", phases.v[:, k])
        bank.put(f"I_L{k + 1}", phases.i_a[:, k])
        bank.put(f"P_L{k + 1}", phases.p_w[:, k])
        bank.put(f"S_L{k + 1}", phases.s_va[:, k])
        bank.put(f"Q_L{k + 1}", phases.q_var[:, k])
        bank.put(f"PF_L{k + 1}", phases.power_factor[:, k])
    p, q = phases.p_w.sum(axis=1), phases.q_var.sum(axis=1)
    bank.put("P", p)
    bank.put("Q", q)
    bank.put("S", np.hypot(p, q))
    bank.put("PF", power_factor(p, q))
    bank.put("import_kwh", energy_kwh[0])
    bank.put("export_kwh", energy_kwh[1])
    bank.put("import_kvarh", reactive_kvarh[:2].sum(axis=0))
    bank.put("export_kvarh", reactive_kvarh[2:].sum(axis=0))
    bank.put("total_kwh", energy_kwh.sum(axis=0))
    bank.put("total_kvarh", reactive_kvarh.sum(axis=0))


def show_sunspec_meter(
    bank: Bank, phases: Phases, energy_kwh: Array, reactive_kvarh: Array, frequency_hz: float
) -> None:
    """Put measurements into SunSpec registers, whose counters wrap; parameters as in `show_sdm630`."""
    bank.put("203.Hz", frequency_hz)
    used = phases.v > 0.0
    for k, letter in enumerate(_LETTERS):
        bank.put(f"203.PhVph{letter}", np.where(used[:, k], phases.v[:, k], np.nan))
        bank.put(f"203.Aph{letter}", np.where(used[:, k], phases.i_a[:, k], np.nan))
        bank.put(f"203.Wph{letter}", np.where(used[:, k], phases.p_w[:, k], np.nan))
        bank.put(f"203.VARph{letter}", np.where(used[:, k], phases.q_var[:, k], np.nan))
    p, q = phases.p_w.sum(axis=1), phases.q_var.sum(axis=1)
    bank.put("203.A", phases.i_a.sum(axis=1))
    bank.put("203.PhV", phases.v.sum(axis=1) / np.maximum(used.sum(axis=1), 1))
    bank.put("203.W", p)
    bank.put("203.VAR", q)
    bank.put("203.VA", np.hypot(p, q))
    bank.put("203.PF", 100.0 * power_factor(p, q))
    bank.put("203.TotWhImp", np.mod(1e3 * energy_kwh[0], _ACC32))
    bank.put("203.TotWhExp", np.mod(1e3 * energy_kwh[1], _ACC32))
    for name, counter in zip(("ImpQ1", "ImpQ2", "ExpQ3", "ExpQ4"), reactive_kvarh, strict=True):
        bank.put(f"203.TotVArh{name}", np.mod(1e3 * counter, _ACC32))


def show_profile(
    profile: Profile,
    bank: Bank,
    phases: Phases,
    energy_kwh: Array,
    reactive_kvarh: Array,
    frequency_hz: float,  # noqa: ARG001 - profiles have no such quantity; the signature is `show_sdm630`'s
) -> None:
    """Put the quantities of any profile with points at fixed addresses into its registers.

    Of points that add up to a quantity the first holds all of it.
    """
    values = {
        "p_kw": 1e-3 * phases.p_w.sum(axis=1),
        "q_kvar": 1e-3 * phases.q_var.sum(axis=1),
        "import_kwh": energy_kwh[0],
        "export_kwh": energy_kwh[1],
        "import_kvarh": reactive_kvarh[:2].sum(axis=0),
        "export_kvarh": reactive_kvarh[2:].sum(axis=0),
        **{f"v_l{k + 1}_v": phases.v[:, k] for k in range(3)},
    }
    for quantity, column in values.items():
        for names in profile.alternatives(quantity):
            factor = conversion(profile.point(names[0]).unit, QUANTITIES["meter"][quantity]) or 1.0
            bank.put(names[0], column / factor)
            for name in names[1:]:
                bank.put(name, 0.0)
