"""What a gateway does between the steps of a run: it keeps set-points up, and watches armed hardware."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence

from broker.errors import BrokerError
from broker.participant.node import Node
from broker.pulse import Pulse
from broker.wall_time import since_boot
from devices.gateway.actuator import Actuator
from devices.gateway.gateway import Gateway
from devices.gateway.hardware_watch import HardwareWatch
from devices.gateway.power_watch import EVERY_S
from devices.gateway.troubles import Troubles

_TEND_EVERY_S = 0.5
_TELLS_STANDSTILL_S = 2.0


class Tending:
    """Tends a gateway's devices, and flags what goes wrong with them, and what does no more.

    Parameters
    ----------
    node
        Participant on the bus.
    gateway
        Way to the devices.
    watch_every_s
        Time from one look at armed hardware to the next [s].

    Attributes
    ----------
    watch
        Watch over armed hardware.
    """

    def __init__(self, node: Node, gateway: Gateway, watch_every_s: float = EVERY_S) -> None:
        self._node = node
        self._gateway = gateway
        self._troubles = Troubles()
        self._is_news = asyncio.Event()
        self._pulse: Pulse | None = None
        self.watch = HardwareWatch(gateway.actuators, self._troubles, self._say, watch_every_s)

    @property
    def losses(self) -> int:
        """How often hardware that is armed was lost."""
        return self._troubles.losses

    async def once(self) -> None:
        """Tend what is due, and wait for that."""
        await self._tend(self._gateway.due)

    async def run(self, start: Callable[[Coroutine[None, None, None]], None]) -> None:
        """Tend in real time, each device by itself, until cancelled; ``start`` runs work beside this.

        A device that takes long to answer holds up no other.
        """
        start(self._keep_telling())
        # Emulated devices wait where this process does, as their clock is the run's.
        self._pulse = Pulse(self._tell_standstill) if self._gateway.hardware else None
        try:
            while True:
                await asyncio.sleep(_TEND_EVERY_S)
                if self._gateway.simulated_s is None or self._gateway.stopped:
                    for actuator in self._gateway.due:
                        start(self._tend([actuator]))
        finally:
            if self._pulse is not None:
                self._pulse.close()

    def waited_s(self) -> float:
        """How long what is read now in real time may have waited, where this process stood still [s]."""
        if self._pulse is None or self._gateway.simulated_s is not None:
            return 0.0
        return max(0.0, since_boot() - self._pulse.said_s())

    def _tell_standstill(self, seconds: float) -> None:
        if seconds >= _TELLS_STANDSTILL_S:
            self._say(
                f"this gateway stood still for {seconds:.0f} s: its process was stopped or blocked, "
                "or its computer slept"
            )

    def flag_what_lasts(self) -> None:
        """Flag what has gone on failing since it was told last."""
        for line in self._troubles.still():
            self._node.flag(line)

    async def _tend(self, actuators: Sequence[Actuator]) -> None:
        for line in self._troubles.take(await self._gateway.tend(actuators)):
            self._say(line)

    def _say(self, line: str) -> None:
        self._node.flag(line)
        self._is_news.set()

    async def _keep_telling(self) -> None:
        """Tell at once what is flagged: the next report may be a whole interval away."""
        while True:
            await self._is_news.wait()
            self._is_news.clear()
            with contextlib.suppress(BrokerError):
                await self._node.tell_flags()
