"""The emergency stop of a gateway's devices as it is carried out, written down and answered on the bus."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path

from broker.errors import BrokerError
from broker.messages import DeviceStop, Stop, Stopped
from broker.participant.node import Node
from devices.gateway.actuator import Actuator
from devices.gateway.gateway import Gateway
from devices.gateway.stop_record import StopRecord, read_stop, write_stop
from devices.gateway.stopping import keep_stopping

_MOST_FLAGS = 5
_ANSWER_AFTER_S = 1.0
_ENFORCE_WITHIN_S = 2.0


class StopAnswers:
    """Stops all devices of a gateway and says what becomes of each, until all are safe.

    Parameters
    ----------
    node
        Participant on the bus.
    gateway
        Way to the devices.
    record
        File in which a stop is written down, and looked for at the start; ``None`` for none.
    """

    def __init__(self, node: Node, gateway: Gateway, record: Path | None = None) -> None:
        self._node = node
        self._gateway = gateway
        self._record = record
        self._failures: dict[Actuator, str] = {}
        self._is_answered = False
        self._changed = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None
        self._asked: asyncio.Queue[StopRecord] = asyncio.Queue()
        self._last: StopRecord | None = None
        if record is not None and (before := read_stop(record)):
            self.ask(before.by, before.reason)

    def ask(self, by: str, reason: str) -> None:
        """Begin an emergency stop, without waiting for anything; the answer follows on the bus."""
        stop = StopRecord(by, reason)
        self._last = stop
        self._gateway.bar(str(stop))
        self._asked.put_nowait(stop)

    def renew(self) -> None:
        """Carry a stop out again where one is in force: the devices may have gone back to before it."""
        if self._gateway.stopped:
            self._gateway.bar(self._gateway.stopped)
            if self._last is not None:
                self._asked.put_nowait(self._last)

    async def enforce(self) -> None:
        """Bring all devices to their safe values once more where a stop is in force; tried for a while."""
        if self._gateway.stopped:
            self._gateway.bar(self._gateway.stopped)
            with suppress(TimeoutError):
                async with asyncio.timeout(_ENFORCE_WITHIN_S):
                    await keep_stopping(self._gateway.actuators, self._note)

    def take(self, stop: Stop) -> None:
        """Obey a stop on the bus."""
        # What this gateway has kept for itself comes back to it; it means something after a restart alone.
        if stop.sender != self._node.name or not self._gateway.stopped:
            self.ask(stop.sender, stop.reason)

    async def run(self, start: Callable[[Coroutine[None, None, None]], None]) -> None:
        """Carry out stops as they are asked for; ``start`` runs work beside this."""
        while True:
            await self._stop(await self._asked.get(), start)

    def cancel(self) -> None:
        """Try no more to stop what is not safe yet."""
        if self._stopping is not None:
            self._stopping.cancel()

    async def _stop(self, stop: StopRecord, start: Callable[[Coroutine[None, None, None]], None]) -> None:
        """Make all devices safe, write the stop down, then say what became of it."""
        if self._stopping is None or self._stopping.done():
            self._changed.clear()
            self._stopping = asyncio.create_task(keep_stopping(self._gateway.actuators, self._note))
        if self._record is not None:
            try:
                await asyncio.to_thread(write_stop, self._record, stop)
            except OSError as error:
                # The broker keeps it too; devices and answer must not wait for a disk.
                self._node.flag(f"the emergency stop goes on, but is not written down: {error}")
        topic = self._node.topics.stop(self._node.name)
        try:
            await self._node.publish(topic, Stop, self._node.tick, reason=stop.reason)
            await asyncio.wait({self._stopping}, timeout=_ANSWER_AFTER_S)
            await self._answer(stop, is_update=self._is_answered)
            self._is_answered = True
            if not self._stopping.done():
                start(self._answer_until_safe(stop, self._stopping))
        except BrokerError as error:
            self._node.flag(f"the emergency stop goes on, but its answer was not published: {error}")
        safe, observed = self._count_safe()
        self._node.flag(
            f"{stop}; {safe} of {len(self._gateway.actuators)} devices at their safe values"
            + (f", {observed} only observed" if observed else "")
        )
        for line in self._failed()[:_MOST_FLAGS]:
            self._node.flag(f"not stopped yet: {line}")

    async def _answer_until_safe(self, stop: StopRecord, stopping: asyncio.Task[None]) -> None:
        """Answer again whenever a device becomes safe, or fails in another way."""
        while not stopping.done():
            self._changed.clear()
            changed = asyncio.create_task(self._changed.wait())
            await asyncio.wait({changed, stopping}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            await self._answer(stop, is_update=True)

    def _note(self, actuator: Actuator, failure: str) -> None:
        if self._failures.get(actuator, "") != failure:
            self._changed.set()
        self._failures[actuator] = failure

    def _failed(self) -> list[str]:
        return [
            f"{a}: {self._failures.get(a) or 'no answer yet'}"
            for a in self._gateway.actuators
            if not a.is_safe
        ]

    def _count_safe(self) -> tuple[int, int]:
        """Devices at their safe values, and those that are only observed."""
        actuators = self._gateway.actuators
        observed = sum(not actuator.limits.armed for actuator in actuators)
        return sum(actuator.is_safe for actuator in actuators) - observed, observed

    async def _answer(self, stop: StopRecord, *, is_update: bool) -> None:
        safe, observed = self._count_safe()
        failed = self._failed()
        states = [
            f"{a}: {'safe' if a.limits.armed else 'only observed'}"
            for a in self._gateway.actuators
            if a.is_safe and a.limits.real
        ]
        await self._node.publish(
            self._node.topics.stopped(self._node.name),
            Stopped,
            self._node.tick,
            by=stop.by,
            reason=stop.reason,
            devices=len(self._gateway.actuators),
            safe=safe,
            observed=observed,
            failed=failed,
            states=[*states, *(f"not yet: {line}" for line in failed)],
            is_update=is_update,
            each=[self._state_of(actuator) for actuator in self._gateway.actuators],
        )

    def _state_of(self, actuator: Actuator) -> DeviceStop:
        is_safe = actuator.is_safe
        return DeviceStop(
            prosumer=actuator.prosumer,
            device=actuator.device,
            state="not yet" if not is_safe else "safe" if actuator.limits.armed else "observed",
            detail="" if is_safe else self._failures.get(actuator) or "no answer yet",
        )
