"""The clock: begins the steps of each interval, waits for those who must report, and paces the run.

Ticks are integers and steps are messages, so every service follows the same clock over the bus,
whatever process it lives in. Wall time appears only here, in the pacing and in the deadlines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from broker.messages import Availability, Done, Step, StepName
from broker.node import Node
from cosim.control.pacing import STEPS, Lag, PacingError, Schedule

# Who is said to be offline, and is not, says so itself within this time [s].
DOUBT_S = 0.5


class Clock:
    """Opens steps on the bus and waits at each for the services that must report.

    Parameters
    ----------
    node
        The clock's own participant on the bus.
    schedule
        What to run, and how fast.
    required
        Names of the services whose ``done`` ends each step.
    services
        Everyone who must be online before the first tick.
    on_interval
        Called with the tick when an interval is over.
    """

    def __init__(
        self,
        node: Node,
        schedule: Schedule,
        *,
        required: Mapping[StepName, Collection[str]],
        services: Collection[str],
        on_interval: Callable[[int], None],
    ) -> None:
        self.node = node
        self.schedule = schedule
        self.required = {step: frozenset(names) for step, names in required.items()}
        self.services = frozenset(services)
        self.on_interval = on_interval
        self.lag = Lag()
        self._online: set[str] = set()
        self._strangers: set[str] = set()
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self._reported: dict[tuple[int, StepName], set[str]] = {}
        self._present: tuple[int, StepName] | None = None
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        node.on(node.topics.availability("+"), self._note_availability)
        node.on(node.topics.done("+"), self._note_done)

    def stop(self) -> None:
        """End the run after the present interval; a paced wait is cut short."""
        self._stop.set()
        self._changed.set()

    async def run(self) -> None:
        """Run all intervals; raises ``PacingError`` when a service does not come online in time."""
        await self.node.open()
        pump = asyncio.create_task(self.node.pump(), name="clock pump")
        try:
            await self._assemble()
            started = time.time()
            tick = 0
            while tick < self.schedule.intervals and not self._stop.is_set():
                await self._interval(tick, started)
                tick += 1
            end = self._step("end", tick, time.time() + self.schedule.step_limit_s)
            for _ in range(2):  # Who missed steps before it believes it the second time.
                await self.node.publish_message(self.node.topics.step, end)
        finally:
            pump.cancel()
            for doubt in self._doubts.values():
                doubt.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _assemble(self) -> None:
        deadline = time.time() + self.schedule.step_limit_s
        is_complete = await self._until(
            lambda: bool(self._strangers) or self.services <= self._online, deadline
        )
        if self._strangers:
            raise PacingError(
                f"{', '.join(sorted(self._strangers))} built another scenario: "
                "start every process with the same file, options and version"
            )
        if not is_complete:
            absent = ", ".join(sorted(self.services - self._online))
            raise PacingError(
                f"no sign of {absent} on the bus after {self.schedule.step_limit_s:g} s: "
                "start it with the same run id"
            )

    async def _interval(self, tick: int, started: float) -> None:
        due = self.schedule.pacing.interval_end(started, tick, self.schedule.interval_s)
        if due is not None:
            self._note_lag(tick, time.time(), due)
        for step in STEPS:
            if step == "act" and due is not None:
                await self._sleep_until(due)
                if self._stop.is_set():
                    return
            deadline = self.schedule.pacing.deadline(step, due, time.time(), self.schedule.step_limit_s)
            self._present = (tick, step)
            await self._publish(step, tick, deadline)
            for name in sorted(await self._without_report(tick, step, deadline)):
                self.node.flag(f"{name} did not finish {step} of tick {tick} in time")
        await self.node.done("settle", tick)
        self._reported = {key: names for key, names in self._reported.items() if key[0] > tick}
        self.on_interval(tick)

    async def _without_report(self, tick: int, step: StepName, deadline: float) -> set[str]:
        """Wait for the reports of a step; names of those that gave none."""
        waiting = self.required.get(step, frozenset())
        await self._until(lambda: not self._awaited(tick, step, waiting), deadline)
        return set(waiting - self._reported.get((tick, step), set()))

    def _note_lag(self, tick: int, now: float, due: float) -> None:
        lag_s = self.lag.note(now, due, self.schedule.pacing.wall_s(self.schedule.interval_s))
        if lag_s is not None:
            self.node.flag(f"interval {tick} opened {lag_s:.1f} s late")

    def _awaited(self, tick: int, step: StepName, waiting: frozenset[str]) -> set[str]:
        """Services still online that have not reported; one that went offline is not waited for."""
        return set((waiting - self._reported.get((tick, step), set())) & self._online)

    def _step(self, step: StepName, tick: int, deadline: float) -> Step:
        return self.node.stamp(
            self.node.topics.step,
            Step,
            tick,
            step=step,
            opened=time.time(),
            deadline=deadline,
            interval_s=self.schedule.interval_s,
            lag_s=self.lag.now_s,
            pace=self.schedule.pacing.factor,
        )

    async def _publish(self, step: StepName, tick: int, deadline: float) -> None:
        await self.node.publish_message(self.node.topics.step, self._step(step, tick, deadline))

    async def _until(self, condition: Callable[[], bool], deadline: float) -> bool:
        while not condition():
            self._changed.clear()
            try:
                async with asyncio.timeout(max(0.0, deadline - time.time())):
                    await self._changed.wait()
            except TimeoutError:
                return condition()
        return True

    async def _sleep_until(self, due: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, due - time.time())):
                await self._stop.wait()
        except TimeoutError:
            return

    def _note_availability(self, message: Availability) -> None:
        name = message.sender
        if doubt := self._doubts.pop(name, None):
            doubt.cancel()
        if message.online and message.world == self.node.world:
            self._online.add(name)
            self._changed.set()
        else:
            loop = asyncio.get_running_loop()
            self._doubts[name] = loop.call_later(DOUBT_S, self._believe, name, message.online)

    def _believe(self, name: str, is_online: bool) -> None:
        """Take a service as gone, or as a part of another run; it has not contradicted."""
        del self._doubts[name]
        self._online.discard(name)
        if is_online:
            self._strangers.add(name)
        self._changed.set()

    def _note_done(self, message: Done) -> None:
        # What comes after its step, from a service that was too slow, changes nothing any more.
        expected = self.required.get(message.step, frozenset())
        if (message.tick, message.step) == self._present and message.sender in expected:
            self._reported.setdefault(self._present, set()).add(message.sender)
            self._changed.set()
