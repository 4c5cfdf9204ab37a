"""A fleet of emulated prosumers: physics between two register images, behind Modbus TCP servers.

Simulated time passes only in `Fleet.advance`; no clock is involved, and chance only through the generator
that inexact meters are given, so the same set-points and the same weather give the same bits.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from broker.snapshot import Values, array_of, part, typed
from devices.emulation.answers import Unit
from devices.emulation.battery import BatteryUnits
from devices.emulation.battery_face import BatteryModels
from devices.emulation.fleet_consumers import NO_STORES, FleetConsumers, Stores
from devices.emulation.fleet_servers import FleetServers
from devices.emulation.meter import Accuracy, MeterUnits
from devices.emulation.meter_face import MeterModel
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.pv import PvUnits
from devices.emulation.pv_face import PvModels
from devices.emulation.server import MOST_UNITS
from devices.endpoint import LiveProsumer
from devices.physics.grid_support import GridSupport, Terminals
from devices.physics.meter import Phases, phase_quantities
from devices.registers.sunspec import SunSpecPlace

__all__ = ["EmulatedProsumer", "Fleet"]

Array = NDArray[np.float64]
_REMEMBERED = ("p_kw", "q_kvar", "mean_kw", "mean_kvar", "v_pu")
_AS_THE_STANDARD, _EXACT = GridSupport(), Accuracy()


class Fleet:
    """Emulated prosumers and what they did last.

    Parameters
    ----------
    prosumers
        What to emulate; ids must differ.
    frequency_hz
        Nominal frequency of the grid.
    support
        Grid-support functions of the PV inverters.
    accuracy
        Accuracy of the meters.
    rng
        Source of the meters' errors; needed where they have any.
    profiles
        Folder of the user's profiles.
    pv_models, meter_model, battery_models
        SunSpec models of the PV inverters, see `devices.emulation.pv_face`, of meters that are SunSpec's, and
        of the batteries.
    place
        Where registers of SunSpec devices begin.

    Attributes
    ----------
    p_kw, q_kvar
        Power at the connection point at the end of the last step [kW, kvar], ``(m,)``, + import.
    mean_kw, mean_kvar
        Means over the last `advance` [kW, kvar], ``(m,)``, + import.
    v_pu
        Voltage to neutral [pu], ``(m, 3)``.
    frequency_hz
        Frequency of the grid now, from the next step on.
    meters, pv, battery
        The devices; ``pv_at`` and ``battery_at`` say whose the inverters are.
    consumers
        Chargers and flexible loads.
    servers
        Where they are served.
    """

    def __init__(
        self,
        prosumers: Sequence[EmulatedProsumer],
        frequency_hz: float = 60.0,
        support: GridSupport = _AS_THE_STANDARD,
        accuracy: Accuracy = _EXACT,
        rng: np.random.Generator | None = None,
        profiles: Path | None = None,
        pv_models: PvModels = "103",
        meter_model: MeterModel = "203",
        battery_models: BatteryModels = "701",
        place: SunSpecPlace = SunSpecPlace(),  # noqa: B008  # frozen
    ) -> None:
        if len({p.id for p in prosumers}) != len(prosumers):
            raise ValueError("two emulated prosumers share an id; give each its own")
        self.prosumers = tuple(prosumers)
        count = len(prosumers)
        self.nominal_v = np.array([p.nominal_v for p in prosumers])
        self.connected = np.array([[k in p.phases for k in (1, 2, 3)] for p in prosumers])
        self.p_kw, self.q_kvar = np.zeros(count), np.zeros(count)
        self.mean_kw, self.mean_kvar = np.zeros(count), np.zeros(count)
        self.v_pu = np.ones((count, 3))
        self.pv_at = np.flatnonzero([p.pv_kw > 0.0 for p in prosumers])
        self.battery_at = np.flatnonzero([p.has_battery for p in prosumers])
        self.frequency_hz = frequency_hz
        self.meters = MeterUnits(self.prosumers, frequency_hz, accuracy, rng, profiles, meter_model, place)
        self.pv = PvUnits([self.prosumers[k] for k in self.pv_at], frequency_hz, support, pv_models, place)
        self.battery = BatteryUnits(
            [self.prosumers[k] for k in self.battery_at], frequency_hz, battery_models, place
        )
        self.consumers = FleetConsumers(self.prosumers)
        self._index = {p.id: k for k, p in enumerate(self.prosumers)}
        self.servers = FleetServers()
        self._show()

    @property
    def energy_kwh(self) -> Array:
        """Counters of import and export [kWh], ``(2, m)``."""
        return self.meters.energy_kwh

    async def start(
        self,
        host: str = "127.0.0.1",
        ports: Sequence[int] = (),
        units_per_port: int = MOST_UNITS,
        only: Collection[str] | None = None,
        apart: Collection[str] = (),
    ) -> dict[str, LiveProsumer]:
        """Serve all units over Modbus TCP.

        Parameters
        ----------
        host
            Address to bind.
        ports
            Ports to use in order; free ones when they run out.
        units_per_port
            Most units behind one port.
        only
            Prosumers whose units are served; ``None`` for all.
        apart
            Prosumers that get a port of their own with a proxy before it, so that faults can act on their
            line.

        Returns
        -------
        dict
            Where each prosumer's devices are, by its id.

        Raises
        ------
        ServerError
            A port cannot be bound.
        """
        served = [k for k, p in enumerate(self.prosumers) if only is None or p.id in only]
        units = [self._units(k) for k in served]
        return await self.servers.start(
            [self.prosumers[k] for k in served], units, host, ports, units_per_port, apart
        )

    async def stop(self) -> None:
        """Close all ports; the state stays and the fleet may be started again."""
        await self.servers.stop()

    def reboot(self, prosumer: str, role: str) -> None:
        """Let one device restart with its registers at their defaults: set-points gone, counters at zero."""
        k = self._index[prosumer]
        if role == "meter":
            self.meters.restart(k)
        elif role == "pv":
            self.pv.restart(int(np.searchsorted(self.pv_at, k)))
        elif role == "battery":
            self.battery.restart(int(np.searchsorted(self.battery_at, k)))
        else:
            self.consumers.restart(role, k)
        self._show()

    @asynccontextmanager
    async def serving(
        self, host: str = "127.0.0.1", units_per_port: int = MOST_UNITS
    ) -> AsyncIterator[dict[str, LiveProsumer]]:
        """`start`, and `stop` whatever happens."""
        live = await self.start(host, units_per_port=units_per_port)
        try:
            yield live
        finally:
            await self.stop()

    def begin(self, load_kw: ArrayLike, load_kvar: ArrayLike, pv_available_kw: ArrayLike) -> None:
        """Start in the steady state of a load and a sun, ``(m,)`` each; no time passes, no energy flows."""
        self.pv.begin(np.asarray(pv_available_kw, dtype=np.float64)[self.pv_at])
        self._set_power(np.asarray(load_kw, dtype=np.float64), np.asarray(load_kvar, dtype=np.float64))
        self._show()

    def advance(
        self,
        load_kw: ArrayLike,
        load_kvar: ArrayLike,
        pv_available_kw: ArrayLike,
        dt_s: float,
        stores: Stores = NO_STORES,
    ) -> None:
        """Let simulated time pass with the set-points now in the registers.

        Parameters
        ----------
        load_kw, load_kvar
            Consumption in each sub-step [kW, kvar], ``(s, m)``.
        pv_available_kw
            What the PV modules could deliver in each sub-step [kW], ``(s, m)``; ignored without PV.
        dt_s
            Length of a sub-step [s], positive.
        stores
            What chargers and flexible loads may do in this time, where there are such.

        Raises
        ------
        ValueError
            Shapes do not agree, or a value is not finite.
        """
        load, kvar, sun = (np.asarray(a, dtype=np.float64) for a in (load_kw, load_kvar, pv_available_kw))
        shape = (len(load), len(self.prosumers))
        if not (load.shape == kvar.shape == sun.shape == shape and len(load)):
            raise ValueError(f"load, kvar and sun have shapes {load.shape}, {kvar.shape}, {sun.shape}")
        if not (
            np.isfinite(load).all() and np.isfinite(kvar).all() and np.isfinite(sun[:, self.pv_at]).all()
        ):
            raise ValueError("a load or the sun of an emulated prosumer is not finite")
        total_kw, total_kvar = np.zeros((2, shape[1]))
        hours = len(load) * dt_s / 3600.0
        self.consumers.begin(stores, hours)
        terminals = Terminals.of(self.v_pu[self.pv_at], self.connected[self.pv_at])
        for load_now, kvar_now, sun_now in zip(load, kvar, sun, strict=True):
            net_kw, net_kvar = load_now.copy(), kvar_now.copy()
            net_kw[self.pv_at] -= self.pv.step(sun_now[self.pv_at], terminals, self.frequency_hz, dt_s)
            net_kvar[self.pv_at] -= self.pv.mean_kvar
            net_kw[self.battery_at] -= self.battery.step(dt_s)
            self.consumers.step(net_kw, dt_s)
            self.meters.count(net_kw, net_kvar, dt_s / 3600.0)
            total_kw += net_kw
            total_kvar += net_kvar
        self.consumers.end(stores, hours)
        self.mean_kw, self.mean_kvar = total_kw / len(load), total_kvar / len(load)
        self._set_power(load[-1], kvar[-1])
        self._show()

    def snapshot(self) -> Values:
        """State of all devices, their registers included."""
        return {
            "frequency_hz": self.frequency_hz,
            "meters": self.meters.snapshot(),
            "pv": self.pv.snapshot(),
            "battery": self.battery.snapshot(),
            "consumers": self.consumers.snapshot(),
            **{name: getattr(self, name) for name in _REMEMBERED},
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        self.meters.restore(part(values, "meters"))
        self.pv.restore(part(values, "pv"))
        self.battery.restore(part(values, "battery"))
        self.consumers.restore(part(values, "consumers"))
        self.frequency_hz = typed(values, "frequency_hz", float)
        for name in _REMEMBERED:
            setattr(self, name, array_of(values, name, getattr(self, name)))

    def set_voltage(self, v_pu: ArrayLike) -> None:
        """Put the feeder's voltages into meters and inverters.

        Parameters
        ----------
        v_pu
            Voltage to neutral [pu], ``(m, 3)``, or ``(m,)`` where all phases see the same; not negative.
        """
        v = np.asarray(v_pu, dtype=np.float64)
        self.v_pu = np.broadcast_to(v if v.ndim == 2 else v[:, None], self.v_pu.shape).copy()
        self._show()

    def roles(self, prosumer: str) -> tuple[str, ...]:
        """Devices that a prosumer has, of ``meter``, ``pv``, ``battery``, ``ev`` and ``load``."""
        return tuple(role for role, _ in self._units(self._index[prosumer]))

    def unit(self, prosumer: str, role: str) -> Unit:
        """Registers behind one device, one of `roles`, to let it fail or lose writes."""
        return dict(self._units(self._index[prosumer]))[role]

    def _units(self, k: int) -> list[tuple[str, Unit]]:
        """Devices of prosumer ``k``, the meter first."""
        units = [("meter", self.meters.unit(k))]
        for role, bank, at in (
            ("pv", self.pv.bank, self.pv_at),
            ("battery", self.battery.bank, self.battery_at),
        ):
            if k in at:
                units.append((role, Unit(bank, int(np.searchsorted(at, k)))))
        return [*units, *self.consumers.of(k)]

    def _set_power(self, load_kw: Array, load_kvar: Array) -> None:
        self.p_kw, self.q_kvar = load_kw.copy(), load_kvar.copy()
        self.p_kw[self.pv_at] -= self.pv.p_kw
        self.p_kw[self.battery_at] -= self.battery.p_kw
        self.consumers.add_power(self.p_kw)
        self.q_kvar[self.pv_at] -= self.pv.q_kvar

    def _show(self) -> None:
        """Bring all registers up to the state."""
        everyone = np.arange(len(self.prosumers))
        self.meters.show(self._phases(everyone, self.p_kw, self.q_kvar), self.frequency_hz)
        self.pv.show(self._phases(self.pv_at, self.pv.p_kw, self.pv.q_kvar), self.frequency_hz)
        idle = np.zeros(self.battery_at.size)
        self.battery.show(self._phases(self.battery_at, self.battery.p_kw, idle))

    def _phases(self, at: NDArray[np.intp], p_kw: Array, q_kvar: Array) -> Phases:
        return phase_quantities(p_kw, q_kvar, self.v_pu[at], self.connected[at], self.nominal_v[at])
