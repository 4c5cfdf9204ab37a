"""The gateway on the bus: publishes what meters and inverters say, and carries out set-points."""

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from functools import partial

from broker.collector import Collector
from broker.messages import Acknowledgement, Message, SetPoint, Step, Stop, Stopped, Telemetry
from broker.node import Node, serve
from devices.errors import NotRealTime
from devices.gateway.gateway import Gateway
from devices.gateway.plausibility import Check, Plausibility
from devices.gateway.reading import Reading, less
from devices.gateway.responses import Responses, expected_change_kw

_MOST_FLAGS = 5
_TEND_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class _Settled:
    """Net counters [kWh, kvarh] from which the energy of ``next_tick`` counts."""

    next_tick: int
    kwh: float | None
    kvarh: float | None


class GatewayService:
    """Service: publishes what meters and inverters say, and carries out set-points.

    Energy of an interval is the difference to the settlement reading before, so that the quantisation of the
    counters telescopes. Where that reading was not good, the interval is counted from its own first reading
    instead, so that energy which was settled by an estimate is not settled again.

    Parameters
    ----------
    node
        Participant on the bus.
    gateway
        Way to the devices.
    plausibility
        Judge of the readings; without one all are believed.
    """

    def __init__(self, node: Node, gateway: Gateway, plausibility: Plausibility | None = None) -> None:
        self.node = node
        self.gateway = gateway
        self._plausibility = plausibility
        self._checks: dict[str, tuple[Check, ...]] = {}
        self.responses = Responses()
        self._meter_kw: dict[str, float | None] = {}
        self._failing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._names = [prosumer.id for prosumer in gateway.prosumers]
        commanded = [name for name in self._names if gateway.commands(name)]
        self._commands: Collector[asyncio.Task[None]] = Collector(commanded)
        self._settled: dict[str, _Settled] = {}
        node.extra_traffic = self._traffic
        for name in commanded:
            take = partial(self._take_set_point, name)
            node.on(node.topics.set_point(name), take, through=node.topics.set_point("+"))
        node.on(node.topics.stop("+"), self._take_stop)

    async def run(self) -> None:
        """Serve until the clock ends the run, then hand hardware back to itself.

        In real time set-points are tended between the steps too: ramps go on, what would revert is renewed.
        """
        try:
            async with asyncio.TaskGroup() as self._group:
                self._start(self._keep_tending())
                try:
                    await serve(self.node, self.on_step)
                finally:
                    for task in self._tasks:
                        task.cancel()
        finally:
            await self.gateway.hand_back()

    async def on_step(self, step: Step) -> None:
        """Read in ``measure`` and ``meter``; see in ``dispatch`` that all set-points are carried out.

        Raises
        ------
        NotRealTime
            There is hardware, and simulated time does not pass as wall time does.
        """
        self._keep_time(step)
        if step.step == "measure":
            await self._measure(step)
        elif step.step == "dispatch":
            await self._dispatch(step)
        elif step.step == "meter":
            await self._meter(step)
        else:
            return
        await self.node.done(step.step, step.tick)

    async def _measure(self, step: Step) -> None:
        if self.gateway.simulated_s is not None:
            self._flag_new(await self.gateway.tend())
        readings = await self._poll(step)
        for reading in readings:
            self._meter_kw[reading.prosumer] = reading.p_kw
            settled = self._settled.get(reading.prosumer)
            if reading.quality == "good" and (settled is None or settled.next_tick != step.tick):
                self._settled[reading.prosumer] = _Settled(step.tick, reading.net_kwh, reading.net_kvarh)
        await self._publish([self._telemetry(step, reading) for reading in readings])

    async def _meter(self, step: Step) -> None:
        telemetry = []
        for reading in await self._poll(step, inverters=False):
            is_good = reading.quality == "good"
            energy: dict[str, float | None] = {
                "response_s": self.responses.take(reading.prosumer, is_read=is_good)
            }
            if is_good:
                before = self._settled.get(reading.prosumer)
                now = _Settled(step.tick + 1, reading.net_kwh, reading.net_kvarh)
                self._settled[reading.prosumer] = now
                if before is not None and before.next_tick == step.tick:
                    energy |= {
                        "interval_kwh": less(now.kwh, before.kwh),
                        "interval_kvarh": less(now.kvarh, before.kvarh),
                    }
            telemetry.append(self._telemetry(step, reading, energy))
        await self._publish(telemetry)

    async def _dispatch(self, step: Step) -> None:
        """Wait for the set-points and for the devices that they go to."""
        commands = await self._commands.wait(step.tick, step.deadline)
        if missing := self._commands.missing(commands):
            self.node.flag(f"{len(missing)} live prosumers got no set-point in tick {step.tick}")
        await asyncio.gather(*commands.values())

    def _take_set_point(self, name: str, set_point: SetPoint) -> None:
        task = asyncio.create_task(self._carry_out(name, set_point), name=f"set-point of {name}")
        try:
            self._commands.add(name, set_point.tick, task)
        except ValueError:
            task.cancel()
            raise

    async def _carry_out(self, name: str, set_point: SetPoint) -> None:
        asked = time.perf_counter()
        change_kw = expected_change_kw(set_point.devices, self.gateway.measured_kw(name))
        outcome = await self.gateway.command(name, set_point.devices, set_point.valid_s)
        seconds = time.perf_counter() - asked
        if outcome.ok and self._plausibility is not None:
            self._plausibility.told(name, self.gateway.in_force(name), set_point.tick)
        if outcome.ok and change_kw:
            self._time_response(name, asked, change_kw)
        if not outcome.ok and not outcome.barred:
            self.node.flag(f"set-point of {name} not carried out: {outcome.detail}")
        await self.node.publish(
            self.node.topics.acknowledgement(name),
            Acknowledgement,
            set_point.tick,
            ok=outcome.ok,
            detail=outcome.detail,
            seconds=seconds if outcome.ok else None,
        )

    def _time_response(self, name: str, asked: float, change_kw: float) -> None:
        """Wait for the meter to show a set-point: hardware by itself, others when the interval passes."""
        before_kw = self._meter_kw.get(name)
        if self.gateway.simulated_s is not None:
            self.responses.ask(name, asked)
        elif self.gateway.is_real(name) and before_kw is not None:
            self.responses.ask(name, asked)
            self._start(self.responses.watch(name, change_kw, before_kw, self.gateway.meter_kw))

    def _take_stop(self, stop: Stop) -> None:
        self._start(self._stop(stop))

    async def _stop(self, stop: Stop) -> None:
        failed = await self.gateway.stop(f"emergency stop by {stop.sender}: {stop.reason}")
        self._failing.update(failed)
        actuators = self.gateway.actuators
        observed = sum(not actuator.limits.armed for actuator in actuators)
        safe = sum(actuator.is_safe for actuator in actuators) - observed
        self.node.flag(
            f"{self.gateway.stopped}; {safe} of {len(actuators)} devices at their safe values"
            + (f", {observed} only observed" if observed else "")
        )
        for line in failed[:_MOST_FLAGS]:
            self.node.flag(f"not stopped yet: {line}")
        await self.node.publish(
            self.node.topics.stopped(self.node.name),
            Stopped,
            self.node.tick,
            by=stop.sender,
            reason=stop.reason,
            devices=len(actuators),
            safe=safe,
            observed=observed,
            failed=failed,
        )

    def _keep_time(self, step: Step) -> None:
        if step.pace == 1.0:
            self.gateway.simulated_s = None
            return
        if real := self.gateway.hardware:
            raise NotRealTime(
                f"hardware ({', '.join(real[:3])}) lives in real time: start the run with --pace real"
            )
        self.gateway.simulated_s = step.tick * step.interval_s

    async def _keep_tending(self) -> None:
        while True:
            await asyncio.sleep(_TEND_EVERY_S)
            if self.gateway.simulated_s is None:
                self._flag_new(await self.gateway.tend())

    def _flag_new(self, failed: Sequence[str]) -> None:
        """Flag what fails, but not again and again."""
        for line in failed:
            if line not in self._failing:
                self.node.flag(f"set-point not kept: {line}")
        self._failing = set(failed)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _poll(self, step: Step, *, inverters: bool = True) -> list[Reading]:
        readings = await self.gateway.poll(inverters=inverters)
        for line in self.gateway.overwritten:
            self.node.flag(line)
        problems = self.gateway.problems
        for problem in problems[:_MOST_FLAGS]:
            self.node.flag(problem)
        if len(problems) > _MOST_FLAGS:
            self.node.flag(f"{len(problems) - _MOST_FLAGS} more devices could not be read")
        return [self._judged(step, reading) for reading in readings]

    def _judged(self, step: Step, reading: Reading) -> Reading:
        """A reading as it may be believed; what it failed is flagged."""
        if self._plausibility is None:
            return reading
        judge = self._plausibility.measure if step.step == "measure" else self._plausibility.meter
        judged, failed = judge(reading, step.tick)
        self._checks[reading.prosumer] = failed
        if failed:
            self.node.flag(f"{reading.prosumer} is not plausible: {', '.join(failed)}")
        return judged

    def _telemetry(
        self, step: Step, reading: Reading, energy: dict[str, float | None] | None = None
    ) -> Telemetry:
        return self.node.stamp(
            self.node.topics.telemetry(step.step, reading.prosumer),
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
            checks=list(self._checks.get(reading.prosumer, ())),
            **(energy or {}),
        )

    async def _publish(self, telemetry: Sequence[Telemetry]) -> None:
        outgoing: list[tuple[str, Message]] = [
            (self.node.topics.telemetry(message.phase, name), message)
            for name, message in zip(self._names, telemetry, strict=True)
        ]
        # A measurement that is lost shows as a gap; it is not worth a receipt.
        await self.node.publish_all(outgoing, qos=0)

    def _traffic(self) -> dict[str, int]:
        counts = self.gateway.counts
        return {
            "modbus_reads": counts.reads,
            "modbus_writes": counts.writes,
            "modbus_errors": sum(counts.errors.values()),
            "set_points_limited": sum(actuator.limited for actuator in self.gateway.actuators),
            "set_points_renewed": sum(actuator.renewals for actuator in self.gateway.actuators),
        }
