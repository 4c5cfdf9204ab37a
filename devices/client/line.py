"""The connection to one link: opened where it is needed, and closed where devices do not keep it open."""

import asyncio

from broker.patience import within
from devices.client.wire import BrokenOff, Wire, open_wire
from devices.endpoint import Link

# How long after the last reply a connection is closed that devices do not keep [s].
_LINGER_S = 0.2


class Line:
    """At most one open connection to a link.

    Attributes
    ----------
    wire
        The connection; ``None`` before the first and after `drop`.
    connects
        How often it was opened.
    """

    def __init__(self, link: Link) -> None:
        self.wire: Wire | None = None
        self.connects = 0
        self._link = link
        self._opening: asyncio.Task[Wire] | None = None
        self._closing: asyncio.TimerHandle | None = None

    @property
    def open_wire(self) -> Wire | None:
        """The connection, where the other side has not closed it."""
        return self.wire if self.wire is not None and self.wire.is_open else None

    async def open(self, patience_s: float, delay_s: float) -> Wire:
        """A connection made just now, in place of any other.

        Parameters
        ----------
        patience_s
            How long to wait for it [s].
        delay_s
            Time that devices need before the first request [s].

        Raises
        ------
        OSError, ValueError
            Nothing accepts it.
        BrokenOff
            A request with priority came between.
        """
        self.drop()
        self._opening = asyncio.create_task(open_wire(self._link))
        try:
            async with within(patience_s):
                wire = await self._opening
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BrokenOff from None
        finally:
            self._opening = None
        self.wire = wire
        self.connects += 1
        if delay_s:
            await asyncio.sleep(delay_s)
        return wire

    def break_off(self) -> None:
        """End the request, or the opening, that is under way."""
        if self._opening is not None:
            self._opening.cancel()
        elif self.wire is not None:
            self.wire.break_off()

    def close_later(self) -> None:
        """Close the connection, once nothing is asked any more."""
        self._closing = asyncio.get_running_loop().call_later(_LINGER_S, self.drop)

    def keep(self) -> None:
        """Do not close it although `close_later` was asked for."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def drop(self) -> None:
        """Close the connection."""
        self.keep()
        if self.wire is not None:
            self.wire.close()
            self.wire = None
