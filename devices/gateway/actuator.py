"""One device that is commanded: its set-point stays within its limits, is kept alive, and ends when it must.

A set-point is valid for some time. A device that can revert by itself is given a revert time no longer than
that, and is renewed before it reverts; one that cannot is released by the gateway at the end.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from broker.messages import CommandedDevice
from broker.snapshot import Values, part, typed
from devices.client.drivers import Inverter
from devices.errors import CommandBarred, NotReleased, Overwritten
from devices.gateway.delivery import Delivery
from devices.gateway.execution import Execution
from devices.gateway.hardware_record import HardwareMemory, HardwareRecord
from devices.gateway.safe_value import SafeValue
from devices.gateway.set_point_state import SetPointState
from devices.limits import admissible_kw, released_kw


class Actuator:
    """Commands to one inverter.

    Parameters
    ----------
    inverter
        The device, with what no set-point may leave.
    device
        ``pv`` or ``battery``.
    prosumer
        Whose it is, for messages.
    now
        Clock of ramps and validity [s].
    record
        Where what must not be forgotten of it is kept, if anywhere; of hardware that is armed alone.

    Attributes
    ----------
    measured_kw
        Power at the last reading that counts [kW].
    limited
        Number of set-points that its limits changed.
    renewals
        Number of times that a set-point was written again to keep it alive.
    delivery
        Way for commands to it.
    """

    def __init__(
        self,
        inverter: Inverter,
        device: CommandedDevice,
        now: Callable[[], float],
        prosumer: str = "",
        record: HardwareRecord | None = None,
    ) -> None:
        self.inverter = inverter
        self.limits = inverter.limits
        self.device = device
        self.prosumer = prosumer
        self.measured_kw: float | None = None
        self.limited = 0
        self.renewals = 0
        self._asked = 0
        self.delivery = Delivery(inverter, now)
        self._safe = SafeValue(inverter, self.delivery)
        self._now = now
        self._lock = asyncio.Lock()
        self._times = self.delivery.times
        self._state = SetPointState(self._times, now)
        self._execution = Execution(inverter, device, self.delivery, self._state, now)
        self._memory: HardwareMemory | None = None
        if record is not None and self.limits.real and self.limits.armed:
            name = str(inverter.port.endpoint)
            self._memory = HardwareMemory(record, name, self.delivery, self._state, self._safe, now)
            self.delivery.before_sending = self._before_sending

    def __str__(self) -> str:
        """Return whose it is and where, for messages."""
        return f"{self.name} ({self.inverter.port.endpoint})"

    @property
    def name(self) -> str:
        """Whose it is, where an address follows."""
        return f"{self.device} of {self.prosumer}"

    @property
    def tripped(self) -> str:
        """What it did by itself, for which it was brought to its safe value; empty where nothing."""
        return self._safe.tripped

    @property
    def stopped(self) -> str:
        """Why it was stopped; empty while it may be commanded."""
        return self._safe.stopped

    @property
    def is_safe(self) -> bool:
        """Whether the safe value of an emergency stop was read back."""
        return self._safe.stands

    @property
    def in_force_kw(self) -> float | None:
        """Set-point that the device goes by [kW]; ``None`` while a ramp moves it, without one, or stopped."""
        return None if self.stopped else self._state.in_force_kw

    async def set(self, power_kw: float | None, valid_s: float) -> None:
        """Carry a set-point out, as far as its limits admit at once; `tend` does the rest.

        Parameters
        ----------
        power_kw
            The most that PV may generate, the battery's power, or ``None`` to give control back.
        valid_s
            Seconds for which it is valid; 0 means for ever.

        Raises
        ------
        CommandBarred
            The device may not be written, or was stopped.
        BudgetSpent
            It was written to as often as may be in a day; what was in force is released.
        DeviceError
            It cannot be reached, refuses, or shows other values than were written; what was in force is
            released where it answers.
        """
        self._check_may_be_commanded()
        self._asked += 1
        asked = self._asked
        # Outside the lock, so that a stop need not wait.
        if wait_s := self._times.wait_s:
            await asyncio.sleep(wait_s)
            if asked != self._asked:
                raise CommandBarred(f"{self}: the next set-point came before this one might be written")
        async with self._at_work():
            target_kw = await self._admitted(power_kw)
            self._check_may_be_commanded()
            self._state.target_kw = target_kw
            self._state.until_s = self._now() + valid_s if valid_s > 0.0 else math.inf
            self._times.mismatches = 0
            self._state.is_released = False
            await self._execution.carry_out()
            self.limited += self._state.held_kw != power_kw

    async def tend(self) -> None:
        """Do what is due: a further step of a ramp, a renewal, an end, or a stop that did not take yet."""
        if not self.is_due():
            return
        async with self._at_work():
            if self.stopped:
                await self._safe.keep()
            elif not self._state.is_active:
                await self._execution.let_go()
            elif self._now() < self._state.until_s:
                await self._check_not_overwritten()
                self.renewals += not self._state.is_behind
                await self._execution.carry_out()
            else:
                await self._execution.end()

    async def hand_back(self) -> None:
        """Give control back if a set-point is in force; raises `DeviceError`.

        A device that could leave its envelope by itself is left at the envelope's edge, if it stays there.
        """
        async with self._at_work():
            if self._state.is_active or self._state.keeps_release:
                # Nobody else asks any more, and no pause is worth a device that is left as it was.
                self.inverter.port.begin_priority()
                try:
                    await self._execution.let_go()
                finally:
                    self.inverter.port.end_priority()
                self._state.is_active = self._state.is_behind = False
                if self._state.keeps_release:
                    self._state.keeps_release = False
                    where, left_s = self.inverter.port.endpoint, self._times.stands_s
                    raise NotReleased(f"{where}: its own timer frees it in {left_s:.0f} s; see to it there")

    async def overwritten(self) -> str:
        """What somebody else has written since this gateway did; empty where nothing. Raises `DeviceError`.

        A set-point that was overwritten is not written again before the next one comes, because somebody at
        the device may have had a reason; an emergency stop is.
        """
        if self._lock.locked() or not self._stands():
            return ""
        async with self._lock:
            return await self._found_overwritten()

    async def _found_overwritten(self) -> str:
        found = await self.inverter.port.overwritten() if self._stands() else []
        if not found:
            return ""
        self.inverter.port.forget()
        self._state.held_kw = None
        if self.stopped:
            self._safe.doubt()
        else:
            self._state.is_overwritten, self._state.is_behind = True, False
        return f"{self}: another master writes to it: {'; '.join(found)}"

    async def _check_not_overwritten(self) -> None:
        """Look before a renewal of hardware, which would write over what somebody had a reason to write."""
        if self.limits.real and not self._state.is_behind and (found := await self._found_overwritten()):
            raise Overwritten(found)

    def snapshot(self) -> Values:
        """What is in force at an emulated device."""
        commands = {"measured_kw": self.measured_kw, **self._state.snapshot()}
        return {"commands": commands, "ramp": self._execution.snapshot(), "times": self._times.snapshot()}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot, as the device does; raises ``ValueError`` where it is another's."""
        commands = part(values, "commands")
        self._execution.restore(part(values, "ramp"))
        self._times.restore(part(values, "times"))
        known = commands.get("measured_kw") is not None
        self.measured_kw = typed(commands, "measured_kw", float) if known else None
        self._state.restore(commands)

    def is_due(self) -> bool:
        """Whether `tend` has something to do."""
        if self._lock.locked():
            return False
        if self.stopped:
            return self._safe.is_due
        return self._state.is_due

    def bar(self, reason: str) -> None:
        """Take no set-point any more, and let the safe value pass everything that is under way.

        Asked for again, it is written again: who asks has a reason to doubt that it stands.
        """
        self._safe.bar(reason)
        if self._memory is not None:
            self._memory.hurry()

    def trip(self, reason: str) -> None:
        """Take no set-point any more, also after a restart of the gateway; `tend` brings the safe value."""
        self._safe.trip(reason)
        if self._memory is not None:
            self._memory.hurry()
            self._memory.note()

    async def stop(self, reason: str) -> None:
        """Go to the safe value at once and take no set-point any more; raises `DeviceError`.

        Requests that are under way are broken off, and no pause is kept, until the value was read back.
        """
        self.bar(reason)
        async with self._at_work():
            await self._safe.make()

    @asynccontextmanager
    async def _at_work(self) -> AsyncIterator[None]:
        """Do one thing at a time with the device, and note what is known of it then."""
        async with self._lock:
            try:
                yield
            finally:
                if self._memory is not None:
                    self._memory.note()

    async def _before_sending(self) -> None:
        """Let what is to be sent be written down first; a stop comes between."""
        was_stopped = bool(self.stopped)
        if self._memory is not None:
            await self._memory.noted()
        if not was_stopped:
            self._check_may_be_commanded()

    def _check_may_be_commanded(self) -> None:
        where = self.inverter.port.endpoint
        if self.stopped:
            raise CommandBarred(f"{where} is stopped: {self.stopped}; start a new run")
        if not self.limits.armed:
            raise CommandBarred(f"{where} is only observed; arm it to command it")

    def _stands(self) -> bool:
        """Whether what was written last should still stand in the registers."""
        if self.stopped:
            return self.is_safe and self.limits.armed
        return self._state.stands

    async def _admitted(self, power_kw: float | None) -> float | None:
        if power_kw is not None:
            return admissible_kw(self.limits, power_kw)
        rating_kw = (await self.inverter.ratings()).power_kw if self.limits.is_bounded else None
        return released_kw(self.limits, self.device, rating_kw)
