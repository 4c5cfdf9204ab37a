"""One device that is commanded: its set-point stays within its limits, is kept alive, and ends when it must.

A set-point is valid for some time. A device that can revert by itself is given a revert time no longer than
that, and is renewed before it reverts; one that cannot is released by the gateway at the end.
"""

import asyncio
import math
from collections.abc import Callable

from broker.messages import CommandedDevice
from broker.snapshot import Values, part, typed
from devices.client.drivers import Inverter
from devices.errors import (
    BudgetSpent,
    CommandBarred,
    DeviceError,
    DeviceRefused,
    NotReleased,
    ReadBackMismatch,
)
from devices.gateway.delivery import NO_ANSWER, Delivery
from devices.gateway.ramp import Ramp, start_kw
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
        self, inverter: Inverter, device: CommandedDevice, now: Callable[[], float], prosumer: str = ""
    ) -> None:
        self.inverter = inverter
        self.limits = inverter.limits
        self.device = device
        self.prosumer = prosumer
        self.measured_kw: float | None = None
        self.limited = 0
        self.renewals = 0
        self.delivery = Delivery(inverter, now)
        self._safe = SafeValue(inverter, self.delivery)
        self._now = now
        self._lock = asyncio.Lock()
        self._ramp = Ramp(self.limits)
        self._times = self.delivery.times
        self._state = SetPointState(self._times, now)

    def __str__(self) -> str:
        """Return whose it is and where, for messages."""
        return f"{self.device} of {self.prosumer} ({self.inverter.port.endpoint})"

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
        """What the device goes by [kW]; ``None`` while a ramp moves it, or without a set-point."""
        return self._state.in_force_kw

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
        # Outside the lock, so that a stop need not wait.
        await asyncio.sleep(self._times.wait_s)
        async with self._lock:
            target_kw = await self._admitted(power_kw)
            self._check_may_be_commanded()
            self._state.target_kw = target_kw
            self._state.until_s = self._now() + valid_s if valid_s > 0.0 else math.inf
            self._times.mismatches = 0
            self._state.is_released = False
            await self._carry_out()
            self.limited += self._state.held_kw != power_kw

    async def tend(self) -> None:
        """Do what is due: a further step of a ramp, a renewal, an end, or a stop that did not take yet."""
        if not self.is_due():
            return
        async with self._lock:
            if self.stopped:
                await self._safe.keep()
            elif not self._state.is_active:
                await self._let_go()
            elif self._now() < self._state.until_s:
                self.renewals += not self._state.is_behind
                await self._carry_out()
            else:
                await self._end()

    async def hand_back(self) -> None:
        """Give control back if a set-point is in force; raises `DeviceError`.

        A device that could leave its envelope by itself is left at the envelope's edge, if it stays there.
        """
        async with self._lock:
            if self._state.is_active or self._state.keeps_release:
                # Nobody else asks any more, and no pause is worth a device that is left as it was.
                self.inverter.port.begin_priority()
                try:
                    await self._let_go()
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

    def snapshot(self) -> Values:
        """What is in force at an emulated device."""
        counts = {"measured_kw": self.measured_kw, "limited": self.limited, "renewals": self.renewals}
        commands = {**counts, **self._state.snapshot()}
        return {"commands": commands, "ramp": self._ramp.snapshot(), "times": self._times.snapshot()}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot, as the device does; raises ``ValueError`` where it is another's."""
        commands = part(values, "commands")
        self._ramp.restore(part(values, "ramp"))
        self._times.restore(part(values, "times"))
        known = commands.get("measured_kw") is not None
        self.measured_kw = typed(commands, "measured_kw", float) if known else None
        self.limited = typed(commands, "limited", int)
        self.renewals = typed(commands, "renewals", int)
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

    async def stop(self, reason: str) -> None:
        """Go to the safe value at once and take no set-point any more; raises `DeviceError`.

        Requests that are under way are broken off, and no pause is kept, until the value was read back.
        """
        self.bar(reason)
        async with self._lock:
            await self._safe.make()

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

    async def _carry_out(self) -> None:
        """Write the set-point; where the device does not take it, what was in force is released."""
        try:
            await self._write()
        except DeviceError as error:
            await self._release_after(error)
            raise

    async def _write(self) -> None:
        if self.delivery.budget.is_spent:
            raise BudgetSpent(f"{self.inverter.port.endpoint} {self.delivery.budget}; raise writes_per_day")
        power_kw = self._state.target_kw
        if power_kw is not None and self._ramp.is_limited:
            power_kw = await self._step_kw(power_kw)
        left_s = min(self._state.until_s - self._now(), self.limits.revert_s)
        self._state.is_active = self._state.is_behind = True
        await self.delivery.send(power_kw, 0.0 if math.isinf(left_s) else left_s)
        self._ramp.stood(power_kw, self._times.written_s, is_moving=power_kw != self._state.target_kw)
        self._state.took(power_kw)

    async def _step_kw(self, target_kw: float) -> float:
        """Where a ramp stands now, on its way to a target."""
        now = self._now()
        if self._state.held_kw is None or self._times.has_reverted:
            self._ramp.begin(await start_kw(self.inverter, self.device), now)
        return self._ramp.step_kw(target_kw, now)

    async def _end(self) -> None:
        """The set-point is no longer valid: release the device unless it has reverted by itself.

        What it reverts to by itself may lie outside an envelope, so there it is released in any case.
        """
        if not self._times.has_reverted or self.limits.has_envelope:
            await self._let_go()
        self._state.ended()

    async def _let_go(self) -> None:
        """Release the device; a power that it then holds is renewed where its own timer would end that."""
        applied = await self.delivery.send(None, 0.0)
        self._state.keeps_release = applied.power_kw is not None and math.isfinite(applied.revert_s)

    async def _release_after(self, error: DeviceError) -> None:
        """Release what was in force before a set-point that the device did not take, once.

        The set-point itself is tried again later, unless the budget of writes is spent.
        """
        is_refused = isinstance(error, ReadBackMismatch | DeviceRefused)
        may_be_in_force = self._state.held_kw is not None or is_refused
        if isinstance(error, (CommandBarred, *NO_ANSWER)) or self._state.is_released or not may_be_in_force:
            return
        try:
            await self._let_go()
        except DeviceError as again:
            raise NotReleased(f"{error}; nor was it released: {again}") from error
        self._state.held_kw, self._state.is_released = None, True
        if isinstance(error, BudgetSpent):
            self._state.is_active = self._state.is_behind = False
