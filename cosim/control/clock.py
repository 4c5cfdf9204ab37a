"""The clock: opens the steps of each interval, waits for those who must report, and paces the run.

Ticks are integers and steps are messages, so every service follows the same clock over the bus,
whatever process it lives in. Wall time appears only here, in the pacing and in the deadlines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from broker.messages import Availability, Done, Step, StepName
from broker.node import Node
from sharegrid.errors import SharegridError

STEPS: tuple[StepName, ...] = ("measure", "bid", "clear", "dispatch", "act", "meter", "settle")


# A gate that closed on services which are only slow would cost far more than falling further behind [s].
LEAST_STEP_S = 5.0

# Who is said to be offline, and is not, says so itself within this time [s].
DOUBT_S = 0.5


class PacingError(SharegridError):
    """A pacing that is neither ``fast``, ``real`` nor a positive factor, or services that never came."""


@dataclass(frozen=True)
class Pacing:
    """How simulated time follows wall time.

    Attributes
    ----------
    factor
        Simulated seconds per wall second; ``None`` runs as fast as the services report.
    """

    factor: float | None = None

    @classmethod
    def parse(cls, text: str) -> Pacing:
        """``fast``, ``real`` or a factor such as ``60``; raises ``PacingError``."""
        if text in ("fast", "real"):
            return cls(None if text == "fast" else 1.0)
        try:
            factor = float(text)
        except ValueError:
            factor = 0.0
        if not 0.0 < factor < float("inf"):
            raise PacingError(f"--pace {text}: say fast, real, or a factor above 0 such as 60")
        return cls(factor)


@dataclass
class Lag:
    """How far a paced run fell behind its absolute deadlines."""

    now_s: float = 0.0
    worst_s: float = 0.0
    overruns: int = 0


class Clock:
    """Opens steps on the bus and waits at each for the services that must report.

    Parameters
    ----------
    node
        The clock's own participant on the bus.
    intervals
        How many ticks to run, from tick 0.
    interval_s
        Length of one interval in simulated seconds.
    required
        Names of the services whose ``done`` ends each step.
    services
        Everyone who must be online before the first tick.
    guard_s
        Longest wait for one step in wall seconds when the run is not paced.
    on_interval
        Called with the tick when an interval is over.
    """

    def __init__(
        self,
        node: Node,
        *,
        intervals: int,
        interval_s: float,
        required: Mapping[StepName, Collection[str]],
        services: Collection[str],
        pacing: Pacing,
        guard_s: float,
        on_interval: Callable[[int], None],
    ) -> None:
        self.node = node
        self.intervals = intervals
        self.interval_s = interval_s
        self.required = {step: frozenset(names) for step, names in required.items()}
        self.services = frozenset(services)
        self.pacing = pacing
        self.guard_s = guard_s
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
            while tick < self.intervals and not self._stop.is_set():
                await self._interval(tick, started)
                tick += 1
            end = self._step("end", tick, time.time() + self.guard_s)
            for _ in range(2):  # Who missed steps before it believes it the second time.
                await self.node.publish_message(self.node.topics.step, end)
        finally:
            pump.cancel()
            for doubt in self._doubts.values():
                doubt.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def _assemble(self) -> None:
        deadline = time.time() + self.guard_s
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
                f"no sign of {absent} on the bus after {self.guard_s:g} s: start it with the same run id"
            )

    async def _interval(self, tick: int, started: float) -> None:
        if self.pacing.factor is None:
            due = None
        else:
            length = self.interval_s / self.pacing.factor
            due = started + (tick + 1) * length
            self._note_lag(tick, time.time() - (due - length))
        for step in STEPS:
            if step == "act" and due is not None:
                await self._sleep_until(due)
                if self._stop.is_set():
                    return
            deadline = self._deadline(step, due)
            self._present = (tick, step)
            await self._publish(step, tick, deadline)
            for name in sorted(await self._laggards(tick, step, deadline)):
                self.node.flag(f"{name} did not finish {step} of tick {tick} in time")
        await self.node.done("settle", tick)
        self._reported = {key: names for key, names in self._reported.items() if key[0] > tick}
        self.on_interval(tick)

    async def _laggards(self, tick: int, step: StepName, deadline: float) -> set[str]:
        """Wait for the reports of a step; names of those that gave none."""
        waiting = self.required.get(step, frozenset())
        await self._until(lambda: not self._open(tick, step, waiting), deadline)
        return set(waiting - self._reported.get((tick, step), set()))

    def _deadline(self, step: StepName, due: float | None) -> float:
        """Wall time by which a step must be over.

        A paced interval gives its market steps what is left before its end in even shares, so that
        the gate closes in time even when one service is silent; but never less than ``LEAST_STEP_S``.
        """
        now = time.time()
        if due is None or step in ("act", "meter", "settle"):
            return now + self.guard_s
        remaining = STEPS.index("act") - STEPS.index(step)
        share = max(LEAST_STEP_S, (due - now) / (remaining + 1))
        return now + min(self.guard_s, share)

    def _note_lag(self, tick: int, lag_s: float) -> None:
        self.lag.now_s = lag_s = max(0.0, lag_s)
        self.lag.worst_s = max(self.lag.worst_s, lag_s)
        if lag_s > self.interval_s / (self.pacing.factor or 1.0):
            self.lag.overruns += 1
            self.node.flag(f"interval {tick} opened {lag_s:.1f} s late")

    def _open(self, tick: int, step: StepName, waiting: frozenset[str]) -> set[str]:
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
            interval_s=self.interval_s,
            lag_s=self.lag.now_s,
            pace=self.pacing.factor,
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
