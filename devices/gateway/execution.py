"""How the set-point of one device is carried out: written on its way to the target, renewed, released."""

import math
from collections.abc import Callable

from broker.messages import CommandedDevice
from broker.snapshot import Values
from devices.client.drivers import Inverter
from devices.errors import (
    BudgetSpent,
    CommandBarred,
    DeviceError,
    DeviceRefused,
    NotReleased,
    ReadBackMismatch,
    UntrustedRating,
)
from devices.gateway.delivery import NO_ANSWER, Delivery
from devices.gateway.ramp import Ramp, start_kw
from devices.gateway.set_point_state import SetPointState


class Execution:
    """Writes the set-point of one device, step by step where its limits want it, and releases it.

    Parameters
    ----------
    inverter
        The device, with what no set-point may leave.
    device
        What it is.
    delivery
        Way for commands to it.
    state
        State of its set-point.
    now
        Clock of ramps and validity [s].
    """

    def __init__(
        self,
        inverter: Inverter,
        device: CommandedDevice,
        delivery: Delivery,
        state: SetPointState,
        now: Callable[[], float],
    ) -> None:
        self._inverter = inverter
        self._limits = inverter.limits
        self._device = device
        self._delivery = delivery
        self._state = state
        self._now = now
        self._ramp = Ramp(inverter.limits)

    def snapshot(self) -> Values:
        """Where its ramp stands."""
        return self._ramp.snapshot()

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self._ramp.restore(values)

    async def carry_out(self) -> None:
        """Write the set-point; where the device does not take it, what was in force is released."""
        try:
            await self._write()
        except DeviceError as error:
            await self._release_after(error)
            raise

    async def _write(self) -> None:
        if self._delivery.budget.is_spent:
            raise BudgetSpent(f"{self._inverter.port.endpoint} {self._delivery.budget}; raise writes_per_day")
        power_kw = self._state.target_kw
        if power_kw is not None and self._ramp.is_limited:
            power_kw = await self._step_kw(power_kw)
        left_s = min(self._state.until_s - self._now(), self._limits.revert_s)
        self._state.is_active = self._state.is_behind = True
        await self._delivery.send(power_kw, 0.0 if math.isinf(left_s) else left_s)
        self._ramp.stood(
            power_kw, self._delivery.times.written_s, is_moving=power_kw != self._state.target_kw
        )
        self._state.took(power_kw)

    async def _step_kw(self, target_kw: float) -> float:
        """Where a ramp stands now, on its way to a target."""
        now = self._now()
        if self._state.held_kw is None or self._delivery.times.has_reverted:
            self._ramp.begin(await start_kw(self._inverter, self._device), now)
        return self._ramp.step_kw(target_kw, now)

    async def end(self) -> None:
        """The set-point is no longer valid: release the device unless it has reverted by itself.

        What it reverts to by itself may lie outside an envelope, so there it is released in any case.
        """
        if not self._delivery.times.has_reverted or self._limits.has_envelope:
            await self.let_go()
        self._state.ended()

    async def let_go(self) -> None:
        """Release the device; a power that it then holds is renewed where its own timer would end that."""
        applied = await self._delivery.send(None, 0.0)
        self._state.keeps_release = applied.power_kw is not None and math.isfinite(applied.revert_s)

    async def _release_after(self, error: DeviceError) -> None:
        """Release what was in force before a set-point that the device did not take, once.

        The set-point itself is tried again later, unless the budget of writes is spent.
        """
        is_refused = isinstance(error, ReadBackMismatch | DeviceRefused | UntrustedRating)
        # Of what went out unconfirmed, or before a restart, nothing is held, but it may stand there.
        is_unknown = isinstance(error, BudgetSpent) and self._state.is_active
        may_be_in_force = self._state.held_kw is not None or is_refused or is_unknown
        if isinstance(error, (CommandBarred, *NO_ANSWER)) or self._state.is_released or not may_be_in_force:
            return
        try:
            await self.let_go()
        except DeviceError as again:
            raise NotReleased(f"{error}; nor was it released: {again}") from error
        self._state.held_kw, self._state.is_released = None, True
        if isinstance(error, BudgetSpent | UntrustedRating):
            self._state.is_active = self._state.is_behind = False
