"""One device that is commanded: its set-point stays within its limits, is kept alive, and ends when it must.

A set-point is valid for some time. A device that can revert by itself is given a revert time no longer than
that, and is renewed before it reverts; one that cannot is released by the gateway at the end.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from broker.messages import CommandedDevice
from devices.client.drivers import Inverter
from devices.errors import CommandBarred, DeviceError, ReadBackMismatch
from devices.gateway.ramp import Ramp
from devices.limits import admissible_kw, ramp_start_kw, released_kw

_LEAST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# How often hardware that was stopped is looked at again [s]: it may have been restarted or written to.
_LOOK_AGAIN_S = 1.0
# A device's own timer may run a little faster than ours [s].
_TIMER_MARGIN_S = 2.0


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
    stopped
        Why it was stopped; empty while it may be commanded.
    lacks_revert
        Whether it was seen not to keep a revert time.
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
        self.stopped = ""
        self.lacks_revert = False
        self._now = now
        self._lock = asyncio.Lock()
        self._ramp = Ramp(self.limits)
        self._target_kw: float | None = None
        self._held_kw: float | None = None
        self._is_active = False
        self._is_behind = False
        self._is_safe = False
        self._is_overwritten = False
        self._until_s = math.inf
        self._written_s = -math.inf
        self._seen_s = -math.inf
        self._reverts_s = math.inf
        self._mismatches = 0

    def __str__(self) -> str:
        """Return whose it is and where, for messages."""
        return f"{self.device} of {self.prosumer} ({self.inverter.unit.endpoint})"

    @property
    def is_safe(self) -> bool:
        """Whether the safe value of an emergency stop was read back."""
        return self._is_safe

    @property
    def in_force_kw(self) -> float | None:
        """What the device goes by [kW]; ``None`` while a ramp moves it, or without a set-point."""
        return None if self._is_behind else self._held_kw

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
        DeviceError
            It cannot be reached, refuses, or shows other values than were written.
        """
        self._object()
        # Outside the lock, so that a stop need not wait.
        await asyncio.sleep(max(0.0, self._written_s + self.limits.write_interval_s - self._now()))
        async with self._lock:
            target_kw = await self._admitted(power_kw)
            self._object()
            self._target_kw = target_kw
            self._until_s = self._now() + valid_s if valid_s > 0.0 else math.inf
            self._mismatches = 0
            await self._write()
            self.limited += self._held_kw != power_kw

    async def tend(self) -> None:
        """Do what is due: a further step of a ramp, a renewal, an end, or a stop that did not take yet."""
        if not self.is_due():
            return
        async with self._lock:
            if self.stopped:
                await self._stay_safe()
            elif self._now() < self._until_s:
                self.renewals += not self._is_behind
                await self._write()
            else:
                await self._end()

    async def hand_back(self) -> None:
        """Give control back if a set-point is in force; raises `DeviceError`.

        A device that could leave its envelope by itself is left at the envelope's edge.
        """
        async with self._lock:
            if self._is_active:
                # Nobody else asks any more, and no pause is worth a device that is left as it was.
                self.inverter.unit.hurry()
                try:
                    await self.inverter.command(None, 0.0)
                finally:
                    self.inverter.unit.relax()
                self._is_active = self._is_behind = False

    async def overwritten(self) -> str:
        """What somebody else has written since this gateway did; empty where nothing. Raises `DeviceError`.

        A set-point that was overwritten is not written again before the next one comes, because somebody at
        the device may have had a reason; an emergency stop is.
        """
        if self._lock.locked() or not self._stands():
            return ""
        async with self._lock:
            found = await self.inverter.unit.overwritten() if self._stands() else []
            if not found:
                return ""
            self.inverter.unit.forget()
            self._held_kw = None
            if self.stopped:
                self._is_safe = False
                self.inverter.unit.hurry()
            else:
                self._is_overwritten, self._is_behind = True, False
        return f"{self}: another master writes to it: {'; '.join(found)}"

    def is_due(self) -> bool:
        """Whether `tend` has something to do."""
        now = self._now()
        if self._lock.locked():
            return False
        if self.stopped:
            return not self._is_safe or (self._watches and time.monotonic() >= self._seen_s + _LOOK_AGAIN_S)
        if not self._is_active or now < self._written_s + self._pause_s():
            return False
        if now >= self._until_s:
            return True
        if self._is_overwritten:
            return False
        if self._is_behind:
            return True
        return self._reverts_s < self._until_s and now >= (self._written_s + self._reverts_s) / 2.0

    def bar(self, reason: str) -> None:
        """Take no set-point any more, and let the safe value pass everything that is under way.

        Asked for again, it is written again: who asks has a reason to doubt that it stands.
        """
        self.stopped = self.stopped or reason
        self._is_safe = not self.limits.armed
        if self.limits.armed:
            self.inverter.unit.hurry()

    async def stop(self, reason: str) -> None:
        """Go to the safe value at once and take no set-point any more; raises `DeviceError`.

        Requests that are under way are broken off, and no pause is kept, until the value was read back.
        """
        self.bar(reason)
        async with self._lock:
            if not self._is_safe:
                await self._make_safe()

    @property
    def _watches(self) -> bool:
        """Whether its safe value has to be seen again and again: emulated devices do what they were told."""
        return self.limits.real and self.limits.armed

    def _object(self) -> None:
        if self.stopped:
            raise CommandBarred(f"{self.inverter.unit.endpoint} is stopped: {self.stopped}; start a new run")
        if not self.limits.armed:
            raise CommandBarred(f"{self.inverter.unit.endpoint} is only observed; arm it to command it")

    def _stands(self) -> bool:
        """Whether what was written last should still stand in the registers."""
        if self.stopped:
            return self._is_safe and self.limits.armed
        is_held = self._is_active and self._held_kw is not None and not self._is_overwritten
        return is_held and self._now() < self._reverts_s - _TIMER_MARGIN_S

    def _pause_s(self) -> float:
        """Least time to the next write; longer with each that did not take, since memory of devices wears."""
        pause_s = max(_LEAST_PAUSE_S, self.limits.write_interval_s)
        return max(pause_s, min(pause_s * 2.0**self._mismatches, _LONGEST_PAUSE_S))

    async def _admitted(self, power_kw: float | None) -> float | None:
        if power_kw is not None:
            return admissible_kw(self.limits, power_kw)
        rating_kw = (await self.inverter.ratings()).power_kw if self.limits.is_bounded else None
        return released_kw(self.limits, self.device, rating_kw)

    async def _write(self) -> None:
        power_kw = self._target_kw
        if power_kw is not None and self._ramp.is_limited:
            power_kw = await self._step_kw(power_kw)
        now = self._now()
        left_s = min(self._until_s - now, self.limits.revert_s)
        self._is_active = self._is_behind = True
        try:
            applied = await self.inverter.command(power_kw, 0.0 if math.isinf(left_s) else left_s)
        except ReadBackMismatch:
            self._mismatches += 1
            raise
        finally:
            self._written_s = self._now()
        self._ramp.stood(power_kw, self._written_s, is_moving=power_kw != self._target_kw)
        self._held_kw = power_kw
        self._mismatches = 0
        self._is_overwritten = False
        self.lacks_revert |= applied.ignores_revert
        self._reverts_s = self._written_s + applied.revert_s
        self._is_active = power_kw is not None
        self._is_behind = power_kw != self._target_kw

    async def _step_kw(self, target_kw: float) -> float:
        """Where a ramp stands now, on its way to a target."""
        now = self._now()
        if self._held_kw is None or now >= self._reverts_s:
            self._ramp.begin(await self._start_kw(), now)
        return self._ramp.step_kw(target_kw, now)

    async def _start_kw(self) -> float:
        """Where a ramp begins without a set-point in force: at a reading made for it, if it can be true."""
        try:
            range_kw = (await self.inverter.ratings()).range_kw(self.device)
            measured_kw = await self.inverter.power_kw()
        except DeviceError:
            return admissible_kw(self.limits, self.limits.safe_kw)
        return ramp_start_kw(self.limits, measured_kw, *range_kw)

    async def _end(self) -> None:
        """The set-point is no longer valid: release the device unless it has reverted by itself.

        What it reverts to by itself may lie outside an envelope, so there it is released in any case.
        """
        if self._reverts_s > self._now() or self.limits.has_envelope:
            await self.inverter.command(None, 0.0)
        self._is_active, self._is_behind, self._held_kw = False, False, None
        self._is_overwritten = False

    async def _stay_safe(self) -> None:
        """See that the safe value still stands, and write it where it does not or soon will not."""
        if self._is_safe and await self._still_stands():
            self._seen_s = time.monotonic()
            return
        self._is_safe = False
        self.inverter.unit.hurry()
        await self._make_safe()

    async def _still_stands(self) -> bool:
        """Whether the safe value is in the registers and will be for a while; one not read is not safe."""
        if self._now() >= (self._written_s + self._reverts_s) / 2.0:
            return False
        try:
            return not await self.inverter.unit.overwritten()
        except DeviceError:
            self._is_safe = False
            raise

    async def _make_safe(self) -> None:
        if not self.limits.armed:
            self._is_safe = True
            return
        applied = await self.inverter.command(self.limits.safe_kw, 0.0)
        self._written_s, self._seen_s = self._now(), time.monotonic()
        self._reverts_s = self._written_s + applied.revert_s
        self._held_kw, self._is_active, self._is_safe = self.limits.safe_kw, False, True
        self.inverter.unit.relax()


async def attempt(actuators: list[Actuator], act: Callable[[Actuator], Awaitable[None]]) -> list[str]:
    """Do something with several actuators at once; what failed, one line for each."""

    async def one(actuator: Actuator) -> str:
        try:
            await act(actuator)
        except DeviceError as error:
            return f"{actuator.device}: {error}"
        return ""

    return [line for line in await asyncio.gather(*map(one, actuators)) if line]
