"""Modbus from the client's side: one connection for each link, one request at a time.

Whatever goes wrong becomes one of our own errors. After a time-out the connection is made anew, because a
late answer would be taken for the next one. A connection that turns out dead when it is used again is made
anew at once, and the request with it. A unit that stays silent is left alone for longer and longer, and a
link on which nobody answers fails at once for a while, so that the dead do not hold up the living.

A unit with priority, as in an emergency stop, passes all of this: what is under way for others is broken off,
and no pause holds it up but those without which the device would not hear.
"""

import asyncio
import time
from collections.abc import Sequence

from devices.client.failures import failure, given_way, left_alone, name_of, refusal, unreachable
from devices.client.frames import EXCEPTION, READ_BITS, READS, WRITE_MANY, read_pdu, write_pdu
from devices.client.habits import Habits
from devices.client.pauses import Pauses
from devices.client.wire import BrokenOff, Closed, Garbled, Silent, Wire, WireError, open_wire
from devices.counts import Counts
from devices.endpoint import Link
from devices.errors import DeviceError, MalformedReply
from devices.registers.schema import Access

# How long a unit with priority is waited for, unless it has taken longer before [s].
_PRIORITY_TIMEOUT_S = 0.4
# A connection may have died unnoticed when nothing came in for so long [s].
_IDLE_S = 5.0
# How long after the last reply a connection is closed that devices do not keep [s].
_LINGER_S = 0.2


