"""Devices that answer HTTP requests with JSON or a number."""

import asyncio
from collections.abc import Collection

import httpx

from broker.patience import within
from broker.wall_time import since_boot
from devices.counts import Counts
from devices.endpoint import Link
from devices.errors import DeviceError, DeviceFailure, DeviceTimeout, DeviceUnreachable, MalformedReply
from devices.sources.feed import Document

_MOST_BYTES = 262_144


class HttpFeed:
    """Answers of one web server (`devices.sources.feed.Feed`).

    Parameters
    ----------
    link
        The server.
    timeout_s
        How long to wait for a connection or an answer [s].
    retry_after_s
        How long a server that nobody answers for is left alone [s]; what is sent passes this.
    """

    def __init__(self, link: Link, timeout_s: float, retry_after_s: float) -> None:
        self.link = link
        self.counts = Counts()
        self._retry_after_s = retry_after_s
        self._not_before_s = 0.0
        self._timeout_s = timeout_s
        self._client: httpx.AsyncClient | None = None
        self._lock = asyncio.Lock()

    async def listen(self, places: Collection[str]) -> None:
        """Nothing is said by itself here."""

    def stood_still_s(self, since_s: float) -> float:  # noqa: ARG002  # nothing is said by itself here
        """See `devices.sources.feed.Feed`."""
        return 0.0

    async def fetch(self, places: Collection[str], since_s: float | None = None) -> dict[str, Document]:  # noqa: ARG002  # an answer is always new
        """See `devices.sources.feed.Feed`."""
        if since_boot() < self._not_before_s:
            raise self._counted(DeviceUnreachable(f"nothing answers at {self.link}; check address and power"))
        found = {}
        for place in places:
            self.counts.reads += 1
            # Small web servers serve one request at a time; what is sent does not wait for it.
            async with self._lock:
                body = await self._ask("GET", place, "")
            found[place] = Document(body, since_boot())
        return found

    async def send(self, place: str, text: str, method: str) -> None:
        """Make a request; anything but a status of success is a refusal."""
        self.counts.writes += 1
        await self._ask(method, place, text)
        self._not_before_s = 0.0

    async def close(self) -> None:
        """Close all connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _ask(self, method: str, place: str, text: str) -> bytes:
        path = place if place.startswith("/") else f"/{place}"
        headers = {"content-type": "application/json"} if text else {}
        try:
            client = self._opened()
            request = client.build_request(method, path, content=text or None, headers=headers)
            async with within(self._timeout_s):
                reply = await client.send(request, stream=True)
            try:
                async with within(self._timeout_s):
                    body = await self._body(reply, path)
            finally:
                await reply.aclose()
        except TimeoutError:
            self._not_before_s = since_boot() + self._retry_after_s
            raise self._counted(
                DeviceTimeout(f"{self.link} did not answer within {self._timeout_s:g} s; check its power")
            ) from None
        except httpx.TransportError as error:
            self._not_before_s = since_boot() + self._retry_after_s
            raise self._counted(
                DeviceUnreachable(
                    f"{self.link} cannot be reached ({error or type(error).__name__}); check it"
                )
            ) from None
        if not 200 <= reply.status_code < 300:
            raise self._counted(
                DeviceFailure(
                    f"{self.link}{path} answered with status {reply.status_code}; check path and password"
                )
            )
        return body

    async def _body(self, reply: httpx.Response, path: str) -> bytes:
        body = bytearray()
        async for part in reply.aiter_bytes():
            body += part
            if len(body) > _MOST_BYTES:
                raise self._counted(MalformedReply(f"{self.link}{path} sends no end; check the path"))
        return bytes(body)

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            # Proxies of the environment are no way to a device on one's own network. The library's own timers
            # would blame a server while this process was held up.
            self._client = httpx.AsyncClient(
                base_url=self.link.url,
                timeout=None,  # noqa: S113  # `_ask` keeps the time
                trust_env=False,
                follow_redirects=False,
            )
        return self._client

    def _counted(self, error: DeviceError) -> DeviceError:
        self.counts.note(error)
        return error
