"""What waits for a device's confirmation, and gives way to an emergency stop."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from devices.endpoint import Endpoint
from devices.errors import GaveWay

T = TypeVar("T")


class GivingWay:
    """Work for one device, one piece at a time, that is broken off where something has priority.

    Parameters
    ----------
    endpoint
        The device, for the error.

    Attributes
    ----------
    has_priority
        Whether what is done now must not wait.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._under_way: asyncio.Future[Any] | None = None
        self.has_priority = self._serves_priority = False

    def begin_priority(self) -> None:
        """Break off what is under way, so that what follows need not wait."""
        self.has_priority = True
        if self._under_way is not None and not self._serves_priority:
            self._under_way.cancel()

    def end_priority(self) -> None:
        """End what `begin_priority` began."""
        self.has_priority = False

    async def do(self, work: Coroutine[None, None, T]) -> T:
        """Do a piece of work; raises `GaveWay` where it did."""
        self._serves_priority = self.has_priority
        task = asyncio.ensure_future(work)
        self._under_way = task
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                task.cancel()
                raise
            raise GaveWay(f"what was sent to {self._endpoint} gave way to an emergency stop") from None
        finally:
            self._under_way = None
