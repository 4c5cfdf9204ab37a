"""Modbus TCP from the client's side: one connection for each host and port, one request at a time.

Whatever goes wrong becomes one of our own errors. After a time-out the connection is made anew; where
nothing answers, further requests fail at once for a while, so that a dead port does not hold up a poll.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException, ModbusIOException
from pymodbus.pdu import ModbusPDU

from devices.errors import (
    BY_EXCEPTION_CODE,
    DeviceError,
    DeviceRefused,
    DeviceTimeout,
    DeviceUnreachable,
    MalformedReply,
)

MOST_WRITTEN = 123
_SILENT_IN_A_ROW = 2

# Every failure is raised as one of our errors; the client would log it a second time.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)


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
    """Client of one host and port.

    Parameters
    ----------
    host, port
        Where to connect; the connection is made with the first request.
    timeout_s
        How long to wait for a connection or an answer [s].
    retry_after_s
        How long requests fail at once after the port was found dead [s].
    """

    def __init__(self, host: str, port: int, timeout_s: float = 1.0, retry_after_s: float = 2.0) -> None:
        self.host = host
        self.port = port
        self.counts = Counts()
        self._timeout_s = timeout_s
        self._retry_after_s = retry_after_s
        self._client: AsyncModbusTcpClient | None = None
        self._lock = asyncio.Lock()
        self._dead_until = 0.0
        self._silent = 0

    async def read(self, unit: int, address: int, count: int, function: int = 3) -> list[int]:
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
        list of int
            ``count`` words.

        Raises
        ------
        DeviceUnreachable, DeviceTimeout, DeviceRefused, MalformedReply
            As `devices.errors` explains.
        """
        async with self._lock:
            self.counts.reads += 1
            client = await self._connected()
            ask = client.read_holding_registers if function == 3 else client.read_input_registers
            reply = await self._answer(ask(address, count=count, device_id=unit), unit)
        if len(reply.registers) != count:
            raise self._counted(
                MalformedReply(
                    f"{self._name(unit)} sent {len(reply.registers)} registers for {count}; check its profile"
                )
            )
        return list(reply.registers)

    async def write(self, unit: int, address: int, words: Sequence[int]) -> None:
        """Write holding registers with function 16; parameters and errors as in `read`."""
        async with self._lock:
            self.counts.writes += 1
            client = await self._connected()
            await self._answer(client.write_registers(address, list(words), device_id=unit), unit)

    async def close(self) -> None:
        """Close the connection; a later request opens it again."""
        self._drop()
        await asyncio.sleep(0)

    def _drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _name(self, unit: int) -> str:
        return f"unit {unit} at {self.host}:{self.port}"

    def _counted(self, error: DeviceError) -> DeviceError:
        name = type(error).__name__
        self.counts.errors[name] = self.counts.errors.get(name, 0) + 1
        return error

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None and self._client.connected:
            return self._client
        if time.monotonic() < self._dead_until:
            raise self._unreachable()
        self._drop()
        client = AsyncModbusTcpClient(
            self.host, port=self.port, timeout=self._timeout_s, retries=0, reconnect_delay=0
        )
        if not await client.connect():
            self._dead_until = time.monotonic() + self._retry_after_s
            raise self._unreachable()
        self._client = client
        return client

    def _unreachable(self) -> DeviceError:
        return self._counted(
            DeviceUnreachable(f"no Modbus device answers at {self.host}:{self.port}; check address and power")
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
        self._silent = 0
        if reply.isError():
            kind, meaning = BY_EXCEPTION_CODE.get(
                reply.exception_code,
                (DeviceRefused, f"sent exception {reply.exception_code}; see its manual"),
            )
            raise self._counted(kind(f"{self._name(unit)} {meaning}"))
        return reply

    def _gone_silent(self, unit: int) -> DeviceError:
        """Drop the connection, on which a late answer would be taken for the next one."""
        self._drop()
        self._silent += 1
        if self._silent >= _SILENT_IN_A_ROW:
            self._dead_until = time.monotonic() + self._retry_after_s
        return self._counted(
            DeviceTimeout(f"{self._name(unit)} did not answer within {self._timeout_s:g} s; check its power")
        )


def merge_spans(spans: Iterable[tuple[int, int]], most: int, gap: int) -> list[tuple[int, int]]:
    """Fewest reads that cover register spans in order of address.

    Parameters
    ----------
    spans
        First register and the one past the last, in any order, overlapping or not.
    most
        Most registers that one read may ask for.
    gap
        Most unwanted registers between two spans that are still read together.

    Returns
    -------
    list
        Spans of at most ``most`` registers; a longer span is cut.
    """
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        begin = first
        if merged and first - merged[-1][1] <= gap:
            start, end = merged[-1]
            if last - start <= most:
                merged[-1] = (start, max(end, last))
                continue
            begin = max(first, end)
        while last - begin > most:
            merged.append((begin, begin + most))
            begin += most
        if last > begin:
            merged.append((begin, last))
    return merged
