"""Gateway between prosumers' devices and the rest: polls their meters and inverters, carries out set-points.

It knows endpoints and profiles only, so emulated and real devices are the same to it. Different ports are
polled at once, the units behind one port one after another.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Generic, Literal, TypeVar

import msgspec

from broker.messages import DeviceSetPoint, DeviceState, Quality
from devices.drivers import Inverter, InverterValues, Meter, MeterValues
from devices.endpoint import Endpoint, Link, LiveProsumer
from devices.errors import DeviceError, MissingControl
from devices.modbus import Connection, Counts
from devices.reading import Outcome, Reading
from devices.unit import Unit

V = TypeVar("V")
Device = Literal["pv", "battery"]
_DEVICES: tuple[Device, ...] = ("pv", "battery")


class _Got(msgspec.Struct):
    """What one poll has brought in so far."""

    meters: dict[str, MeterValues]
    inverters: dict[tuple[str, Device], InverterValues]


_Ask = Callable[[_Got], Awaitable[None]]
_Queues = dict[Connection, list[_Ask]]


async def _ask_meter(prosumer: str, meter: Meter, got: _Got) -> None:
    got.meters[prosumer] = await meter.values()


async def _ask_pv(prosumer: str, pv: Inverter, got: _Got) -> None:
    got.inverters[prosumer, "pv"] = await pv.pv_values()


async def _ask_battery(prosumer: LiveProsumer, battery: Inverter, horizon_s: float, got: _Got) -> None:
    values = await battery.battery_values(prosumer.battery_efficiency, horizon_s)
    got.inverters[prosumer.id, "battery"] = values


class _Memory(Generic[V]):
    """Last good values of one device, and for how many polls they have had to stand in."""

    def __init__(self, hold_polls: int) -> None:
        self._hold_polls = hold_polls
        self._values: V | None = None
        self._failed = 0

    def remember(self, values: V | None) -> tuple[Quality, V | None]:
        """Take a poll's result in, ``None`` for a failure; returns what counts now."""
        if values is not None:
            self._values, self._failed = values, 0
            return "good", values
        self._failed += 1
        if self._values is not None and self._failed <= self._hold_polls:
            return "held", self._values
        return "missing", None


