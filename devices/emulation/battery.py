"""Emulated batteries: the physics behind the registers of `devices.emulation.battery_face`."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from broker.snapshot import Values, array_of, part
from devices.emulation.bank import RegisterBank
from devices.emulation.battery_face import BatteryFace, BatteryMeasurements, BatteryModels, BatteryRatings
from devices.emulation.nameplate import put_identity
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.revert import RevertTimers
from devices.physics import battery
from devices.physics.inverter import Motion, ramp
from devices.physics.meter import Phases
from devices.registers.sunspec import SunSpecPlace, sunspec_layout

Array = NDArray[np.float64]
_REMEMBERED = ("soc", "p_kw", "discharged_kwh", "charged_kwh")
_ROUNDING_KW = 1e-6


class BatteryUnits:
    """All batteries of a fleet.

    Parameters
    ----------
    prosumers
        Whose batteries, ``(n,)``.
    frequency_hz
        Frequency of the grid [Hz].
    models
        Which registers they show besides 120, 121 and 124: 701, 704 and 713, or 103 and 802.
    place
        Where the registers begin.

    Attributes
    ----------
    p_kw
        Power now [kW], ``(n,)``, + discharges.
    soc
        State of charge now [0..1], ``(n,)``.
    discharged_kwh, charged_kwh
        Energy at the terminals since the start [kWh], ``(n,)``.
    """

    def __init__(
        self,
        prosumers: Sequence[EmulatedProsumer],
        frequency_hz: float,
        models: BatteryModels = "701",
        place: SunSpecPlace = SunSpecPlace(),  # noqa: B008  # frozen
    ) -> None:
        ids = [p.id for p in prosumers]
        face = self._face = BatteryFace(models)
        self.bank = RegisterBank(
            sunspec_layout(face.models, place), len(ids), (*face.set_points, *face.band_points)
        )
        self.rating_kw = np.array([p.battery_kw for p in prosumers])
        self.capacity_kwh = np.array([p.battery_kwh for p in prosumers])
        self.efficiency = np.array([p.battery_efficiency for p in prosumers])
        self.self_discharge = np.array([p.battery_self_discharge for p in prosumers])
        self.soc = np.array([p.battery_soc for p in prosumers])
        self.p_kw = np.zeros(len(ids))
        self.discharged_kwh = np.zeros(len(ids))
        self.charged_kwh = np.zeros(len(ids))
        ramp_pct_s = np.array([p.battery_ramp_pct_s for p in prosumers])
        self._rate_kw_s = ramp_pct_s / 100.0 * self.rating_kw
        self._set_timers = RevertTimers(self.bank, face.set_points, face.set_seconds)
        self._band_timers = RevertTimers(self.bank, face.band_points, face.band_seconds)
        put_identity(self.bank, "battery", ids)
        face.put_constants(
            self.bank,
            BatteryRatings(
                rating_kw=self.rating_kw,
                capacity_kwh=self.capacity_kwh,
                ramp_pct_s=ramp_pct_s,
                nominal_v=np.array([p.nominal_v for p in prosumers]),
                single_phase=np.array([len(p.phases) == 1 for p in prosumers]),
                nominal_hz=frequency_hz,
            ),
        )
        self.bank.keep_defaults()

    def restart(self, row: int) -> None:
        """Let one battery forget its commands, as after a loss of supply."""
        self.bank.restart(row)
        self._set_timers.stop(row)
        self._band_timers.stop(row)

    def step(self, dt_s: float) -> Array:
        """Let ``dt_s`` seconds pass with the set-points now in the registers.

        Set-points may run out within the step, so it has up to three parts. A battery that runs empty or
        full within the step delivers what was left and then stands still.

        Parameters
        ----------
        dt_s
            Length of the step [s], positive.

        Returns
        -------
        NDArray
            Mean power [kW], ``(n,)``, + discharges.
        """
        set_s = self._set_timers.begin()
        band_s = self._band_timers.begin()
        edges = np.sort(
            np.stack([np.zeros_like(set_s), np.minimum(set_s, dt_s), np.minimum(band_s, dt_s)]), 0
        )
        spans = np.diff(edges, axis=0, append=dt_s)
        up_kws, down_kws, end_kw = np.zeros_like(set_s), np.zeros_like(set_s), self.p_kw
        for begin_s, span_s in zip(edges, spans, strict=True):
            target_kw = self._face.target_kw(self.bank, self.rating_kw, begin_s < set_s, begin_s < band_s)
            motion: Motion = ramp(end_kw, target_kw, self._rate_kw_s, span_s)
            up_kws, down_kws, end_kw = up_kws + motion.up_kws, down_kws + motion.down_kws, motion.end_kw
        self._face.revert(self.bank, self._set_timers.pass_time(dt_s), self._band_timers.pass_time(dt_s))
        return self._store(up_kws / dt_s, down_kws / dt_s, end_kw, dt_s / 3600.0)

    def snapshot(self) -> Values:
        """Registers, charge, power and energy."""
        return {
            "words": self.bank.words,
            "set_timers": self._set_timers.snapshot(),
            "band_timers": self._band_timers.snapshot(),
            **{name: getattr(self, name) for name in _REMEMBERED},
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        self._set_timers.restore(part(values, "set_timers"))
        self._band_timers.restore(part(values, "band_timers"))
        for name in _REMEMBERED:
            setattr(self, name, array_of(values, name, getattr(self, name)))
        self.bank.put_words(array_of(values, "words", self.bank.words))

    def show(self, phases: Phases) -> None:
        """Put measurements into the registers; ``phases`` are those of the battery's own terminals."""
        self._face.show(
            self.bank,
            BatteryMeasurements(
                p_kw=self.p_kw,
                soc=self.soc,
                capacity_kwh=self.capacity_kwh,
                discharged_kwh=self.discharged_kwh,
                charged_kwh=self.charged_kwh,
                left_s=self._set_timers.remaining_s,
                phases=phases,
            ),
        )

    def _store(self, up_kw: Array, down_kw: Array, end_kw: Array, dt_h: float) -> Array:
        """Take the energy from or to the cells; what they cannot give or take does not happen."""
        self.soc = self.soc * battery.retention(self.self_discharge, dt_h)
        charge_max, discharge_max = battery.limits_kw(
            self.soc, self.capacity_kwh, self.rating_kw, self.efficiency, dt_h
        )
        charged, discharged = np.minimum(-down_kw, charge_max), np.minimum(up_kw, discharge_max)
        full = (-down_kw > charge_max + _ROUNDING_KW) & (end_kw < 0.0)
        empty = (up_kw > discharge_max + _ROUNDING_KW) & (end_kw > 0.0)
        self.p_kw = np.where(full | empty, 0.0, end_kw)
        for power_kw in (-charged, discharged):
            self.soc = battery.advance(self.soc, power_kw, self.capacity_kwh, self.efficiency, dt_h)
        self.charged_kwh = self.charged_kwh + charged * dt_h
        self.discharged_kwh = self.discharged_kwh + discharged * dt_h
        return discharged - charged
