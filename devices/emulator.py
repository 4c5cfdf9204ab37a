"""A fleet of emulated prosumers: physics between two register images, behind Modbus TCP servers.

Simulated time passes only in `Fleet.advance`; no clock and no chance is involved, so the same set-points
and the same weather give the same bits.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray
from pymodbus.server import ModbusTcpServer

from devices import emulated_meter as meters
from devices.emulated_battery import BatteryUnits
from devices.emulated_pv import PvUnits
from devices.endpoint import Endpoint, LiveProsumer
from devices.meter import Phases, count_energy, count_reactive, phase_quantities
from devices.profiles import Profile
from devices.server import MOST_UNITS, Unit, start_servers, stop_servers

Array = NDArray[np.float64]
_SMALLEST_METER_KW = 30.0


class EmulatedProsumer(msgspec.Struct, frozen=True, kw_only=True):
    """One emulated prosumer: a meter, and the inverters whose rating is not zero.

    Attributes
    ----------
    id
        Name, unique in the fleet.
    phases
        Phases it is connected to, of 1, 2, 3; its power splits evenly over them.
    nominal_v
        Voltage to neutral at 1 pu [V].
    meter
        Profile of the meter.
    import_kwh, export_kwh
        Counters at the start [kWh].
    pv_kw, pv_ramp_pct_s
        Rating of the PV inverter [kW] and its ramp [% of the rating per second].
    battery_kw, battery_kwh, battery_efficiency, battery_soc, battery_ramp_pct_s
        Rating [kW], usable capacity [kWh], one-way efficiency, state of charge at the start [0..1] and
        ramp [% of the rating per second].
    """

    id: str
    phases: tuple[int, ...] = (1, 2, 3)
    nominal_v: float = 230.0
    meter: Profile = "sdm630"
    import_kwh: float = 0.0
    export_kwh: float = 0.0
    pv_kw: float = 0.0
    pv_ramp_pct_s: float = 10.0
    battery_kw: float = 0.0
    battery_kwh: float = 0.0
    battery_efficiency: float = 0.95
    battery_soc: float = 0.5
    battery_ramp_pct_s: float = 50.0


class Fleet:
    """Emulated prosumers and what they did last.

    Parameters
    ----------
    prosumers
        What to emulate; ids must differ.
    frequency_hz
        Frequency of the grid, shown by meters and inverters.

    Attributes
    ----------
    p_kw, q_kvar
        Power at the connection point at the end of the last step [kW, kvar], ``(m,)``, + import.
    mean_kw, mean_kvar
        Means over the last `advance` [kW, kvar], ``(m,)``, + import.
    v_pu
        Voltage to neutral [pu], ``(m, 3)``.
    energy_kwh
        Counters of import and export [kWh], ``(2, m)``.
    reactive_kvarh
        Reactive counters by quadrant [kvarh], ``(4, m)``.
    pv, battery
        The inverters; ``pv_at`` and ``battery_at`` say whose they are.
    """

    def __init__(self, prosumers: Sequence[EmulatedProsumer], frequency_hz: float = 60.0) -> None:
        if len({p.id for p in prosumers}) != len(prosumers):
            raise ValueError("two emulated prosumers share an id; give each its own")
        self.prosumers = tuple(prosumers)
        count = len(prosumers)
        self.nominal_v = np.array([p.nominal_v for p in prosumers])
        self.connected = np.array([[k in p.phases for k in (1, 2, 3)] for p in prosumers])
        self.p_kw, self.q_kvar = np.zeros(count), np.zeros(count)
        self.mean_kw, self.mean_kvar = np.zeros(count), np.zeros(count)
        self.v_pu = np.ones((count, 3))
        self.energy_kwh = np.array([[p.import_kwh for p in prosumers], [p.export_kwh for p in prosumers]])
        self.reactive_kvarh = np.zeros((4, count))
        self.pv_at = np.flatnonzero([p.pv_kw > 0.0 for p in prosumers])
        self.battery_at = np.flatnonzero([p.battery_kw > 0.0 for p in prosumers])
        self.pv = self._make_pv(frequency_hz)
        self.battery = self._make_batteries(frequency_hz)
        self._sdm630_at = np.flatnonzero([p.meter == "sdm630" for p in prosumers])
        self._sunspec_at = np.flatnonzero([p.meter == "sunspec" for p in prosumers])
        self._sdm630 = meters.sdm630_bank(self._sdm630_at.size, frequency_hz)
        owners = [p for p in prosumers if p.meter == "sunspec"]
        self._sunspec = meters.sunspec_meter_bank(
            [p.id for p in owners],
            np.array([max(_SMALLEST_METER_KW, p.pv_kw + p.battery_kw) for p in owners]),
            frequency_hz,
        )
        self._servers: list[ModbusTcpServer] = []
        self._show()

    async def start(
        self, host: str = "127.0.0.1", ports: Sequence[int] = (), units_per_port: int = MOST_UNITS
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

        Returns
        -------
        dict
            Where each prosumer's devices are, by its id.

        Raises
        ------
        ServerError
            A port cannot be bound.
        """
        groups = [self._units(k) for k in range(len(self.prosumers))]
        shelf = [[unit for _, unit in group] for group in groups]
        self._servers, places = await start_servers(shelf, host, ports, units_per_port)
        live: dict[str, LiveProsumer] = {}
        for prosumer, group, at in zip(self.prosumers, groups, places, strict=True):
            found = {
                role: Endpoint(host, port, unit, prosumer.meter if role == "meter" else "sunspec")
                for (role, _), (port, unit) in zip(group, at, strict=True)
            }
            live[prosumer.id] = LiveProsumer(
                id=prosumer.id,
                meter=found["meter"],
                pv=found.get("pv"),
                battery=found.get("battery"),
                nominal_v=prosumer.nominal_v,
                battery_efficiency=prosumer.battery_efficiency,
            )
        return live

    async def stop(self) -> None:
        """Close all ports; the state stays and the fleet may be started again."""
        servers, self._servers = self._servers, []
        await stop_servers(servers)

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
        self, load_kw: ArrayLike, load_kvar: ArrayLike, pv_available_kw: ArrayLike, dt_s: float
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
        total_kw = np.zeros(shape[1])
        for load_now, kvar_now, sun_now in zip(load, kvar, sun, strict=True):
            net_kw = load_now.copy()
            net_kw[self.pv_at] -= self.pv.step(sun_now[self.pv_at], dt_s)
            net_kw[self.battery_at] -= self.battery.step(dt_s)
            self.energy_kwh = count_energy(self.energy_kwh, net_kw, dt_s / 3600.0)
            self.reactive_kvarh = count_reactive(self.reactive_kvarh, net_kw, kvar_now, dt_s / 3600.0)
            total_kw += net_kw
        self.mean_kw, self.mean_kvar = total_kw / len(load), kvar.mean(axis=0)
        self._set_power(load[-1], kvar[-1])
        self._show()

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

    def unit(self, prosumer: str, role: str) -> Unit:
        """Registers behind one device (``meter``, ``pv`` or ``battery``), to let it fail or go deaf."""
        k = [p.id for p in self.prosumers].index(prosumer)
        return dict(self._units(k))[role]

    def _units(self, k: int) -> list[tuple[str, Unit]]:
        """Devices of prosumer ``k``, the meter first."""
        if self.prosumers[k].meter == "sdm630":
            units = [("meter", Unit(self._sdm630, int(np.searchsorted(self._sdm630_at, k))))]
        else:
            units = [("meter", Unit(self._sunspec, int(np.searchsorted(self._sunspec_at, k))))]
        for role, bank, at in (
            ("pv", self.pv.bank, self.pv_at),
            ("battery", self.battery.bank, self.battery_at),
        ):
            if k in at:
                units.append((role, Unit(bank, int(np.searchsorted(at, k)))))
        return units

    def _set_power(self, load_kw: Array, load_kvar: Array) -> None:
        self.p_kw, self.q_kvar = load_kw.copy(), load_kvar.copy()
        self.p_kw[self.pv_at] -= self.pv.p_kw
        self.p_kw[self.battery_at] -= self.battery.p_kw

    def _show(self) -> None:
        """Bring all registers up to the state."""
        for at, bank, show in (
            (self._sdm630_at, self._sdm630, meters.show_sdm630),
            (self._sunspec_at, self._sunspec, meters.show_sunspec_meter),
        ):
            phases = self._phases(at, self.p_kw[at], self.q_kvar[at])
            show(bank, phases, self.energy_kwh[:, at], self.reactive_kvarh[:, at])
        for units, at in ((self.pv, self.pv_at), (self.battery, self.battery_at)):
            units.show(self._phases(at, units.p_kw, np.zeros(at.size)))

    def _phases(self, at: NDArray[np.intp], p_kw: Array, q_kvar: Array) -> Phases:
        return phase_quantities(p_kw, q_kvar, self.v_pu[at], self.connected[at], self.nominal_v[at])

    def _make_pv(self, frequency_hz: float) -> PvUnits:
        owners = [self.prosumers[k] for k in self.pv_at]
        return PvUnits(
            [p.id for p in owners],
            np.array([p.pv_kw for p in owners]),
            np.array([p.pv_ramp_pct_s for p in owners]),
            self.nominal_v[self.pv_at],
            frequency_hz,
        )

    def _make_batteries(self, frequency_hz: float) -> BatteryUnits:
        owners = [self.prosumers[k] for k in self.battery_at]
        return BatteryUnits(
            [p.id for p in owners],
            rating_kw=np.array([p.battery_kw for p in owners]),
            capacity_kwh=np.array([p.battery_kwh for p in owners]),
            efficiency=np.array([p.battery_efficiency for p in owners]),
            soc=np.array([p.battery_soc for p in owners]),
            ramp_pct_s=np.array([p.battery_ramp_pct_s for p in owners]),
            nominal_v=self.nominal_v[self.battery_at],
            frequency_hz=frequency_hz,
            single_phase=self.connected[self.battery_at].sum(axis=1) == 1,
        )
