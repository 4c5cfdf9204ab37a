"""The safe value of a device that was stopped: sent past everything else, read back, and watched."""

import math

from broker.wall_time import since_boot
from devices.client.drivers import Inverter
from devices.errors import DeviceError, UntrustedRating
from devices.gateway.delivery import Delivery

# How often hardware that was stopped is looked at again [s]: it may have been restarted or written to.
_LOOK_AGAIN_S = 1.0


class SafeValue:
    """Brings one device to its safe value and keeps it there.

    Parameters
    ----------
    inverter
        The device, with its safe value.
    delivery
        Way for commands to it.

    Attributes
    ----------
    stopped
        Why it was stopped; empty while it may be commanded.
    tripped
        What it did by itself for which it was stopped; empty where nothing.
    stands
        Whether the safe value was read back, and nothing speaks against it since.
    """

    def __init__(self, inverter: Inverter, delivery: Delivery) -> None:
        self.stopped = ""
        self.tripped = ""
        self.stands = False
        self._inverter = inverter
        self._delivery = delivery
        self._seen_s = -math.inf
        self._may_rush = False

    @property
    def is_due(self) -> bool:
        """Whether there is something to write, or to look at: emulated devices obey."""
        limits = self._inverter.limits
        watches = limits.real and limits.armed
        return not self.stands or (watches and since_boot() >= self._seen_s + _LOOK_AGAIN_S)

    def bar(self, reason: str) -> None:
        """Take no set-point any more, and let the safe value pass everything that is under way."""
        # Once for each stop: where it does not help, the next attempt goes without.
        self._may_rush |= self.stands or not self.stopped
        self.stopped = self.stopped or reason
        self.stands = not self._inverter.limits.armed
        if self._inverter.limits.armed:
            self._inverter.port.begin_priority()

    def trip(self, reason: str) -> None:
        """Take no set-point any more for what the device did by itself."""
        self.tripped = self.tripped or reason
        self.bar(reason)

    def doubt(self) -> None:
        """Write it again: it was seen not to stand."""
        self.stands = False
        self._inverter.port.begin_priority()

    async def make(self) -> None:
        """Write it and read it back, unless it stands; raises `DeviceError`."""
        if self.stands:
            return
        limits = self._inverter.limits
        if limits.armed:
            if self._may_rush and limits.real and not limits.safe_kw:
                # On a slow line, what is read anew before a command keeps all devices waiting for long.
                await self._delivery.rush_to_zero()
                self._may_rush = False
            try:
                await self._delivery.send(self._inverter.limits.safe_kw, 0.0)
            except UntrustedRating:
                await self._delivery.send(0.0, 0.0)
            self._seen_s = since_boot()
            self._inverter.port.end_priority()
        self.stands = True

    async def keep(self) -> None:
        """See that it still stands, and write it where it does not or soon will not."""
        if self.stands and await self._still_stands():
            self._seen_s = since_boot()
            return
        self.doubt()
        await self.make()

    async def _still_stands(self) -> bool:
        """Whether it is in the registers and will be for a while; one not read is not safe."""
        if self._delivery.times.is_half_over:
            return False
        try:
            return not await self._inverter.port.overwritten()
        except DeviceError:
            self.stands = False
            raise
