"""Modbus from the client's side: one connection for each link, one request at a time where it bears no more.

Whatever goes wrong becomes one of our own errors. After a time-out the connection is made anew, because a
late answer would be taken for the next one. A connection that turns out dead when it is used again is made
anew at once, and the request with it. A unit that stays silent is left alone for longer and longer, and a
link on which nobody answers fails at once for a while, so that the dead do not hold up the living.

Where the other side bears several requests at once, what waits goes out together. Of that only plain replies
count; whatever else becomes of a request shows when it is made once more by itself.

A unit with priority, as in an emergency stop, passes all of this: what is under way for others is broken off,
and no pause holds it up but those without which the device would not hear.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress

from devices.client.batch import Asked
from devices.client.failures import failure, given_way, left_alone, name_of, refusal, unreachable
from devices.client.frames import EXCEPTION, READS, WRITE_MANY, read_pdu, registers_in, write_pdu
from devices.client.habits import Habits
from devices.client.line import Line
from devices.client.pauses import Pauses
from devices.client.together import Together
from devices.client.wire import Closed, Garbled, Silent, Wire, WireError
from devices.counts import Counts
from devices.endpoint import Link
from devices.errors import DeviceError, DeviceProcessing, MalformedReply
from devices.registers.schema import Access

# How long a unit with priority is waited for, unless it has taken longer before [s].
_PRIORITY_TIMEOUT_S = 0.4
# How long a unit that has taken a write is left alone that needs a while for it [s].
_PROCESSING_S = 0.4
# A connection may have died unnoticed when nothing came in for so long [s].
_IDLE_S = 5.0


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
    link, counts
        Where it goes, and requests and errors until now.
    """

    def __init__(
        self, link: Link, timeout_s: float = 1.0, retry_after_s: float = 2.0, idle_s: float = _IDLE_S
    ) -> None:
        self.link = link
        self.counts = Counts()
        self._timeout_s = timeout_s
        self._idle_s = idle_s
        self._habits = Habits.of(link)
        self._line = Line(link)
        self._lock = asyncio.Lock()
        self._pauses = Pauses(retry_after_s)
        self._with_priority: set[int] = set()
        self._priority_waiting = 0
        self._serves_priority = False
        self._slowest_s: dict[int, float] = {}
        self._busy_until_s = 0.0
        self._together = Together(link.at_once, self._exchange_together)

    @property
    def connects(self) -> int:
        """How often the connection was made."""
        return self._line.connects

    @property
    def bears_many(self) -> bool:
        """Whether several requests may be under way at once."""
        return self.link.at_once > 1 and not self._habits.pause_s and self._habits.keeps_open

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
        data = registers_in(reply, count, function)
        if data is None:
            raise self._counted(
                MalformedReply(
                    f"{name_of(unit, self.link)} sent {len(reply) - 2} bytes for {count} registers; "
                    "check its profile"
                )
            )
        return data

    async def read_many(self, reads: Sequence[tuple[int, int, int, int]]) -> list[bytes | None]:
        """Read from several units at once, where the link bears that.

        Parameters
        ----------
        reads
            Unit id, first register, number of registers and function of each, as in `read`.

        Returns
        -------
        list
            What `read` returns; ``None`` for what has to be read by itself, which may raise an error.
        """
        asked = [(unit, read_pdu(function, address, count)) for unit, address, count, function in reads]
        replies = await self._together.ask(asked)
        return [
            None if reply is None else registers_in(reply, count, function)
            for reply, (_, _, count, function) in zip(replies, reads, strict=True)
        ]

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
            try:
                reply = await self._request(unit, pdu)
            except DeviceProcessing:
                # What becomes of it shows when it is read back.
                await asyncio.sleep(_PROCESSING_S)
                continue
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
        self._line.drop()
        await asyncio.sleep(0)

    async def _request(self, unit: int, pdu: bytes) -> bytes:
        """Make one request when its turn comes; those of units with priority come first."""
        has_priority = unit in self._with_priority
        # Who is alone need not wait for others to go with.
        if self._lock.locked() and self.bears_many and not has_priority:
            (reply,) = await self._together.ask([(unit, pdu)])
            if reply is not None:
                return reply
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

    async def _exchange_together(self, asked: Sequence[Asked]) -> list[bytes | None]:
        """Make several requests at once; ``None`` for what has to be made alone."""
        replies: list[bytes | None] = [None] * len(asked)
        async with self._lock:
            self._serves_priority = False
            # Who was silent would hold up the others.
            places = [place for place, (unit, _) in enumerate(asked) if not self.silent(unit)]
            if not places or self._priority_waiting or self._pauses.is_link_paused:
                return replies
            wire = self._line.open_wire
            with suppress(DeviceError, WireError):
                wire = wire or await self._opened(self._timeout_s)
            if wire is None or self._priority_waiting:
                return replies
            reads = sum(asked[place][1][0] in READS for place in places)
            self.counts.reads += reads
            self.counts.writes += len(places) - reads
            together = await wire.ask_together([asked[place] for place in places], self._timeout_s)
        for place, reply in zip(places, together, strict=True):
            replies[place] = reply
        return replies

    async def _exchange(self, unit: int, pdu: bytes, *, has_priority: bool) -> bytes:
        """Ask a unit; where a connection that was open before is dead, ask again on a new one."""
        self._line.keep()
        if not has_priority:
            self._keep_pauses(unit)
        patience_s = self._patience_s(unit, has_priority=has_priority)
        began = time.monotonic()
        try:
            reply = None
            wire = self._line.open_wire
            if wire is not None:
                reply = await self._ask_again(wire, unit, pdu, patience_s)
            if wire is None or reply is None:
                wire = await self._opened(patience_s)
                began = time.monotonic()
                reply = await self._ask(wire, unit, pdu, patience_s)
        except WireError as error:
            self._line.drop()
            if isinstance(error, Silent) and error.heard is None:
                self._pauses.silent(unit)
            raise self._counted(failure(error, self.link, unit, patience_s)) from None
        except asyncio.CancelledError:
            self._line.drop()
            raise
        if not wire.was_held_up:
            self._slowest_s[unit] = max(self._slowest_s.get(unit, 0.0), time.monotonic() - began)
        self._pauses.answered(unit)
        if not self._habits.keeps_open:
            self._line.close_later()
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
        self._line.drop()
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
        try:
            return await self._line.open(patience_s, self._habits.connect_delay_s)
        except (OSError, ValueError):
            self._pauses.pause_link()
            raise self._counted(unreachable(self.link)) from None

    def _patience_s(self, unit: int, *, has_priority: bool) -> float:
        """How long to wait for a connection, and for an answer [s]."""
        if not has_priority:
            return self._timeout_s
        # What was broken off may still be under way behind the other side.
        busy_s = max(0.0, self._busy_until_s - time.monotonic())
        return min(max(_PRIORITY_TIMEOUT_S, 2.0 * self._slowest_s.get(unit, 0.0)) + busy_s, self._timeout_s)

    def _break_off(self) -> None:
        """End the request under way, unless it is one with priority itself."""
        if not self._serves_priority and self._lock.locked():
            self._busy_until_s = time.monotonic() + max(self._slowest_s.values(), default=0.0)
            self._line.break_off()

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
