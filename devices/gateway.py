"""Gateway between prosumers' devices and the rest: polls their meters and inverters, carries out set-points.

It knows endpoints and profiles only, so emulated and real devices are the same to it. Different links are
polled at once, the units on one link one after another, those that were silent last.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from broker.messages import DeviceSetPoint, DeviceState, Quality
from devices.actuator import Actuator, attempt
from devices.drivers import Inverter, InverterValues, Meter, MeterValues
from devices.endpoint import Endpoint, Link, LiveProsumer
from devices.errors import CommandBarred, DeviceError, MissingControl
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


class _Ask(msgspec.Struct, frozen=True):
    """One device to be read in a poll: its unit id, whether it is a meter, and how it is asked."""

    unit: int
    is_meter: bool
    read: Callable[[_Got], Awaitable[None]]


async def _ask_meter(prosumer: str, meter: Meter, got: _Got) -> None:
    got.meters[prosumer] = await meter.values()


async def _ask_pv(prosumer: str, pv: Inverter, got: _Got) -> None:
    got.inverters[prosumer, "pv"] = await pv.pv_values()


async def _ask_battery(prosumer: LiveProsumer, battery: Inverter, horizon_s: float, got: _Got) -> None:
    values = await battery.battery_values(prosumer.battery_efficiency, horizon_s)
    got.inverters[prosumer.id, "battery"] = values


class _Memory(Generic[V]):
    """Last good values of one device, when they were read, and for how many polls they have stood in."""

    def __init__(self, hold_polls: int) -> None:
        self._hold_polls = hold_polls
        self._values: V | None = None
        self._failed = 0
        self.read_at: float | None = None

    def remember(self, values: V | None) -> tuple[Quality, V | None]:
        """Take a poll's result in, ``None`` for a failure; returns what counts now."""
        if values is not None:
            self._values, self._failed, self.read_at = values, 0, time.time()
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
        How long a unit that was silent, or a link that was found dead, is left alone [s].
    hold_polls
        How many polls in a row a silent device is held at its last values before it counts as missing.
    poll_limit_s
        Longest time for one poll [s]; devices that it does not reach count as silent.
    profiles
        Folder of the user's profiles.

    Attributes
    ----------
    problems
        One line for each device that failed in the last poll.
    stopped
        Why all devices were stopped; empty while they may be commanded.
    simulated_s
        Simulated time [s], by which set-points run out; ``None`` for real time.
    """

    def __init__(
        self,
        prosumers: Iterable[LiveProsumer],
        *,
        interval_s: float = 900.0,
        timeout_s: float = 1.0,
        retry_after_s: float = 2.0,
        hold_polls: int = 2,
        poll_limit_s: float = 60.0,
        profiles: Path | None = None,
    ) -> None:
        self.prosumers = tuple(prosumers)
        self.problems: list[str] = []
        self.stopped = ""
        self.simulated_s: float | None = None
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._poll_limit_s = poll_limit_s
        self._profiles = profiles
        self._connections: dict[Link, Connection] = {}
        self._queues: dict[Connection, list[_Ask]] = {}
        self._actuators: dict[tuple[str, Device], Actuator] = {}
        self._readers: dict[str, Meter] = {}
        for prosumer in self.prosumers:
            self._equip(prosumer)
        self._meters = {p.id: _Memory[MeterValues](hold_polls) for p in self.prosumers}
        self._states = {key: _Memory[InverterValues](hold_polls) for key in self._actuators}

    @property
    def counts(self) -> Counts:
        """Requests and errors over all connections since the start."""
        total = Counts()
        for connection in self._connections.values():
            total.add(connection.counts)
        return total

    @property
    def actuators(self) -> tuple[Actuator, ...]:
        """All devices that can be commanded."""
        return tuple(self._actuators.values())

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
        await asyncio.gather(
            *(self._poll_in_turn(link, queue, inverters, got) for link, queue in self._queues.items())
        )
        self.problems.sort()
        return [self._reading(prosumer, got, inverters) for prosumer in self.prosumers]

    @property
    def hardware(self) -> list[str]:
        """Addresses of all real devices."""
        found = [str(actuator.inverter.unit.endpoint) for actuator in self.actuators if actuator.guard.real]
        return found + [str(p.meter) for p in self.prosumers if p.real_meter]

    def is_real(self, prosumer: str) -> bool:
        """Whether one of a prosumer's devices that are commanded is hardware."""
        return any(a.guard.real for (name, _), a in self._actuators.items() if name == prosumer)

    def measured_kw(self, prosumer: str) -> dict[str, float | None]:
        """Power of a prosumer's devices at the last poll [kW], + generates."""
        return {
            device: actuator.measured_kw
            for (name, device), actuator in self._actuators.items()
            if name == prosumer
        }

    async def meter_kw(self, prosumer: str) -> float | None:
        """Power at a prosumer's meter now [kW], + import; raises `DeviceError`."""
        return (await self._readers[prosumer].values()).p_kw

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
        troubles: list[str] = []
        barred = 0
        for set_point in set_points:
            try:
                await self._actuator(prosumer, set_point.device).set(set_point.power_kw, valid_s)
            except DeviceError as error:
                troubles.append(f"{set_point.device}: {error}")
                barred += isinstance(error, CommandBarred)
        return Outcome(not troubles, "; ".join(troubles), bool(troubles) and barred == len(troubles))

    async def tend(self) -> list[str]:
        """Go on with ramps, renew set-points before they revert, end those that ran out.

        Returns what failed, one line for each device.
        """
        due = [actuator for actuator in self.actuators if actuator.is_due()]
        return await attempt(due, Actuator.tend)

    async def stop(self, reason: str) -> list[str]:
        """Bring all devices to their safe values and command them no more; returns what failed.

        Devices that are only observed are left alone. What fails is tried again by `tend`.
        """
        self.stopped = reason
        return await attempt(list(self.actuators), partial(_stop, reason=reason))

    async def hand_back(self) -> list[str]:
        """Release hardware that was set, at the end of a run; returns what failed.

        Hardware that was stopped stays at its safe value.
        """
        real = [actuator for actuator in self.actuators if actuator.guard.real and not actuator.stopped]
        return await attempt(real, Actuator.hand_back)

    async def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            await connection.close()

    def _equip(self, prosumer: LiveProsumer) -> None:
        meter = Meter(self._unit(prosumer.meter))
        self._readers[prosumer.id] = meter
        self._enqueue(prosumer.meter, is_meter=True, read=partial(_ask_meter, prosumer.id, meter))
        if prosumer.pv is not None:
            pv = Inverter(self._unit(prosumer.pv))
            self._actuators[prosumer.id, "pv"] = Actuator(pv, "pv", prosumer.pv_guard, self._now)
            self._enqueue(prosumer.pv, is_meter=False, read=partial(_ask_pv, prosumer.id, pv))
        if prosumer.battery is not None:
            battery = Inverter(self._unit(prosumer.battery))
            actuator = Actuator(battery, "battery", prosumer.battery_guard, self._now)
            self._actuators[prosumer.id, "battery"] = actuator
            read = partial(_ask_battery, prosumer, battery, self._interval_s)
            self._enqueue(prosumer.battery, is_meter=False, read=read)

    def _unit(self, endpoint: Endpoint) -> Unit:
        link = endpoint.link
        if link not in self._connections:
            self._connections[link] = Connection(link, self._timeout_s, self._retry_after_s)
            self._queues[self._connections[link]] = []
        return Unit(self._connections[link], endpoint, self._profiles)

    def _enqueue(
        self, endpoint: Endpoint, *, is_meter: bool, read: Callable[[_Got], Awaitable[None]]
    ) -> None:
        self._queues[self._connections[endpoint.link]].append(_Ask(endpoint.unit, is_meter, read))

    async def _poll_in_turn(
        self, connection: Connection, queue: Sequence[_Ask], inverters: bool, got: _Got
    ) -> None:
        wanted = [ask for ask in queue if inverters or ask.is_meter]
        # Meters first, because settlement rests on them; those that were silent last, for they cost time.
        wanted.sort(key=lambda ask: (connection.silent(ask.unit), not ask.is_meter))
        reached = 0
        try:
            async with asyncio.timeout(self._poll_limit_s):
                for ask in wanted:
                    try:
                        await ask.read(got)
                    except DeviceError as error:
                        self.problems.append(str(error))
                    reached += 1
        except TimeoutError:
            left = len(wanted) - reached
            self.problems.append(
                f"{left} devices at {connection.link} were not read within {self._poll_limit_s:g} s; "
                "use more links or a longer live.poll_limit_s"
            )

    def _reading(self, prosumer: LiveProsumer, got: _Got, inverters: bool) -> Reading:
        devices = tuple(
            self._state(prosumer.id, device, got.inverters.get((prosumer.id, device)))
            for device in _DEVICES
            if inverters and (prosumer.id, device) in self._actuators
        )
        memory = self._meters[prosumer.id]
        quality, meter = memory.remember(got.meters.get(prosumer.id))
        if meter is None:
            return Reading(prosumer=prosumer.id, quality=quality, devices=devices, read_at=memory.read_at)
        v_pu = sum(meter.v_v) / len(meter.v_v) / prosumer.nominal_v if meter.v_v else None
        return Reading(
            prosumer=prosumer.id,
            quality=quality,
            v_pu=v_pu,
            devices=devices,
            read_at=memory.read_at,
            **msgspec.structs.asdict(meter),
        )

    def _state(self, prosumer: str, device: Device, values: InverterValues | None) -> DeviceState:
        actuator, memory = self._actuators[prosumer, device], self._states[prosumer, device]
        quality, known = memory.remember(values)
        known = known or InverterValues(None, None, None)
        actuator.measured_kw = known.p_kw
        guard = actuator.guard
        return DeviceState(
            device=device,
            quality=quality,
            p_kw=known.p_kw,
            min_kw=None if known.min_kw is None else max(known.min_kw, guard.min_kw),
            max_kw=None if known.max_kw is None else min(known.max_kw, guard.max_kw),
            soc=known.soc,
            obeys=guard.armed and not actuator.stopped,
            read_at=memory.read_at,
        )

    def _actuator(self, prosumer: str, device: Device) -> Actuator:
        if (prosumer, device) not in self._actuators:
            raise MissingControl(f"prosumer {prosumer} has no such device; correct the set-point")
        return self._actuators[prosumer, device]

    def _now(self) -> float:
        return time.monotonic() if self.simulated_s is None else self.simulated_s


async def _stop(actuator: Actuator, reason: str) -> None:
    await actuator.stop(reason)
