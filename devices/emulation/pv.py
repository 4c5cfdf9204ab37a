"""Emulated PV inverters: the physics behind the registers of `devices.emulation.pv_face`.

A limit acts only through the registers, while it is enabled and its revert time has not run out. Volt-var,
volt-watt and trips act on the voltage at the terminals (`devices.physics.grid_support`).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from broker.snapshot import Values, array_of, part
from devices.emulation.bank import RegisterBank
from devices.emulation.nameplate import put_identity
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.pv_face import (
    FACES,
    FAULT,
    MPPT,
    OFF,
    SLEEPING,
    THROTTLED,
    PvMeasurements,
    PvModels,
    PvRatings,
)
from devices.emulation.revert import RevertTimers
from devices.physics.grid_support import (
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
from devices.physics.inverter import curtail
from devices.physics.meter import Phases
from devices.registers.sunspec import SunSpecPlace, sunspec_layout

Array = NDArray[np.float64]
_REMEMBERED = ("p_kw", "q_kvar", "mean_kvar", "energy_kwh", "_state")


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
    models
        Which registers they show: a model of `devices.emulation.pv_face`.
    place
        Where the registers begin.

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
        self,
        prosumers: Sequence[EmulatedProsumer],
        frequency_hz: float,
        support: GridSupport,
        models: PvModels = "103",
        place: SunSpecPlace = SunSpecPlace(),  # noqa: B008  # frozen
    ) -> None:
        ids = [p.id for p in prosumers]
        self.face = face = FACES[models]
        self.bank = RegisterBank(sunspec_layout(face.models, place), len(ids), (face.connect, *face.group))
        self.rating_kw = np.array([p.pv_kw for p in prosumers])
        self.efficiency = np.array([p.pv_efficiency for p in prosumers])
        self.support = support
        self.protection = Protection(len(ids), frequency_hz)
        self.p_kw, self.q_kvar, self.mean_kvar = np.zeros((3, len(ids)))
        self.energy_kwh = np.zeros(len(ids))
        ratings = PvRatings(
            self.rating_kw,
            np.array([p.pv_ramp_pct_s for p in prosumers]),
            np.array([p.nominal_v for p in prosumers]),
            np.array([len(p.phases) == 1 for p in prosumers], dtype=bool),
            frequency_hz,
        )
        self._rate_kw_s = ratings.ramp_pct_s / 100.0 * self.rating_kw
        self._state = np.full(len(ids), SLEEPING)
        self._timers = RevertTimers(self.bank, face.group, face.seconds)
        put_identity(self.bank, "PV inverter", ids)
        face.put_constants(self.bank, ratings)
        self.bank.keep_defaults()

    def restart(self, row: int) -> None:
        """Let one inverter forget its commands, as after a loss of supply."""
        self.bank.restart(row)
        self._timers.stop(row)

    def begin(self, available_kw: ArrayLike) -> None:
        """Start in the steady state of a given sun [kW], ``(n,)``, without a limit."""
        self.p_kw = np.clip(available_kw, 0.0, self.rating_kw)
        self._state = np.where(self.p_kw > 0.0, MPPT, SLEEPING)

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
        awake = (available > 0.0) & (self.bank.get(self.face.connect) != 0.0)
        for begin_s, span_s in zip(times, spans, strict=True):
            on = (begin_s >= service.from_s) & (begin_s < service.until_s)
            rate_kw_s = np.where(begin_s < service.slow_until_s, slow_kw_s, self._rate_kw_s)
            injected_kvars += self._inject(on & awake, at, span_s)
            limit_kw = self._limit_kw(begin_s < held_s, at)
            motion = curtail(self.p_kw, np.where(on, available, 0.0), limit_kw, rate_kw_s, span_s)
            generated_kws, self.p_kw = generated_kws + motion.net_kws, motion.end_kw
        self.mean_kvar = injected_kvars / dt_s
        self.face.revert(self.bank, self._timers.pass_time(dt_s))
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
        limit_kw = self.face.limit(self.bank, held) * self.rating_kw
        if self.support.volt_watt:
            limit_kw = np.minimum(limit_kw, volt_watt(at.mean_pu) * self.rating_kw)
        if self.support.volt_var:
            limit_kw = np.minimum(limit_kw, np.sqrt(self.rating_kw**2 - self.q_kvar**2))
        return np.where(self.bank.get(self.face.connect) != 0.0, limit_kw, 0.0)

    def _note_state(self, available: Array) -> None:
        held_back = (self.p_kw < available) & (available > 0.0)
        off = self.bank.get(self.face.connect) == 0.0
        states = [off, ~self.protection.connected, available <= 0.0, held_back]
        self._state = np.select(states, [OFF, FAULT, SLEEPING, THROTTLED], default=MPPT)

    def snapshot(self) -> Values:
        """Registers, power, energy and protection."""
        return {
            "words": self.bank.words,
            "timers": self._timers.snapshot(),
            "protection": self.protection.snapshot(),
            **{name: getattr(self, name) for name in _REMEMBERED},
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        self._timers.restore(part(values, "timers"))
        protection = part(values, "protection")
        self.protection.restore(
            {name: array_of(protection, name, like) for name, like in self.protection.snapshot().items()}
        )
        for name in _REMEMBERED:
            setattr(self, name, array_of(values, name, getattr(self, name)))
        self.bank.put_words(array_of(values, "words", self.bank.words))

    def show(self, phases: Phases, frequency_hz: float) -> None:
        """Put measurements into the registers; ``phases`` are those of the inverter's own terminals."""
        measured = PvMeasurements(
            p_kw=self.p_kw,
            q_kvar=self.q_kvar,
            dc_kw=self.p_kw / self.efficiency,
            energy_kwh=self.energy_kwh,
            state=self._state,
            connected=self.protection.connected,
            cause=self.protection.cause,
            left_s=self._timers.remaining_s,
            phases=phases,
            hz=frequency_hz,
        )
        self.face.show(self.bank, measured)
