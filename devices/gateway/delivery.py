"""Commands to one inverter on their way: counted, timed, and what was shown after them."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from broker.wall_time import since_boot
from devices.client.drivers import Inverter
from devices.errors import DeviceBusy, DeviceError, DeviceTimeout, DeviceUnreachable, GatewayNoResponse
from devices.gateway.write_budget import WriteBudget
from devices.gateway.write_times import WriteTimes
from devices.ports import Applied

NO_ANSWER = (DeviceUnreachable, DeviceTimeout, GatewayNoResponse, DeviceBusy)
"""Errors after which it is of no use to send something else."""


class Delivery:
    """Sends commands to one inverter.

    Parameters
    ----------
    inverter
        The device, with what no set-point may leave.
    now
        Clock of ramps and validity [s].

    Attributes
    ----------
    times
        When it was written to, and how long that stands.
    budget
        Writes of the day.
    lacks_revert
        Whether it was seen not to keep a revert time.
    has_taken
        Whether it has taken a command, or a release.
    before_sending
        Called when a command was counted and before it goes out.
    """

    def __init__(self, inverter: Inverter, now: Callable[[], float]) -> None:
        self.times = WriteTimes(now, inverter.limits.write_interval_s)
        self.budget = WriteBudget(since_boot, inverter.limits.writes_per_day)
        self.lacks_revert = False
        self.has_taken = False
        self.before_sending: Callable[[], Awaitable[None]] = _nothing
        self._inverter = inverter

    async def send(self, power_kw: float | None, valid_s: float) -> Applied:
        """Write a set-point, or give control back for ``None``; as `Inverter.command`."""
        self.budget.count()
        await self.before_sending()
        try:
            applied = await self._inverter.command(power_kw, valid_s)
        except NO_ANSWER:
            raise
        except DeviceError:
            self.times.mismatches += 1
            raise
        finally:
            self.times.tried()
        self.times.took(applied.revert_s)
        self.lacks_revert |= applied.ignores_revert
        self.has_taken = True
        return applied

    async def rush_to_zero(self) -> None:
        """Write 0 by what is known of the device; whatever goes wrong shows when it is sent as ever."""
        self.budget.count()
        await self.before_sending()
        with suppress(DeviceError):
            await self._inverter.port.rush_to_zero(self._inverter.limits)


async def _nothing() -> None:
    pass