class Connection:
    """Client of all units on one link.

    Parameters
    ----------
    link
        Where to connect; the connection is made with the first request.
    timeout_s
        How long to wait for a connection or an answer [s].
    retry_after_s
        How long a silent unit or a dead link is left alone [s]; doubled for a unit with each further
        silence, up to a minute.
    idle_s
        How long after the last reply silence may mean that the connection is dead [s].

    Attributes
    ----------
    connects
        How often the connection was made.
    """

    def __init__(
        self, link: Link, timeout_s: float = 1.0, retry_after_s: float = 2.0, idle_s: float = _IDLE_S
    ) -> None:
        self.link = link
        self.counts = Counts()
        self.connects = 0
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._habits = Habits.of(link)
        self._wire: Wire | None = None
        self._opening: asyncio.Task[Wire] | None = None
        self._closing: asyncio.TimerHandle | None = None
        self._lock = asyncio.Lock()
        self._pauses = Pauses(retry_after_s)
        self._with_priority: set[int] = set()
        self._priority_waiting = 0
        self._serves_priority = False
        self._slowest_s: dict[int, float] = {}

    def serve(self, access: Access) -> None:
        """Keep to what one more device on the link needs."""
        self._habits = self._habits.with_device(access)

    def begin_priority(self, unit: int) -> None:
        """Let requests to a unit pass all others and every pause; what is under way now is broken off."""
        self._with_priority.add(unit)
        self._break_off()

    def end_priority(self, unit: int) -> None:
        """End what `begin_priority` began."""
        self._with_priority.discard(unit)

    async def read(self, unit: int, address: int, count: int, function: int = 3) -> bytes:
        """Read registers, or bits as a register each.

        Parameters
        ----------
        unit
            Unit id.
        address
            First register, 0-based.
        count
            Number of registers, at most 125.
        function
            3 for holding registers, 4 for input registers; 1 for coils, 2 for discrete inputs.

        Returns
        -------
        bytes
            Two for each of ``count`` registers, as they came.

        Raises
        ------
        DeviceUnreachable, DeviceTimeout, DeviceRefused, MalformedReply, WrongUnit
            As `devices.errors` explains.
        """
        reply = await self._request(unit, read_pdu(function, address, count))
        size = (count + 7) // 8 if function in READ_BITS else 2 * count
        if len(reply) != 2 + size or reply[1] != size:
            raise self._counted(
                MalformedReply(
                    f"{name_of(unit, self.link)} sent {len(reply) - 2} bytes for {count} registers; "
                    "check its profile"
                )
            )
        return _bits(reply[2:], count) if function in READ_BITS else reply[2:]

    async def write(self, unit: int, address: int, words: Sequence[int], function: int = WRITE_MANY) -> None:
        """Write holding registers, all at once or with function 6 one by one; errors as in `read`.

        With function 5 coils, one by one: every number but 0 is on.
        """
        runs = (
            [(address, words)]
            if function == WRITE_MANY
            else [(address + k, [w]) for k, w in enumerate(words)]
        )
        for place, run in runs:
            pdu = write_pdu(function, place, run)
            reply = await self._request(unit, pdu)
            # All these functions answer with the first five bytes of the request.
            if reply[:5] != pdu[:5]:
                raise self._counted(
                    MalformedReply(f"{name_of(unit, self.link)} confirmed another write; check its profile")
                )

    def silent(self, unit: int) -> int:
        """How often in a row a unit gave no answer."""
        return self._pauses.silent_times(unit)

    def let_through(self, unit: int) -> None:
        """Ask a unit once more although it was silent, and do not wait for its pause to end."""
        self._pauses.let_through(unit)

    async def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._drop()
        await asyncio.sleep(0)

    async def _request(self, unit: int, pdu: bytes) -> bytes:
        """Make one request when its turn comes; those of units with priority come first."""
        has_priority = unit in self._with_priority
        self._priority_waiting += has_priority
        if has_priority:
            self._break_off()
        try:
            async with self._lock:
                if self._priority_waiting and not has_priority:
                    raise self._counted(given_way(self.link, unit))
                self._serves_priority = has_priority
                return await self._exchange(unit, pdu, has_priority=has_priority)
        finally:
            self._priority_waiting -= has_priority

    async def _exchange(self, unit: int, pdu: bytes, *, has_priority: bool) -> bytes:
        """Ask a unit; where a connection that was open before is dead, ask again on a new one."""
        self._keep_open()
        if not has_priority:
            self._keep_pauses(unit)
        patience_s = self._patience_s(unit, has_priority=has_priority)
        began = time.monotonic()
        try:
            reply = None
            if self._wire is not None and self._wire.is_open:
                reply = await self._ask_again(self._wire, unit, pdu, patience_s)
            if reply is None:
                wire = await self._opened(patience_s)
                began = time.monotonic()
                reply = await self._ask(wire, unit, pdu, patience_s)
        except WireError as error:
            self._drop()
            if isinstance(error, Silent) and error.heard is None:
                self._pauses.silent(unit)
            raise self._counted(failure(error, self.link, unit, patience_s)) from None
        except asyncio.CancelledError:
            self._drop()
            raise
        self._slowest_s[unit] = max(self._slowest_s.get(unit, 0.0), time.monotonic() - began)
        self._pauses.answered(unit)
        self._close_later()
        if reply[0] & EXCEPTION:
            raise self._counted(refusal(reply[1], self.link, unit))
        return reply

    async def _ask_again(self, wire: Wire, unit: int, pdu: bytes, patience_s: float) -> bytes | None:
        """Ask on a connection that is open; ``None`` where it turned out dead."""
        is_old = asyncio.get_running_loop().time() - wire.used_s >= self._idle_s
        try:
            return await self._ask(wire, unit, pdu, patience_s)
        except Closed:
            pass
        except Silent as error:
            # A unit that was silent before is rather dead itself, and a serial line cannot be.
            if not is_old or error.heard is not None or self.link.scheme == "rtu" or self.silent(unit):
                raise
        self._drop()
        return None

    async def _ask(self, wire: Wire, unit: int, pdu: bytes, patience_s: float) -> bytes:
        if pause_s := self._habits.pause_s:
            await asyncio.sleep(wire.used_s + pause_s - asyncio.get_running_loop().time())
        if self._priority_waiting and not self._serves_priority:
            raise self._counted(given_way(self.link, unit))
        if pdu[0] in READS:
            self.counts.reads += 1
        else:
            self.counts.writes += 1
        reply = await wire.ask(unit, pdu, patience_s)
        if len(reply) < 2 or reply[0] & ~EXCEPTION != pdu[0]:
            raise Garbled
        return reply

    async def _opened(self, patience_s: float) -> Wire:
        """A connection made just now."""
        self._drop()
        self._opening = asyncio.create_task(open_wire(self.link))
        try:
            async with asyncio.timeout(patience_s):
                wire = await self._opening
        except (OSError, ValueError):
            self._pauses.pause_link()
            raise self._counted(unreachable(self.link)) from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise BrokenOff from None
        finally:
            self._opening = None
        self._wire = wire
        self.connects += 1
        if self._habits.connect_delay_s:
            await asyncio.sleep(self._habits.connect_delay_s)
        return wire

    def _patience_s(self, unit: int, *, has_priority: bool) -> float:
        """How long to wait for a connection, and for an answer [s]."""
        if not has_priority:
            return self._timeout_s
        return min(max(_PRIORITY_TIMEOUT_S, 2.0 * self._slowest_s.get(unit, 0.0)), self._timeout_s)

    def _break_off(self) -> None:
        """End the request under way, unless it is one with priority itself."""
        if self._serves_priority or not self._lock.locked():
            return
        if self._opening is not None:
            self._opening.cancel()
        elif self._wire is not None:
            self._wire.break_off()

    def _close_later(self) -> None:
        """Close a connection that devices do not keep, once nothing is asked any more."""
        if not self._habits.keeps_open:
            self._closing = asyncio.get_running_loop().call_later(_LINGER_S, self._drop)

    def _keep_open(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def _drop(self) -> None:
        self._keep_open()
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def _keep_pauses(self, unit: int) -> None:
        """Refuse a request to what is left alone for now."""
        if self._pauses.is_link_paused:
            raise self._counted(unreachable(self.link))
        if self._pauses.is_unit_paused(unit):
            raise self._counted(left_alone(self.link, unit, self.silent(unit)))

    def _counted(self, error: DeviceError) -> DeviceError:
        name = type(error).__name__
        self.counts.errors[name] = self.counts.errors.get(name, 0) + 1
        return error


def _bits(data: bytes, count: int) -> bytes:
    """Bits, the lowest of each byte first, as a register each."""
    return b"".join(((data[k // 8] >> k % 8) & 1).to_bytes(2, "big") for k in range(count))
