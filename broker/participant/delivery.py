"""From the door to the handlers: what was admitted is counted, and handed on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from broker.client.bus import Received
from broker.collector import Late
from broker.door.admission import Admitted, Door
from broker.door.quarantine import Quarantine
from broker.errors import BrokerError
from broker.participant.handlers import Handler
from broker.participant.reports import Counts


class Delivery:
    """Hands what the door admitted to the handlers of service ``name``.

    Parameters
    ----------
    door
        What it came through.
    quarantine
        Where messages are kept that a handler failed on.
    counts
        Where it is counted.
    flag
        Remembers something that went wrong.
    refuse
        Refuses what came on a topic, for a reason.
    """

    def __init__(
        self,
        name: str,
        door: Door,
        quarantine: Quarantine,
        counts: Counts,
        *,
        flag: Callable[[str], None],
        refuse: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self.name = name
        self._door = door
        self._quarantine = quarantine
        self._counts = counts
        self._flag = flag
        self._refuse = refuse

    async def deliver(self, admitted: Admitted, received: Received, handlers: Iterable[Handler]) -> None:
        """Count what was admitted, and hand its message, if it is one to handle, to each handler."""
        self._count(admitted)
        message = admitted.message
        if message is None:
            return
        for handler in handlers:
            try:
                result = handler(message)
                if result is not None:
                    await result
            except BrokerError:
                # No service works without a bus; the message is not to blame.
                raise
            except Exception as error:  # noqa: BLE001 - one message must not end a service
                await self._note_failure(error, received)

    def _count(self, admitted: Admitted) -> None:
        self._counts.gaps += admitted.gaps
        self._counts.duplicates += admitted.duplicates
        self._counts.late += admitted.late
        for flag in admitted.flags:
            self._flag(flag)

    async def _note_failure(self, error: Exception, received: Received) -> None:
        """Count what a handler made of a message; whatever that is, the service goes on."""
        if isinstance(error, Late):
            self._counts.late += 1
            self._flag(f"{error} on {received.topic}")
        elif isinstance(error, ValueError):
            await self._refuse(received.topic, str(error))
        else:
            self._counts.quarantined += 1
            self._quarantine.keep(self.name, self._door.tick, received.topic, received.payload, error)
            self._flag(
                f"{self.name} failed on a message on {received.topic}: {type(error).__name__}: {error}"
            )