class Gateway:
    """Polls and commands the devices of a group of prosumers.

    Parameters
    ----------
    prosumers
        Prosumers and where their devices are.
    interval_s
        For how long a battery must be able to hold the power it offers [s].
    timeout_s
        How long to wait for a device [s].
    retry_after_s
        How long a port that was found dead is left alone [s].
    hold_polls
        How many polls in a row a silent device is held at its last values before it counts as missing.
    command_spacing_s
        Least time between two commands to one device [s], for devices whose registers wear out.

    Attributes
    ----------
    problems
        One line for each device that failed in the last poll.
    """

    def __init__(
        self,
        prosumers: Iterable[LiveProsumer],
        *,
        interval_s: float = 900.0,
        timeout_s: float = 1.0,
        retry_after_s: float = 2.0,
        hold_polls: int = 2,
        command_spacing_s: float = 0.0,
    ) -> None:
        self.prosumers = tuple(prosumers)
        self.problems: list[str] = []
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._spacing_s = command_spacing_s
        self._connections: dict[Link, Connection] = {}
        self._commanded: dict[Endpoint, float] = {}
        self._meter_queues: _Queues = {}
        self._inverter_queues: _Queues = {}
        self._inverters: dict[tuple[str, Device], Inverter] = {}
        for prosumer in self.prosumers:
            self._equip(prosumer)
        self._meters = {p.id: _Memory[MeterValues](hold_polls) for p in self.prosumers}
        self._states = {key: _Memory[InverterValues](hold_polls) for key in self._inverters}

    @property
    def counts(self) -> Counts:
        """Requests and errors over all connections since the start."""
        total = Counts()
        for connection in self._connections.values():
            total.add(connection.counts)
        return total

    async def poll(self, *, inverters: bool = True) -> list[Reading]:
        """Read all devices once.

        Parameters
        ----------
        inverters
            False reads the meters alone; the readings then hold no devices.

        Returns
        -------
        list of Reading
            One for each prosumer, in order. A device that fails never fails the poll.
        """
        self.problems = []
        got = _Got({}, {})
        queues = [
            [*meters, *(self._inverter_queues[connection] if inverters else ())]
            for connection, meters in self._meter_queues.items()
        ]
        await asyncio.gather(*(self._poll_in_turn(queue, got) for queue in queues))
        self.problems.sort()
        return [self._reading(prosumer, got, inverters) for prosumer in self.prosumers]

    async def command(
        self, prosumer: str, set_points: Sequence[DeviceSetPoint], valid_s: float = 0.0
    ) -> Outcome:
        """Write set-points with their enables and revert times, and read them back.

        Parameters
        ----------
        prosumer
            Whose devices.
        set_points
            Power for each device as in `broker.messages.DeviceSetPoint`.
        valid_s
            Seconds after which a device falls back to its default by itself; 0 means never.

        Returns
        -------
        Outcome
            Not ok where a device is missing, silent, refuses, or shows other values than were written.
        """
        troubles = []
        for set_point in set_points:
            try:
                await self._carry_out(prosumer, set_point, valid_s)
            except DeviceError as error:
                troubles.append(f"{set_point.device}: {error}")
        return Outcome(not troubles, "; ".join(troubles))

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            await connection.close()

    def _equip(self, prosumer: LiveProsumer) -> None:
        connection = self._connection(prosumer.meter)
        meter = Meter(Unit(connection, prosumer.meter))
        self._meter_queues[connection].append(partial(_ask_meter, prosumer.id, meter))
        if prosumer.pv is not None:
            connection = self._connection(prosumer.pv)
            pv = Inverter(Unit(connection, prosumer.pv))
            self._inverters[prosumer.id, "pv"] = pv
            self._inverter_queues[connection].append(partial(_ask_pv, prosumer.id, pv))
        if prosumer.battery is not None:
            connection = self._connection(prosumer.battery)
            battery = Inverter(Unit(connection, prosumer.battery))
            self._inverters[prosumer.id, "battery"] = battery
            ask = partial(_ask_battery, prosumer, battery, self._interval_s)
            self._inverter_queues[connection].append(ask)

    def _connection(self, endpoint: Endpoint) -> Connection:
        link = endpoint.link
        if link not in self._connections:
            self._connections[link] = Connection(link, self._timeout_s, self._retry_after_s)
            self._meter_queues[self._connections[link]] = []
            self._inverter_queues[self._connections[link]] = []
        return self._connections[link]

    async def _poll_in_turn(self, queue: Sequence[_Ask], got: _Got) -> None:
        for ask in queue:
            try:
                await ask(got)
            except DeviceError as error:
                self.problems.append(str(error))

    def _reading(self, prosumer: LiveProsumer, got: _Got, inverters: bool) -> Reading:
        devices = [
            self._state(prosumer.id, device, got.inverters.get((prosumer.id, device)))
            for device in _DEVICES
            if inverters and (prosumer.id, device) in self._inverters
        ]
        quality, meter = self._meters[prosumer.id].remember(got.meters.get(prosumer.id))
        if meter is None:
            return Reading(prosumer=prosumer.id, quality="missing", devices=tuple(devices))
        v_pu = sum(meter.v_v) / len(meter.v_v) / prosumer.nominal_v if meter.v_v else None
        return Reading(
            prosumer=prosumer.id,
            quality=quality,
            v_pu=v_pu,
            devices=tuple(devices),
            **msgspec.structs.asdict(meter),
        )

    def _state(self, prosumer: str, device: Device, values: InverterValues | None) -> DeviceState:
        quality, known = self._states[prosumer, device].remember(values)
        known = known or InverterValues(None, None, None)
        return DeviceState(device=device, quality=quality, **msgspec.structs.asdict(known))

    async def _carry_out(self, prosumer: str, set_point: DeviceSetPoint, valid_s: float) -> None:
        inverter = self._inverters.get((prosumer, set_point.device))
        if inverter is None:
            raise MissingControl(f"prosumer {prosumer} has no such device; correct the set-point")
        await self._space_out(inverter.unit.endpoint)
        await inverter.command(set_point.power_kw, valid_s)

    async def _space_out(self, endpoint: Endpoint) -> None:
        """Wait until the device may be commanded again."""
        last = self._commanded.get(endpoint)
        if last is not None and self._spacing_s > 0.0:
            await asyncio.sleep(max(0.0, last + self._spacing_s - time.monotonic()))
        self._commanded[endpoint] = time.monotonic()
