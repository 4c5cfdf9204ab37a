"""Gateway between prosumers' devices and the rest: polls their meters and inverters, carries out set-points.

It knows endpoints and profiles only, so emulated and real devices are the same to it. Different links are
polled at once, the units on one link together where it bears that, else one after another, those that were
silent last.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from broker.messages import CommandedDevice, DeviceSetPoint, DeviceState
from broker.snapshot import Values, part
from broker.wall_time import since_boot
from devices.client.drivers import InverterValues, MeterValues
from devices.counts import Counts
from devices.endpoint import LiveProsumer
from devices.errors import CommandBarred, DeviceError, MissingControl
from devices.gateway.actuator import Actuator
from devices.gateway.attempt import Outcomes, attempt, failures
from devices.gateway.equipment import Equipment
from devices.gateway.hardware_record import HardwareRecord
from devices.gateway.links import Links
from devices.gateway.poll_items import PollResult
from devices.gateway.polling import Memory, PollProgress, poll_link
from devices.gateway.reading import Outcome, Reading, reading_of, state_of
from devices.kinds import CONSUMERS


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
    record
        Where what must not be forgotten of hardware is kept, if anywhere.

    Attributes
    ----------
    problems
        One line for each device that failed in the last poll.
    overwritten
        One line for each piece of hardware that the last poll found written to by another master.
    stopped
        Why all devices were stopped; empty while they may be commanded.
    actuators
        All devices that can be commanded.
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
        record: HardwareRecord | None = None,
    ) -> None:
        self.prosumers = tuple(prosumers)
        self._place = {prosumer.id: place for place, prosumer in enumerate(self.prosumers)}
        self.problems: list[str] = []
        self.overwritten: list[str] = []
        self.stopped = ""
        self.simulated_s: float | None = None
        self._poll_limit_s = poll_limit_s
        self._links = Links(timeout_s, retry_after_s, profiles)
        self._record = record
        equipment = Equipment(self._links, interval_s, self._now, record)
        for prosumer in self.prosumers:
            equipment.add(prosumer)
        self._queues, self._devices, self._readers = equipment.queues, equipment.devices, equipment.meters
        self.actuators = tuple(each for devices in self._devices.values() for each in devices.values())
        self._meters = {p.id: Memory[MeterValues](hold_polls) for p in self.prosumers}
        self._states = {
            (name, device): Memory[InverterValues](hold_polls)
            for name, devices in self._devices.items()
            for device in devices
        }

    @property
    def counts(self) -> Counts:
        """Requests and errors over all links since the start."""
        return self._links.counts

    async def poll(
        self, *, inverters: bool = True, take: Callable[[list[Reading]], None] | None = None
    ) -> list[Reading]:
        """Read all devices once.

        Parameters
        ----------
        inverters
            False reads the meters alone; the readings then hold no devices.
        take
            Called with readings as they are complete, some at a time, while others are still asked for.

        Returns
        -------
        list of Reading
            One for each prosumer, in order. A device that fails never fails the poll.
        """
        result, found = PollResult(), dict[str, Reading]()

        def finish(names: list[str]) -> None:
            places = sorted(self._place[name] for name in names)
            readings = [self._reading(self.prosumers[place], result, inverters) for place in places]
            found.update({reading.prosumer: reading for reading in readings})
            if take is not None:
                take(readings)

        items = (each for queue in self._queues.values() for each in queue if inverters or each.is_meter)
        progress = PollProgress(items, finish)
        await asyncio.gather(
            *(
                poll_link(
                    link, items, result, progress.finish, inverters=inverters, limit_s=self._poll_limit_s
                )
                for link, items in self._queues.items()
            )
        )
        progress.end()
        self.problems = sorted(result.problems)
        self.overwritten = sorted(result.overwritten)
        return [found[prosumer.id] for prosumer in self.prosumers]

    @property
    def hardware(self) -> list[str]:
        """Addresses of all real devices."""
        found = [str(actuator.inverter.port.endpoint) for actuator in self.actuators if actuator.limits.real]
        return found + [str(p.meter) for p in self.prosumers if p.real_meter]

    @property
    def real_consumers(self) -> list[tuple[str, CommandedDevice]]:
        """Prosumer and kind of each charger and load that is hardware."""
        return [
            (actuator.prosumer, actuator.device)
            for actuator in self.actuators
            if actuator.limits.real and actuator.device in CONSUMERS
        ]

    def commands(self, prosumer: str) -> bool:
        """Whether a prosumer has devices that can be commanded."""
        return bool(self._devices[prosumer])

    def is_real(self, prosumer: str) -> bool:
        """Whether one of a prosumer's devices that are commanded is hardware."""
        return any(actuator.limits.real for actuator in self._devices[prosumer].values())

    def in_force(self, prosumer: str) -> list[DeviceSetPoint]:
        """Set-points that a prosumer's devices go by, within their limits."""
        return [
            DeviceSetPoint(device=device, power_kw=actuator.in_force_kw)
            for device, actuator in self._devices[prosumer].items()
        ]

    def measured_kw(self, prosumer: str) -> dict[str, float | None]:
        """Power of a prosumer's devices at the last poll [kW], + generates."""
        return {device: actuator.measured_kw for device, actuator in self._devices[prosumer].items()}

    async def meter_kw(self, prosumer: str) -> float | None:
        """Power at a prosumer's meter now [kW], + import; raises `DeviceError`."""
        return (await self._readers[prosumer].state()).get("p_kw")

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
        failed: list[str] = []
        for set_point in set_points:
            try:
                await self._actuator(prosumer, set_point.device).set(set_point.power_kw, valid_s)
            except DeviceError as error:
                troubles.append(f"{set_point.device}: {error}")
                if not isinstance(error, CommandBarred):
                    failed.append(troubles[-1])
        return Outcome(not troubles, "; ".join(troubles), "; ".join(failed))

    def snapshot(self) -> Values:
        """Readings that may have to stand in, and what is in force at emulated devices."""
        return {
            "meters": {name: memory.snapshot() for name, memory in self._meters.items()},
            "states": {f"{d} {name}": memory.snapshot() for (name, d), memory in self._states.items()},
            "actuators": {f"{a.device} {a.prosumer}": a.snapshot() for a in self._emulated},
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; what is in force at hardware is what its registers say.

        Raises
        ------
        ValueError
            It is of other devices.
        """
        meters, states, actuators = (part(values, name) for name in ("meters", "states", "actuators"))
        for name, memory in self._meters.items():
            memory.restore(part(meters, name), MeterValues)
        for (name, device), state in self._states.items():
            state.restore(part(states, f"{device} {name}"), InverterValues)
        for actuator in self._emulated:
            actuator.restore(part(actuators, f"{actuator.device} {actuator.prosumer}"))

    @property
    def _emulated(self) -> list[Actuator]:
        return [actuator for actuator in self.actuators if not actuator.limits.real]

    @property
    def due(self) -> list[Actuator]:
        """Devices that have to be tended now."""
        return [actuator for actuator in self.actuators if actuator.is_due()]

    async def tend(self, actuators: Iterable[Actuator] | None = None) -> Outcomes:
        """Go on with ramps, renew set-points before they revert, end those that ran out.

        Parameters
        ----------
        actuators
            Devices that are due; without them all that are.

        Returns
        -------
        Outcomes
            What failed at each of them.
        """
        return await attempt(self.due if actuators is None else actuators, Actuator.tend)

    async def stop(self, reason: str) -> list[str]:
        """Bring all devices to their safe values and command them no more; returns what failed.

        Devices that are only observed are left alone. What fails is tried again by `tend`.
        """
        self.bar(reason)
        return failures(await attempt(self.actuators, partial(_stop, reason=reason)))

    def bar(self, reason: str) -> None:
        """Let no device take a set-point any more."""
        self.stopped = self.stopped or reason
        for actuator in self.actuators:
            actuator.bar(self.stopped)

    async def hand_back(self) -> list[str]:
        """Release hardware that was set, at the end of a run; returns what failed.

        Hardware that was stopped stays at its safe value.
        """
        real = [actuator for actuator in self.actuators if actuator.limits.real and not actuator.stopped]
        return failures(await attempt(real, Actuator.hand_back))

    async def open(self) -> None:
        """Listen where devices connect to by themselves; raises `DeviceError`."""
        await self._links.open()

    async def close(self) -> None:
        """Close all connections, once what is known of hardware is written down."""
        if self._record is not None:
            await self._record.written()
        await self._links.close()

    def _reading(self, prosumer: LiveProsumer, result: PollResult, inverters: bool) -> Reading:
        devices = tuple(
            self._state(prosumer.id, device, result.inverters.get((prosumer.id, device)))
            for device in (self._devices[prosumer.id] if inverters else ())
        )
        memory = self._meters[prosumer.id]
        values = result.meters.get(prosumer.id)
        quality, meter = memory.remember(values, 0.0 if values is None else values.age_s)
        is_incomplete = values is None and prosumer.id in result.incomplete
        return reading_of(prosumer, meter, quality, memory.read_at, devices, is_incomplete=is_incomplete)

    def _state(self, prosumer: str, device: CommandedDevice, values: InverterValues | None) -> DeviceState:
        actuator, memory = self._devices[prosumer][device], self._states[prosumer, device]
        quality, known = memory.remember(values)
        actuator.measured_kw = None if known is None else known.p_kw
        return state_of(actuator, device, known, quality, memory.read_at)

    def _actuator(self, prosumer: str, device: CommandedDevice) -> Actuator:
        found = self._devices.get(prosumer, {}).get(device)
        if found is None:
            raise MissingControl(f"prosumer {prosumer} has no such device; correct the set-point")
        return found

    def _now(self) -> float:
        return since_boot() if self.simulated_s is None else self.simulated_s


async def _stop(actuator: Actuator, reason: str) -> None:
    await actuator.stop(reason)
