"""The gateway on the bus: publishes what meters and inverters say, and carries out set-points."""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from broker.collector import Collector
from broker.errors import BusClosed
from broker.messages import Acknowledgement, Message, SetPoint, Step, Stop
from broker.participant.node import Node
from broker.participant.others import reports
from broker.participant.serving import serve
from broker.patience import LEAST_LOOK_S
from broker.signing import CommandKey
from broker.snapshot import Values, part
from devices.errors import NotRealTime
from devices.gateway.gateway import Gateway
from devices.gateway.plausibility import Plausibility
from devices.gateway.power_watch import EVERY_S
from devices.gateway.reading import Outcome
from devices.gateway.responses import Responses, expected_change_kw
from devices.gateway.stop_answers import StopAnswers
from devices.gateway.stopping import arming, call_in, hand_back, secure, to_its_end
from devices.gateway.telemetry import DeviceTelemetry
from devices.gateway.tending import Tending

_SECURE_WITHIN_S = 2.5


class GatewayService:
    """Service: publishes what meters and inverters say, and carries out set-points.

    Parameters
    ----------
    node
        Participant on the bus.
    gateway
        Way to the devices.
    plausibility
        Judge of the readings; without one all are believed.
    record
        File in which an emergency stop is written down, and looked for at the start.
    commands
        Key of the run's commands; where there is one, no device obeys a command without its signature.
    device_hosts
        Services that let emulated devices act: meters are read for the interval once they have.
    watch_every_s
        Time from one look at armed hardware to the next [s].

    Attributes
    ----------
    left
        Hardware that could not be handed back at the end of the run, one line each.
    """

    def __init__(
        self,
        node: Node,
        gateway: Gateway,
        plausibility: Plausibility | None = None,
        record: Path | None = None,
        commands: CommandKey | None = None,
        device_hosts: Sequence[str] = (),
        watch_every_s: float = EVERY_S,
    ) -> None:
        self.node = node
        self.gateway = gateway
        self._plausibility = plausibility
        self._commanded_by = commands
        self.responses = Responses()
        self._telemetry = DeviceTelemetry(node, gateway, plausibility, self.responses)
        self._acted = reports(node, device_hosts, "act")
        self._tending = Tending(node, gateway, watch_every_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._carrying_out: set[asyncio.Task[None]] = set()
        commanded = [prosumer.id for prosumer in gateway.prosumers if gateway.commands(prosumer.id)]
        self._commands: Collector[asyncio.Task[None]] = node.collector(
            {name: node.topics.set_point(name) for name in commanded}
        )
        # Of very many devices, what they took is told together.
        self._acks: list[tuple[str, Message]] | None = [] if 0 < node.bundle_from <= len(commanded) else None
        self.left: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._running: asyncio.Task[Any] | None = None
        self._went_back = False
        self._stops = StopAnswers(node, gateway, record)
        node.extra_traffic = self._traffic
        for name in commanded:
            take = partial(self._take_set_point, name)
            node.on(node.topics.set_point(name), take, through=node.topics.set_point("+"))
        node.on(node.topics.stop("+"), self._take_stop)

    async def run(self) -> None:
        """Serve until the clock ends the run, then hand hardware back to itself.

        In real time set-points are tended between the steps too: ramps go on, what would revert is renewed.
        """
        self._running = asyncio.current_task()
        try:
            async with asyncio.TaskGroup() as self._group:
                self._start(self._tending.run(self._start))
                self._start(self._tending.watch.run())
                self._start(self._stops.run(self._start))
                try:
                    await serve(self.node, self.on_step, self)
                finally:
                    for task in self._tasks:
                        task.cancel()
        except BaseException as error:
            reason = f"the gateway ended early: {error or type(error).__name__}"
            await to_its_end(secure(self.gateway.actuators, reason, _SECURE_WITHIN_S))
            raise
        finally:
            self._stops.cancel()
        if stopped := [actuator for actuator in self.gateway.actuators if actuator.stopped]:
            # The run may end before a stop that came with its end has reached the devices.
            await to_its_end(secure(stopped, self.gateway.stopped, _SECURE_WITHIN_S))
        await to_its_end(hand_back(self.gateway.hand_back, self.left))

    async def leave(self) -> None:
        """Bring hardware to its safe value where the process ends before the service came to run."""
        if self._running is None:
            reason = "the gateway ended before the run began"
            await to_its_end(secure(self.gateway.actuators, reason, _SECURE_WITHIN_S))

    @property
    def armed(self) -> int:
        """Number of pieces of hardware that it may command."""
        return sum(actuator.limits.real and actuator.limits.armed for actuator in self.gateway.actuators)

    async def arming(self) -> list[str]:
        """What a person at the hardware has to know of each device, one line each."""
        return await arming(self.gateway.actuators)

    def stop_now(self, by: str, reason: str) -> None:
        """Begin an emergency stop, from any thread, without waiting; the answer follows on the bus."""
        call_in(self._loop, self._stops.ask, by, reason)

    def end_now(self) -> None:
        """End as a signal does, from any thread, without waiting: hardware goes to its safe value."""
        if self._running is not None:
            call_in(self._loop, self._running.cancel)

    async def on_step(self, step: Step) -> None:
        """Read in ``measure`` and ``meter``; see in ``dispatch`` that all set-points are carried out.

        Raises
        ------
        NotRealTime
            There is hardware, and simulated time does not pass as wall time does.
        """
        self._keep_time(step)
        if step.step == "measure":
            self._tending.flag_what_lasts()
            await self._measure(step)
        elif step.step == "dispatch":
            await self._dispatch(step)
        elif step.step == "meter":
            await self._acted.wait(step)
            await self._telemetry.meter(step)
        else:
            return
        await self.node.done(step.step, step.tick)

    async def snapshot(self) -> Values:
        """Counters, readings, and what is known of the devices."""
        return {"gateway": self.gateway.snapshot(), **self._telemetry.snapshot()}

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`; an emergency stop stays in force, and is carried out again."""
        for command in self._carrying_out:
            command.cancel()
        await asyncio.gather(*self._carrying_out, return_exceptions=True)
        if self._acks:
            self._acks = []
        self.gateway.restore(part(values, "gateway"))
        self._telemetry.restore(values)
        self._stops.renew()
        self._went_back = True

    async def _measure(self, step: Step) -> None:
        if self._went_back:
            # Emulated devices may have gone back to before a stop later than this gateway did.
            self._went_back = False
            await self._stops.enforce()
        if self.gateway.simulated_s is not None:
            await self._tending.once()
        await self._telemetry.measure(step)

    async def _dispatch(self, step: Step) -> None:
        """Wait for the set-points and for the devices that they go to."""
        commands = await self._commands.wait(step.tick, step.deadline)
        if missing := self._commands.missing(commands):
            self.node.flag(f"{len(missing)} live prosumers got no set-point in tick {step.tick}")
        await asyncio.gather(*commands.values())
        if self._acks:
            acks, self._acks = self._acks, []
            await self.node.publish_all(acks)

    def _take_stop(self, stop: Stop) -> None:
        self._check_signature(self.node.topics.stop(stop.sender), stop)
        self._stops.take(stop)

    def _check_signature(self, topic: str, command: Message) -> None:
        """Hold a command's signature against the run's key once more, right before hardware."""
        if self._commanded_by is not None:
            self._commanded_by.check(topic, command)

    def _take_set_point(self, name: str, set_point: SetPoint) -> None:
        self._check_signature(self.node.topics.set_point(name), set_point)
        if self._commanded_by is not None and self.node.tick < 0:
            # An old one, signed and sent again, could not be told from one of this interval.
            raise ValueError("the clock has not been heard yet")
        waited_s = self._tending.waited_s()
        task = asyncio.create_task(self._carry_out(name, set_point, waited_s), name=f"set-point of {name}")
        self._carrying_out.add(task)
        task.add_done_callback(self._carrying_out.discard)
        try:
            self._commands.add(name, set_point.tick, task)
        except ValueError:
            task.cancel()
            raise

    async def _carry_out(self, name: str, set_point: SetPoint, waited_s: float) -> None:
        if waited_s:
            # The clock's next word may have come in meanwhile, too.
            await asyncio.sleep(LEAST_LOOK_S)
        asked = time.perf_counter()
        change_kw = expected_change_kw(set_point.devices, self.gateway.measured_kw(name))
        valid_s = set_point.valid_s
        if self.node.tick > set_point.tick or 0.0 < valid_s <= waited_s:
            outcome = Outcome(False, (past := "it comes after its interval"), past)
        else:
            outcome = await self.gateway.command(
                name, set_point.devices, valid_s - waited_s if valid_s else 0.0
            )
        seconds = time.perf_counter() - asked
        # What may be commanded is judged although something beside it may not.
        if not outcome.failed and self._plausibility is not None:
            self._plausibility.note_set_points(name, self.gateway.in_force(name), set_point.tick)
        if outcome.ok and change_kw:
            self._time_response(name, asked, change_kw)
        if outcome.failed:
            self.node.flag(f"set-point of {name} not carried out: {outcome.failed}")
        topic = self.node.topics.acknowledgement(name)
        ack = self.node.stamp(
            topic,
            Acknowledgement,
            set_point.tick,
            ok=outcome.ok,
            detail=outcome.detail,
            seconds=seconds if outcome.ok else None,
        )
        if self._acks is None:
            with contextlib.suppress(BusClosed):  # A run that has ended hears no answer any more.
                await self.node.publish_message(topic, ack)
        else:
            self._acks.append((topic, ack))

    def _time_response(self, name: str, asked: float, change_kw: float) -> None:
        """Wait for the meter to show a set-point: hardware by itself, others when the interval passes."""
        before_kw = self._telemetry.meter_kw.get(name)
        if self.gateway.simulated_s is not None:
            self.responses.ask(name, asked)
        elif self.gateway.is_real(name) and before_kw is not None:
            self.responses.ask(name, asked)
            self._start(self.responses.watch(name, change_kw, before_kw, self.gateway.meter_kw))

    def _keep_time(self, step: Step) -> None:
        if step.pace == 1.0:
            self.gateway.simulated_s = None
            return
        if real := self.gateway.hardware:
            raise NotRealTime(
                f"hardware ({', '.join(real[:3])}) lives in real time: start the run with --pace real"
            )
        self.gateway.simulated_s = step.tick * step.interval_s

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _traffic(self) -> dict[str, int]:
        counts = self.gateway.counts
        return {
            "modbus_reads": counts.reads,
            "modbus_writes": counts.writes,
            "modbus_errors": sum(counts.errors.values()),
            "set_points_limited": sum(actuator.limited for actuator in self.gateway.actuators),
            "set_points_renewed": sum(actuator.renewals for actuator in self.gateway.actuators),
            "devices_tripped": sum(bool(actuator.tripped) for actuator in self.gateway.actuators),
            "devices_lost": self._tending.losses,
            "budgets_spent": sum(actuator.delivery.budget.is_spent for actuator in self.gateway.actuators),
        }
