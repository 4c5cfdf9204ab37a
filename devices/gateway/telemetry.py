"""What a gateway publishes of its meters and inverters: readings as they may be believed, and energy."""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from broker.messages import Message, Step, Telemetry
from broker.participant.node import Node
from broker.snapshot import Values, part, typed
from devices.gateway.bounded import bounded, bounded_energy
from devices.gateway.departures import Departures
from devices.gateway.gateway import Gateway
from devices.gateway.interval_energy import IntervalEnergy
from devices.gateway.plausibility import Check, Plausibility
from devices.gateway.reading import Reading
from devices.gateway.responses import Responses

_MOST_FLAGS = 5


class DeviceTelemetry:
    """Reads the devices of a gateway, judges what they say, and publishes it.

    Parameters
    ----------
    node
        Participant on the bus.
    gateway
        Way to the devices.
    plausibility
        Judge of the readings; without one all are believed whose numbers a message may hold.
    responses
        Times that set-points took until the meter showed them.

    Attributes
    ----------
    meter_kw
        Power at each prosumer's meter in the last ``measure`` [kW], + import.
    """

    def __init__(
        self, node: Node, gateway: Gateway, plausibility: Plausibility | None, responses: Responses
    ) -> None:
        self.meter_kw: dict[str, float | None] = {}
        self._node = node
        self._gateway = gateway
        self._plausibility = plausibility
        self._responses = responses
        self._checks: dict[str, tuple[Check, ...]] = {}
        self._beyond: dict[str, list[str]] = {}
        self._energy = IntervalEnergy()
        self._departures = Departures(gateway.real_consumers)
        self._lacking: dict[str, list[str]] = {}
        self._names = [prosumer.id for prosumer in gateway.prosumers]

    async def measure(self, step: Step) -> None:
        """Read all devices as the interval begins, and publish what they say."""

        def told(reading: Reading) -> Telemetry:
            self.meter_kw[reading.prosumer] = reading.p_kw
            self._energy.begin(reading, step.tick)
            self._lacking[reading.prosumer] = self._departures.take(reading)
            return self._telemetry(step, reading)

        await self._tell(step, told)
        for name in self._names:
            for line in self._lacking.pop(name, ()):
                self._node.flag(line)

    async def meter(self, step: Step) -> None:
        """Read the meters once the interval is over; publish what they say, with the interval's energy."""

        def told(reading: Reading) -> Telemetry:
            kwh, kvarh = self._energy.end(reading, step.tick)
            kvarh = self._reactive(reading.prosumer, kvarh)
            response_s = self._responses.take(reading.prosumer, is_read=reading.quality == "good")
            energy = {"response_s": response_s, "interval_kwh": kwh, "interval_kvarh": kvarh}
            return self._bounded_energy(self._telemetry(step, reading, energy), reading.prosumer)

        await self._tell(step, told, inverters=False)

    def snapshot(self) -> Values:
        """What the next readings are held against."""
        plausible = None if self._plausibility is None else self._plausibility.snapshot()
        return {"energy": self._energy.snapshot(), "plausible": plausible, "meter_kw": self.meter_kw}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self._energy.restore(part(values, "energy"))
        if self._plausibility is not None:
            self._plausibility.restore(part(values, "plausible"))
        self.meter_kw = typed(values, "meter_kw", dict[str, float | None])

    async def _tell(
        self, step: Step, told: Callable[[Reading], Telemetry], *, inverters: bool = True
    ) -> None:
        """Read, judge and publish; of very many, the first are on their way while others are still read."""
        publishing: list[asyncio.Task[None]] = []

        def take(readings: list[Reading]) -> None:
            outgoing = self._outgoing([told(self._judged(step, reading)) for reading in readings], readings)
            sending = self._node.publish_all(outgoing, among=len(self._names))
            publishing.append(asyncio.create_task(sending, name="telemetry"))

        try:
            await self._gateway.poll(inverters=inverters, take=take)
            await asyncio.gather(*publishing)
        finally:
            for task in publishing:
                task.cancel()
        self._flag()

    def _flag(self) -> None:
        """Flag what the last poll found, in the order of prosumers."""
        for line in self._gateway.overwritten:
            self._node.flag(line)
        problems = self._gateway.problems
        for problem in problems[:_MOST_FLAGS]:
            self._node.flag(problem)
        if len(problems) > _MOST_FLAGS:
            self._node.flag(f"{len(problems) - _MOST_FLAGS} more devices could not be read")
        for name in self._names:
            if failed := self._checks.get(name):
                beyond = f" ({', '.join(self._beyond[name])})" if name in self._beyond else ""
                self._node.flag(f"{name} is not plausible: {', '.join(failed)}{beyond}")

    def _judged(self, step: Step, reading: Reading) -> Reading:
        """A reading as it may be believed and published; what it failed is noted."""
        name = reading.prosumer
        self._checks.pop(name, None)
        self._beyond.pop(name, None)
        reading, beyond = bounded(reading, self._node.bounds)
        self._note_beyond(name, beyond)
        if self._plausibility is not None:
            judge = self._plausibility.measure if step.step == "measure" else self._plausibility.meter
            reading, failed = judge(reading, step.tick)
            self._checks[name] = (*self._checks.get(name, ()), *failed)
        return reading

    def _reactive(self, name: str, kvarh: float | None) -> float | None:
        """Reactive energy of an interval [kvarh], missing where the connection cannot have carried it."""
        if kvarh is None or self._plausibility is None or self._plausibility.carries(name, kvarh):
            return kvarh
        self._checks[name] = (*self._checks.get(name, ()), "reactive")
        self._beyond[name] = [f"{kvarh:g} kvarh"]
        return None

    def _bounded_energy(self, telemetry: Telemetry, name: str) -> Telemetry:
        """Telemetry without energy that two counters, each within bounds, cannot have counted."""
        telemetry, beyond = bounded_energy(telemetry, self._node.bounds)
        self._note_beyond(name, beyond)
        if not beyond:
            return telemetry
        return msgspec.structs.replace(telemetry, checks=list(self._checks[name]))

    def _note_beyond(self, name: str, beyond: list[str]) -> None:
        if beyond:
            self._beyond[name] = beyond
            self._checks[name] = ("range", *self._checks.get(name, ()))

    def _telemetry(
        self, step: Step, reading: Reading, energy: dict[str, float | None] | None = None
    ) -> Telemetry:
        return self._node.stamp(
            self._node.topics.telemetry(step.step, reading.prosumer),
            Telemetry,
            step.tick,
            phase=step.step,
            p_kw=reading.p_kw,
            q_kvar=reading.q_kvar,
            v_pu=reading.v_pu,
            import_kwh=reading.import_kwh,
            export_kwh=reading.export_kwh,
            quality=reading.quality,
            devices=list(reading.devices),
            read_at=reading.read_at,
            checks=[
                *(["incomplete"] if reading.is_incomplete else ()),
                *self._checks.get(reading.prosumer, ()),
            ],
            **(energy or {}),
        )

    def _outgoing(
        self, telemetry: Sequence[Telemetry], readings: Sequence[Reading]
    ) -> list[tuple[str, Message]]:
        topic = self._node.topics.telemetry
        return [
            (topic(message.phase, reading.prosumer), message)
            for message, reading in zip(telemetry, readings, strict=True)
        ]
