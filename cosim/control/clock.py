"""The clock: begins the steps of each interval, waits for those who must report, and paces the run.

Ticks are integers and steps are messages, so every service follows the same clock over the bus,
whatever process it lives in. Wall time appears only here, in the pacing and in the deadlines.

An interval that lost a service begins again from the end of the last settled one, in a new epoch, once the
service is back: so it has the outcome that it would have had anyway. Where time is real, or the run is to go
on without, the others stand in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from broker.door.step_proofs import StepProofs
from broker.messages import FeederEvent, Step, StepAhead, StepName
from broker.participant.node import Node
from cosim.control.assembly import Assembly
from cosim.control.coupling import Coupled, Coupling
from cosim.control.leading import Leading
from cosim.control.losses import GoBack, Losses, ServiceLost
from cosim.control.pacing import STEPS, Lag, Schedule, steps_ahead
from cosim.control.presence import SILENT_S, Presence
from cosim.control.recovery import Recovery, StepTimes
from cosim.control.step_reports import StepReports
from cosim.control.waiting import on_the_wall, sleep_until

BROKER_AWAY = "the broker was away"
_SILENT_RESTORES, _MOST_RESTORES = 3, 20


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
    recovery
        What to do where a service is lost; without it the others stand in.
    elsewhere
        Services of other processes, by their role.
    say
        Tells the user something.
    refusal
        Why no operator may pause the run or change its pace; empty where one may.
    coupling
        Others whose time the run keeps step with.
    """

    def __init__(
        self,
        node: Node,
        schedule: Schedule,
        *,
        required: Mapping[StepName, Collection[str]],
        services: Collection[str],
        on_interval: Callable[[int], None],
        recovery: Recovery | None = None,
        elsewhere: Mapping[str, Collection[str]] | None = None,
        say: Callable[[str], None] = lambda _: None,
        refusal: str = "",
        coupling: Coupling | None = None,
    ) -> None:
        self.node = node
        self.schedule = schedule
        self.required = {step: frozenset(names) for step, names in required.items()}
        self.services = frozenset(services)
        self.on_interval = on_interval
        self.recovery = recovery
        self.lag = Lag()
        self._say = say
        self._times = StepTimes()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._events: dict[int, list[FeederEvent]] = {}
        self._coupled = Coupled(coupling, node.flag)
        self._leading = Leading(node, schedule.pacing, refusal, self._changed)
        roles = elsewhere or {}
        self._presence = Presence(
            node,
            [name for names in roles.values() for name in names],
            on_change=self._changed.set,
            on_quiet=self._note_quiet,
            on_lost=lambda: self._losses.gather(),
        )
        self._losses = Losses(
            self._presence,
            recovery,
            is_paced=schedule.pacing.factor is not None,
            tell=self._tell,
            roles=roles,
            on_ripe=self._changed.set,
        )
        self._reports = StepReports(
            node, self._presence, self._changed, ends_step=lambda: self._losses.ends_step
        )
        self._proofs = StepProofs(schedule.intervals)
        self._here = self.services.difference(*roles.values())
        self._assembly = Assembly(self._presence, self._needed, self._changed, self._stop, say=say)
        node.on_back.append(self._note_back)

    @property
    def begins_again(self) -> bool:
        """Whether an interval that lost a service begins again."""
        return self._losses.can_go_back

    def stop(self) -> None:
        """End the run after the present interval; a paced wait is cut short.

        Where the broker is away, no interval ends: then the run ends within it.
        """
        self._stop.set()
        self._changed.set()

    async def run(self) -> None:
        """Run all intervals.

        Raises
        ------
        PacingError
            A service does not come online in time.
        ServiceLost
            One that was lost does not come back, or the run is to end where one is; or it is to end, and the
            broker is away.
        """
        await self.node.open()
        beside = [
            asyncio.create_task(self.node.pump(), name="clock pump"),
            asyncio.create_task(self._presence.watch(), name="clock watch"),
        ]
        try:
            patience_s = 0.0 if self.recovery is None else self.recovery.patience_s
            await self._assembly.at_start(max(self.schedule.step_limit_s, patience_s))
            self._losses.forgive()
            await self._leading.announce()
            work = [
                asyncio.create_task(self._run_intervals(), name="clock intervals"),
                asyncio.create_task(self._end_without_broker(), name="clock end"),
            ]
            beside += work
            done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            await self._leading.retract()
        finally:
            self._presence.close()
            self._losses.close()
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _end_without_broker(self) -> None:
        """End a run that is to end after an interval that cannot be over; raises `ServiceLost`."""
        await self._stop.wait()
        while True:
            left_s = SILENT_S - self._presence.silence_s
            if left_s <= 0.0:
                break
            await asyncio.sleep(left_s)
        raise ServiceLost(
            f"{BROKER_AWAY} within interval {self.node.tick}, in which the run was to end: "
            "`run --resume` goes on with this run"
        )

    async def _run_intervals(self) -> None:
        recovery, tick = self.recovery, 0
        if recovery is not None and recovery.is_resumed:
            tick = await self._begin_anew("the run was interrupted")
        wall_s = self._leading.pacing.wall_s(self.schedule.interval_s)
        # Not by the wall clock, which may be set: an interval at hardware keeps its length.
        now_s = asyncio.get_running_loop().time
        started = now_s() - tick * wall_s
        while tick < self.schedule.intervals and not self._stop.is_set():
            if await self._leading.before_interval(self._stop):
                started = now_s() - tick * self._leading.pacing.wall_s(self.schedule.interval_s)
            if self._stop.is_set():
                break
            # An interval that begins again has what it had.
            self._events.setdefault(tick, []).extend(self._leading.take_events())
            if not await self._coupled.may_begin(tick, self._stop):
                break
            try:
                await self._interval(tick, started)
            except GoBack as why:
                tick = await self._begin_anew(str(why))
                continue
            await self._coupled.ended(tick)
            tick += 1
            if not self._losses.can_go_back and (back := self._presence.came_back()):
                # They do not know what they missed; at the end of an interval all others stand there, too.
                tick = await self._begin_anew(f"{', '.join(back)} came back")
        end = self._step("end", tick, time.time() + self.schedule.step_limit_s)
        await self._reports.end(end, self.services)

    async def _interval(self, tick: int, started: float) -> None:
        due = self._leading.pacing.interval_end(started, tick, self.schedule.interval_s)
        if due is not None:
            self._note_lag(tick, asyncio.get_running_loop().time(), due)
        for step in STEPS:
            if step == "act" and due is not None:
                await sleep_until(due, self._stop)
                if self._stop.is_set():
                    return
            if step == "settle" and self.node.has_flags:
                # What is told before the interval is booked is kept with its booking.
                await self.node.done("meter", tick)
            await self._take_step(tick, step, None if due is None else on_the_wall(due))
        await self.node.done("settle", tick)
        self.on_interval(tick)

    async def _take_step(self, tick: int, step: StepName, due: float | None) -> None:
        """Open a step and wait until all have reported; a service that is lost is the recovery's business."""
        waiting = self.required.get(step, frozenset())
        self._losses.look(tick)
        missing = self.services - self._presence.online
        opened = time.time()
        deadline = self._deadline(step, due, opened, is_whole=not missing)
        ahead: list[StepAhead] = []
        for each in () if missing else steps_ahead(step, is_paced=due is not None):
            begins = ahead[-1].deadline if ahead else deadline
            ends = self._deadline(each, due, begins, is_whole=True)
            ahead.append(StepAhead(step=each, opened=begins, deadline=ends))
        laggards = await self._reports.ask(self._step(step, tick, deadline, ahead), waiting)
        self._losses.look(tick)
        if not laggards and not missing:
            self._times.note(step, time.time() - opened)
        for name in sorted(laggards):
            state = "" if name in self._presence.online else ", it is offline"
            self.node.flag(f"{name} did not finish {step} of tick {tick} in time{state}")

    def _deadline(self, step: StepName, due: float | None, opened: float, *, is_whole: bool) -> float:
        """Wall time by which a step must be over that opens at another, where all are there or not."""
        limit_s, pacing = self.schedule.step_limit_s, self._leading.pacing
        if not is_whole or (pacing.factor is None and self._losses.stands_in):
            # Who waits for a service that is lost within the step does not know of it.
            limit_s = self._times.limit_s(step, limit_s)
        return pacing.deadline(step, due, opened, limit_s)

    async def _begin_anew(self, why: str) -> int:
        """Let everybody go on from the end of the last settled interval; the tick that begins then.

        Raises
        ------
        ServiceLost
            Somebody does not come back.
        """
        recovery, presence = self.recovery, self._presence
        if recovery is None:
            return self.node.tick + 1
        is_at_end = not self._losses.can_go_back and not recovery.is_resumed
        present = self._reports.present[0] if self._reports.present is not None else recovery.next_tick()
        self._say(f"{why} at tick {present}")
        silent = 0
        for _ in range(_MOST_RESTORES):
            if not is_at_end:
                await self._assembly.again(recovery.patience_s, present)
            if self._stop.is_set():
                return recovery.next_tick()
            self._losses.forgive()
            tick = recovery.next_tick()
            self.node.epoch = recovery.begin_epoch()
            # Of the places that come again the proofs are known to everybody.
            self._proofs = StepProofs(self.schedule.intervals)
            self.node.tick = tick
            step = self._step("restore", tick, time.time() + self.schedule.step_limit_s)
            laggards = await self._reports.ask(step, self.services & presence.online)
            # Where the others stand in, some may be away for longer.
            if not laggards & presence.online and (is_at_end or not (laggards or self._losses)):
                what = "the run goes on from" if is_at_end or recovery.is_resumed else "begun again:"
                self._tell(f"{what} interval {tick}, after {why}")
                return tick
            # Who is lost meanwhile is waited for once more; who is there and silent will stay so.
            silent += not self._losses
            if silent == _SILENT_RESTORES:
                break
        raise ServiceLost(
            f"{', '.join(sorted(laggards)) or why}: cannot go on; see the output of that process"
        )

    def _needed(self) -> frozenset[str]:
        """Services that must be there: all, or none elsewhere once every interval is settled."""
        recovery = self.recovery
        is_over = recovery is not None and recovery.next_tick() >= self.schedule.intervals
        return self._here if is_over else self.services

    def _tell(self, text: str) -> None:
        """Say something to the user, and flag it."""
        self._say(text)
        self.node.flag(text, is_said=True)

    def _note_quiet(self, name: str, seconds: float) -> None:
        tick = self.node.tick if self._reports.present is None else self._reports.present[0]
        self._tell(f"no sign of {name} for {seconds:.1f} s at tick {tick}")

    def _note_back(self) -> None:
        """The clock itself lost the broker, and with it maybe every word of the others."""
        self._losses.note(BROKER_AWAY)
        self._presence.begin_anew()
        self._changed.set()

    def _note_lag(self, tick: int, now: float, due: float) -> None:
        lag_s = self.lag.note(now, due, self._leading.pacing.wall_s(self.schedule.interval_s))
        if lag_s is not None:
            self.node.flag(f"interval {tick} opened {lag_s:.1f} s late")

    def _step(self, step: StepName, tick: int, deadline: float, ahead: Sequence[StepAhead] = ()) -> Step:
        return self.node.stamp(
            self.node.topics.step,
            Step,
            tick,
            step=step,
            opened=time.time(),
            deadline=deadline,
            interval_s=self.schedule.interval_s,
            lag_s=self.lag.now_s,
            pace=self._leading.pacing.factor,
            events=self._events.get(tick, []),
            boundary=self._coupled.boundaries.get(tick),
            ahead=[*ahead],
            proof=self._proofs.of(tick, step),
        )
