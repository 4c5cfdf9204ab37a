"""Metrics and health of a process over HTTP: ``/metrics`` and ``/health``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from cosim.observation.metrics import CONTENT_TYPE, ProcessMetrics
from sharegrid.errors import SharegridError

_PATIENCE_S = 5.0
_LONGEST_LINE = 4096


class ObservationError(SharegridError):
    """An address for metrics that is none, or is taken."""


def metrics_of(address: str | None) -> ProcessMetrics | None:
    """Metrics of this process, where somebody wants to read them."""
    return None if address is None else ProcessMetrics()


@asynccontextmanager
async def observed(metrics: ProcessMetrics | None, address: str | None) -> AsyncIterator[None]:
    """Serve a process's metrics and health for the time of a ``with`` block; nothing without an address.

    Parameters
    ----------
    metrics
        What is served.
    address
        ``HOST:PORT``; port 0 takes a free one.

    Raises
    ------
    ObservationError
        The address is none, or is taken.
    """
    if metrics is None or address is None:
        yield
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65_535:
        raise ObservationError(f"--metrics {address}: give HOST:PORT, such as 127.0.0.1:9464")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _answer(metrics, reader, writer)

    try:
        server = await asyncio.start_server(answer, host.strip("[]"), int(port), limit=_LONGEST_LINE)
    except OSError as error:
        raise ObservationError(f"--metrics {address}: {error.strerror or error}; choose another") from None
    watching = asyncio.create_task(metrics.watch_loop())
    try:
        async with server:
            yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _answer(
    metrics: ProcessMetrics, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one request; whoever asks nonsense gets nothing."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            request = (await reader.readuntil(b"\r\n")).split()
            status, kind, body = _response(metrics, request)
            head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
            writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
            await writer.drain()
    except (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError):
        return
    finally:
        writer.close()


def _response(metrics: ProcessMetrics, request: list[bytes]) -> tuple[str, str, bytes]:
    path = request[1].partition(b"?")[0] if len(request) == 3 and request[0] == b"GET" else b""
    if path == b"/metrics":
        return "200 OK", CONTENT_TYPE, metrics.text()
    if path == b"/health":
        health = metrics.health()
        status = "200 OK" if health["healthy"] else "503 Service Unavailable"
        return status, "application/json", msgspec.json.encode(health)
    return "404 Not Found", "text/plain", b"/metrics or /health\n"
