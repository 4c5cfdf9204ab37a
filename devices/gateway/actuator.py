"""One device that is commanded: its set-point stays within its limits, is kept alive, and ends when it must.

A set-point is valid for some time. A device that can revert by itself is given a revert time no longer than
that, and is renewed before it reverts; one that cannot is released by the gateway at the end.
"""

import asyncio
import math
from collections.abc import Callable

from devices.client.drivers import Inverter
from devices.errors import CommandBarred, DeviceError
from devices.limits import SetPointLimits, admissible_kw, ramped_kw, released_kw

_LEAST_PAUSE_S = 1.0


class Actuator:
    """Commands to one inverter.

    Parameters
    ----------
    inverter
        The device.
    device
        ``pv`` or ``battery``.
    limits
        What no set-point may leave.
    now
        Clock of ramps and validity [s].

    Attributes
    ----------
    measured_kw
        Power at the last good reading [kW], from which a ramp begins.
    limited
        Number of set-points that its limits changed.
    renewals
        Number of times that a set-point was written again to keep it alive.
    stopped
        Why it was stopped; empty while it may be commanded.
    """

    def __init__(
        self, inverter: Inverter, device: str, limits: SetPointLimits, now: Callable[[], float]
    ) -> None:
        self.inverter = inverter
        self.device = device
        self.limits = limits
        self.measured_kw: float | None = None
        self.limited = 0
        self.renewals = 0
        self.stopped = ""
        self._now = now
        self._lock = asyncio.Lock()
        self._target_kw: float | None = None
        self._held_kw: float | None = None
        self._is_active = False
        self._is_behind = False
        self._is_safe = False
        self._until_s = math.inf
        self._written_s = -math.inf
        self._reverts_s = math.inf

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
            await self._write()
            self.limited += self._held_kw != power_kw

    async def tend(self) -> None:
        """Do what is due: a further step of a ramp, a renewal, an end, or a stop that did not take yet."""
        if not self.is_due():
            return
        async with self._lock:
            if self.stopped:
                await self._make_safe()
            elif self._now() < self._until_s:
                self.renewals += not self._is_behind
                await self._write()
            else:
                await self._end()

    async def hand_back(self) -> None:
        """Give control back if a set-point is in force; raises `DeviceError`."""
        async with self._lock:
            if self._is_active:
                self._is_active = self._is_behind = False
                await self.inverter.command(None, 0.0)

    def is_due(self) -> bool:
        """Whether `tend` has something to do."""
        now = self._now()
        if self._lock.locked():
            return False
        if self.stopped:
            return not self._is_safe
        if not self._is_active or now < self._written_s + max(_LEAST_PAUSE_S, self.limits.write_interval_s):
            return False
        if now >= self._until_s:
            return True
        if self._is_behind:
            return True
        return self._reverts_s < self._until_s and now >= (self._written_s + self._reverts_s) / 2.0

    async def stop(self, reason: str) -> None:
        """Go to the safe value at once and take no set-point any more; raises `DeviceError`."""
        self.stopped, self._is_safe = reason, False
        async with self._lock:
            await self._make_safe()

    def _object(self) -> None:
        if self.stopped:
            raise CommandBarred(f"{self.inverter.unit.endpoint} is stopped: {self.stopped}; start a new run")
        if not self.limits.armed:
            raise CommandBarred(f"{self.inverter.unit.endpoint} is only observed; arm it to command it")

    async def _admitted(self, power_kw: float | None) -> float | None:
        if power_kw is not None:
            return admissible_kw(self.limits, power_kw)
        rating_kw = (await self.inverter.ratings()).power_kw if self.limits.is_bounded else None
        return released_kw(self.limits, self.device, rating_kw)

    async def _write(self) -> None:
        now = self._now()
        power_kw = self._target_kw
        if power_kw is not None and math.isfinite(self.limits.ramp_kw_per_s):
            start_kw, elapsed_s = self._ramp_start(now)
            power_kw = ramped_kw(self.limits, start_kw, power_kw, elapsed_s)
        left_s = min(self._until_s - now, self.limits.revert_s)
        self._is_active = self._is_behind = True
        try:
            command = await self.inverter.command(power_kw, 0.0 if math.isinf(left_s) else left_s)
        finally:
            self._written_s = self._now()
        self._held_kw = power_kw
        self._reverts_s = self._written_s + command.revert_s
        self._is_active = power_kw is not None
        self._is_behind = power_kw != self._target_kw

    async def _end(self) -> None:
        """The set-point is no longer valid: release the device unless it has reverted by itself."""
        if self._reverts_s > self._now():
            await self.inverter.command(None, 0.0)
        self._is_active, self._is_behind, self._held_kw = False, False, None

    async def _make_safe(self) -> None:
        if not self.limits.armed:
            self._is_safe = True
            return
        await self.inverter.command(self.limits.safe_kw, 0.0)
        self._held_kw, self._is_active, self._is_safe = self.limits.safe_kw, False, True

    def _ramp_start(self, now: float) -> tuple[float, float]:
        """Where a ramp begins [kW], and how long ago the device stood there [s]."""
        if self._held_kw is not None and now < self._reverts_s:
            return self._held_kw, now - self._written_s
        return self.limits.safe_kw if self.measured_kw is None else self.measured_kw, 0.0


async def attempt(actuators: list[Actuator], act: Callable[[Actuator], object]) -> list[str]:
    """Do something with several actuators at once; what failed, one line for each."""

    async def one(actuator: Actuator) -> str:
        try:
            await act(actuator)  # type: ignore[misc]
        except DeviceError as error:
            return f"{actuator.device}: {error}"
        return ""

    return [line for line in await asyncio.gather(*map(one, actuators)) if line]
