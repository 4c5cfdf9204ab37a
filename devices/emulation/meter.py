"""Emulated meters: what they measure and count, behind the registers of `devices.emulation.meter_face`.

A meter integrates what it measures: its gain error is in power and energy alike, and its counters never run
backwards. Noise is in what it shows now, and averages out of the counters.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from broker.snapshot import Values, array_of, part
from devices.emulation.answers import Unit
from devices.emulation.bank import RegisterBank
from devices.emulation.meter_face import (
    MeterModel,
    sdm630_bank,
    show_profile,
    show_sdm630,
    show_sunspec_meter,
    sunspec_meter_bank,
)
from devices.emulation.prosumer import EmulatedProsumer
from devices.errors import MapError
from devices.physics.meter import Phases, count_energy, count_reactive
from devices.registers.profiles import load_profile
from devices.registers.sunspec import SunSpecPlace, flat_layout

Array = NDArray[np.float64]
_SMALLEST_METER_KW = 30.0
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
    bank: RegisterBank
    show: "_Show"


_Show = Callable[[RegisterBank, Phases, Array, Array, float], None]


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
    model, place
        SunSpec model of the SunSpec meters, and where their registers begin.

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
        model: MeterModel = "203",
        place: SunSpecPlace = SunSpecPlace(),  # noqa: B008  # frozen
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
        self._model: MeterModel = model
        self._place = place
        self.hold_counters = False
        self._held: tuple[Array, Array] | None = None
        self._groups = [self._group(name, prosumers) for name in dict.fromkeys(p.meter for p in prosumers)]
        self._units = {
            int(k): Unit(group.bank, row) for group in self._groups for row, k in enumerate(group.at)
        }

    def _group(self, name: str, prosumers: Sequence[EmulatedProsumer]) -> "_Group":
        """Meters of one profile."""
        at = np.flatnonzero([p.meter == name for p in prosumers])
        owners = [p for p in prosumers if p.meter == name]
        if name == "sdm630":
            return _Group(at, sdm630_bank(owners, self._frequency_hz), show_sdm630)
        profile = load_profile(name, self._profiles)
        if profile.kind != "meter" or (profile.sunspec and name != "sunspec-meter"):
            raise MapError(f"profile {name} cannot be emulated as a meter; use sunspec-meter or a fixed map")
        if not profile.sunspec:
            return _Group(at, RegisterBank(flat_layout(profile), at.size), partial(show_profile, profile))
        largest_kw = np.array([max(_SMALLEST_METER_KW, p.pv_kw + p.battery_kw) for p in owners])
        bank = sunspec_meter_bank(
            [p.id for p in owners], largest_kw, self._frequency_hz, self._model, self._place
        )
        return _Group(at, bank, partial(show_sunspec_meter, self._model))

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

    def snapshot(self) -> Values:
        """Registers, counters, clocks, and where the errors' draws stand."""
        return {
            "words": [group.bank.words for group in self._groups],
            "energy_kwh": self.energy_kwh,
            "reactive_kvarh": self.reactive_kvarh,
            "clock": self.clock,
            "draws": None if self._rng is None else self._rng.bit_generator.state,
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        for name in ("energy_kwh", "reactive_kvarh", "clock"):
            setattr(self, name, array_of(values, name, getattr(self, name)))
        if self._rng is not None:
            try:
                self._rng.bit_generator.state = part(values, "draws")
            except (TypeError, KeyError) as error:
                raise ValueError(f"the snapshot has other draws of meters' errors: {error}") from None
        images = dict(enumerate(values["words"]))
        for place, group in enumerate(self._groups):
            group.bank.put_words(array_of(images, place, group.bank.words))

    def show(self, phases: Phases, frequency_hz: float) -> None:
        """Put measurements into the registers; ``phases`` are the true quantities, ``(n, 3)``."""
        measured = self._measured(phases)
        energy_kwh, reactive_kvarh = self._held or (self.energy_kwh, self.reactive_kvarh)
        for group in self._groups:
            at = group.at
            group.show(group.bank, measured.rows(at), energy_kwh[:, at], reactive_kvarh[:, at], frequency_hz)

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
