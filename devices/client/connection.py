"""Modbus from the client's side: one connection for each link, one request at a time.

Whatever goes wrong becomes one of our own errors. After a time-out the connection is made anew, because a
late answer would be taken for the next one. A unit that stays silent is left alone for longer and longer, and
a link on which nobody answers fails at once for a while, so that the dead do not hold up the living.

A unit with priority, as in an emergency stop, passes all of this: what is under way for others is broken off,
and no pause holds it up.
"""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from devices.client.pauses import Pauses
from devices.client.transport import Client, make_client
from devices.endpoint import Link
from devices.errors import (
    BY_EXCEPTION_CODE,
    DeviceError,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    MalformedReply,
)

MOST_WRITTEN = 123
# How long a unit with priority is waited for, unless it has taken longer before [s].
_PRIORITY_TIMEOUT_S = 0.4


@dataclass(slots=True)
class Counts:
    """Requests of a connection since its start; ``errors`` by name of the error."""

    reads: int = 0
    writes: int = 0
    errors: dict[str, int] = field(default_factory=dict)

    def add(self, other: "Counts") -> None:
        """Take the counts of another connection in."""
        self.reads += other.reads
        self.writes += other.writes
        for name, number in other.errors.items():
            self.errors[name] = self.errors.get(name, 0) + number


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

    Attributes
    ----------
    connects
        How often the connection was made.
    """

    def __init__(self, link: Link, timeout_s: float = 1.0, retry_after_s: float = 2.0) -> None:
        self.link = link
        self.counts = Counts()
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._lock = asyncio.Lock()
        self._pauses = Pauses(retry_after_s)
        self.connects = 0
        self._with_priority: set[int] = set()
        self._priority_waiting = 0
        self._under_way: asyncio.Task[ModbusPDU] | None = None
        self._serves_priority = False
        self._slowest_s: dict[int, float] = {}

    def begin_priority(self, unit: int) -> None:
        """Let requests to a unit pass all others and every pause; what is under way now is broken off."""
        self._with_priority.add(unit)
        self._break_off()

    def end_priority(self, unit: int) -> None:
        """End what `begin_priority` began."""
        self._with_priority.discard(unit)

    async def read(self, unit: int, address: int, count: int, function: int = 3) -> bytes:
        """Read registers.

        Parameters
        ----------
        unit
            Unit id.
        address
            First register, 0-based.
        count
            Number of registers, at most 125.
        function
            3 for holding registers, 4 for input registers.

        Returns
        -------
        bytes
            Two for each of ``count`` registers, as they came.

        Raises
        ------
        DeviceUnreachable, DeviceTimeout, DeviceRefused, MalformedReply
            As `devices.errors` explains.
        """

        def ask(client: Client) -> Awaitable[ModbusPDU]:
            self.counts.reads += 1
            read = client.read_holding_registers if function == 3 else client.read_input_registers
            return read(address, count=count, device_id=unit)

        reply = await self._request(unit, ask)
        if len(reply.registers) != count:
            raise self._counted(
                MalformedReply(
                    f"{self._name(unit)} sent {len(reply.registers)} registers for {count}; check its profile"
                )
            )
        return struct.pack(f">{count}H", *reply.registers)

    async def write(self, unit: int, address: int, words: Sequence[int], function: int = 16) -> None:
        """Write holding registers, all at once or with function 6 one by one; errors as in `read`."""
        runs = [(address, words)] if function == 16 else [(address + k, [w]) for k, w in enumerate(words)]
        for place, run in runs:

            def ask(client: Client, place: int = place, run: Sequence[int] = run) -> Awaitable[ModbusPDU]:
                self.counts.writes += 1
                if function == 16:
                    return client.write_registers(place, list(run), device_id=unit)
                return client.write_register(place, run[0], device_id=unit)

            await self._request(unit, ask)

    def silent(self, unit: int) -> int:
        """How often in a row a unit gave no answer."""
        return self._pauses.silent_times(unit)

    async def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._drop()
        await asyncio.sleep(0)

    async def _request(self, unit: int, ask: Callable[[Client], Awaitable[ModbusPDU]]) -> ModbusPDU:
        """Make one request when its turn comes; those of units with priority come first."""
        has_priority = unit in self._with_priority
        self._priority_waiting += has_priority
        if has_priority:
            self._break_off()
        try:
            async with self._lock:
                if self._priority_waiting and not has_priority:
                    raise self._given_way(unit)
                self._serves_priority = has_priority
                self._under_way = asyncio.create_task(self._exchange(unit, ask))
                try:
                    return await self._under_way
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if task is not None and task.cancelling():
                        raise
                    raise self._given_way(unit) from None
                finally:
                    self._under_way = None
        finally:
            self._priority_waiting -= has_priority

    async def _exchange(self, unit: int, ask: Callable[[Client], Awaitable[ModbusPDU]]) -> ModbusPDU:
        began = time.monotonic()
        if unit not in self._with_priority:
            reply = await self._answer(ask(await self._connected(unit)), unit)
        else:
            patience_s = max(_PRIORITY_TIMEOUT_S, 2.0 * self._slowest_s.get(unit, 0.0))
            try:
                async with asyncio.timeout(min(patience_s, self._timeout_s)):
                    reply = await self._answer(ask(await self._connected(unit)), unit)
            except TimeoutError:
                raise self._counted(
                    DeviceTimeout(f"{self._name(unit)} did not answer in time; check its power")
                ) from None
        self._slowest_s[unit] = max(self._slowest_s.get(unit, 0.0), time.monotonic() - began)
        return reply

    def _break_off(self) -> None:
        """End the request under way, unless it is one with priority itself."""
        if self._under_way is not None and not self._serves_priority:
            self._under_way.cancel()

    def _given_way(self, unit: int) -> DeviceError:
        return self._counted(DeviceTimeout(f"a request to {self._name(unit)} gave way to an emergency stop"))

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _name(self, unit: int) -> str:
        return f"unit {unit} at {self.link}"

    def _counted(self, error: DeviceError) -> DeviceError:
        name = type(error).__name__
        self.counts.errors[name] = self.counts.errors.get(name, 0) + 1
        return error

    async def _connected(self, unit: int) -> Client:
        if unit not in self._with_priority:
            self._keep_pauses(unit)
        if self._client is not None and self._client.connected:
            return self._client
        self._drop()
        client = make_client(self.link, self._timeout_s)
        try:
            is_connected = await client.connect()
        except asyncio.CancelledError:
            client.close()
            raise
        if not is_connected:
            self._pauses.pause_link()
            raise self._unreachable()
        self._client = client
        self.connects += 1
        return client

    def _keep_pauses(self, unit: int) -> None:
        """Refuse a request to what is left alone for now."""
        if self._pauses.is_link_paused:
            raise self._unreachable()
        if self._pauses.is_unit_paused(unit):
            raise self._counted(
                DeviceTimeout(
                    f"{self._name(unit)} was silent {self.silent(unit)} times in a row and is left alone for "
                    "a while; check its power and wiring"
                )
            )

    def _unreachable(self) -> DeviceError:
        return self._counted(
            DeviceUnreachable(f"no Modbus device answers at {self.link}; check address and power")
        )

    async def _answer(self, request: Awaitable[ModbusPDU], unit: int) -> ModbusPDU:
        try:
            reply = await request
        except ConnectionException:
            self._drop()
            raise self._unreachable() from None
        except ModbusIOException:
            raise self._gone_silent(unit) from None
        except ModbusException as error:
            self._drop()
            raise self._counted(
                MalformedReply(f"{self._name(unit)} sent no Modbus answer: {error}; check its profile")
            ) from error
        except asyncio.CancelledError:
            self._drop()
            raise
        self._pauses.answered(unit)
        if reply.isError():
            kind, meaning = BY_EXCEPTION_CODE.get(
                reply.exception_code,
                (DeviceRefused, f"sent exception {reply.exception_code}; see its manual"),
            )
            raise self._counted(kind(f"{self._name(unit)} {meaning}"))
        return reply

    def _gone_silent(self, unit: int) -> DeviceError:
        self._drop()
        self._pauses.silent(unit)
        return self._counted(
            DeviceTimeout(f"{self._name(unit)} did not answer within {self._timeout_s:g} s; check its power")
        )
