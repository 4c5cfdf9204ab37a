"""Where chargers connect to: a WebSocket server that knows those of its scenario and no others."""

import asyncio
import base64
import binascii
import hmac
import logging
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from broker.patience import within
from broker.pulse import Pulse
from broker.wall_time import since_boot
from devices.counts import Counts
from devices.endpoint import Link
from devices.errors import ServerError
from devices.sources.ocpp.charger import Charger
from devices.sources.ocpp.session import Session
from devices.sources.ocpp.v16 import Session16
from devices.sources.ocpp.v201 import Session201

_VERSIONS: dict[str, Callable[[str, ServerConnection, dict[int, Charger], int], Session]] = {
    "ocpp2.0.1": Session201,
    "ocpp1.6": Session16,
}
_HEARTBEAT_S = 60
_PING_S = 20.0
_MOST_BYTES = 262_144

# Every failure is told as one of our errors.
logging.getLogger("ocpp").setLevel(logging.CRITICAL)
logging.getLogger("websockets").setLevel(logging.CRITICAL)


class CentralSystem:
    """Server for all chargers of one address.

    Parameters
    ----------
    link
        Where it listens.

    Attributes
    ----------
    sessions
        Chargers that are connected, by name.
    stranger
        Name of the last one that is not in the scenario; empty where there was none.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.counts = Counts()
        self.sessions: dict[str, Session] = {}
        self.stranger = ""
        self._known: dict[str, dict[int, Charger]] = {}
        self._passwords: dict[str, str] = {}
        self._server: Server | None = None
        self._opening = asyncio.Lock()
        self._pulse: Pulse | None = None

    def stood_still_s(self, since_s: float) -> float:
        """How long this process stood still at last, where that ended after a time [s]."""
        return 0.0 if self._pulse is None else self._pulse.stood_still_s(since_s)

    def _said_s(self) -> float:
        return since_boot() if self._pulse is None else self._pulse.said_s()

    def expect(self, name: str, connector: int, password: str) -> Charger:
        """State of a connector of a charger that may connect, with a password where one is given."""
        if password:
            self._passwords[name] = password
        return self._known.setdefault(name, {}).setdefault(connector, Charger(said_s=self._said_s))

    async def open(self) -> None:
        """Listen; raises `ServerError` where the address is taken."""
        async with self._opening:
            if self._server is not None:
                return
            try:
                self._server = await serve(
                    self._serve,
                    self.link.place,
                    self.link.port,
                    subprotocols=[Subprotocol(name) for name in _VERSIONS],
                    process_request=self._admit,
                    max_size=_MOST_BYTES,
                    # Its own timers would end connections of chargers while this process was held up.
                    ping_interval=None,
                )
                self._pulse = Pulse()
            except OSError as error:
                raise ServerError(
                    f"chargers cannot connect to {self.link}: {error.strerror}; choose another port"
                ) from None

    @property
    def port(self) -> int:
        """Port that it listens at."""
        assert self._server is not None
        found: int = next(iter(self._server.sockets)).getsockname()[1]
        return found

    async def close(self) -> None:
        """End all connections; a later request opens it again."""
        server, self._server = self._server, None
        if self._pulse is not None:
            self._pulse.close()
        if server is not None:
            server.close()
            await server.wait_closed()
        self.sessions.clear()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        name = _name_in(request)
        if name not in self._known:
            self.stranger = name[:40]
            return connection.respond(HTTPStatus.NOT_FOUND, "this charger is not in the scenario\n")
        wanted = self._passwords.get(name)
        if wanted is not None and not hmac.compare_digest(_password_in(request).encode(), wanted.encode()):
            self.counts.note(PermissionError())
            return connection.respond(HTTPStatus.UNAUTHORIZED, "wrong password\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        name = _name_in(connection.request)
        make = _VERSIONS.get(connection.subprotocol or "")
        if make is None:
            await connection.close(1002, "speak ocpp1.6 or ocpp2.0.1")
            return
        before = self.sessions.get(name)
        session = make(name, connection, self._known[name], _HEARTBEAT_S)
        self.sessions[name] = session
        if before is not None:
            await before.leave()
        keeper = asyncio.create_task(_keep_alive(connection))
        try:
            await session.start()
        except ConnectionClosed:
            pass  # The session is gone, which is what its absence says.
        finally:
            keeper.cancel()
            if self.sessions.get(name) is session:
                del self.sessions[name]


async def _keep_alive(connection: ServerConnection) -> None:
    """End a connection over which no sign comes any more."""
    with suppress(ConnectionClosed):
        while True:
            await asyncio.sleep(_PING_S)
            pong = await connection.ping()
            try:
                async with within(_PING_S):
                    await pong
            except TimeoutError:
                await connection.close(1011, "no answer to a ping")


def _name_in(request: Request) -> str:
    return unquote(request.path.partition("?")[0].rstrip("/").rpartition("/")[2])


def _password_in(request: Request) -> str:
    """Password of basic authentication, as the protocol's first security profile has it."""
    kind, _, coded = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(coded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
