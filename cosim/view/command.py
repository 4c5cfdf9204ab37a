"""What ``sharegrid view`` does: from a run that goes on, or a run directory, to a page in a browser."""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
import uvicorn

from cosim.emergency import RunAddress, run_address
from cosim.results.errors import ResultsError
from cosim.results.lock import refuse_living
from cosim.results.names import LIVE
from cosim.view.access import TOKEN, Access
from cosim.view.hub import Hub
from cosim.view.live import LiveModel
from cosim.view.observer import lead_run, may_command, observe, runs_at, stop_devices
from cosim.view.past import PastModel
from cosim.view.server import Pages, application
from sharegrid.errors import SharegridError

READY = "view: "
_USUAL_PORT = 8050


class ViewError(SharegridError):
    """Nothing to show, or no place to show it at."""


@dataclass(frozen=True)
class ViewOptions:
    """What a user says of a view.

    Attributes
    ----------
    directory
        Run directory; of a run that goes on, it is followed.
    broker, run_id
        Where a run is whose directory is elsewhere; without an id the one that the broker knows.
    port
        Port, 0 for a free one; ``None`` for the usual one, or a free one where that is in use.
    host, token
        Address at which it listens, and what others than this computer have to bring.
    look_only
        Whether there are no buttons that command.
    """

    directory: Path | None = None
    broker: str | None = None
    run_id: str | None = None
    port: int | None = None
    host: str = "127.0.0.1"
    token: str = ""
    look_only: bool = False

    def access(self) -> Access:
        """Who may see it; a token for others is made where none is given."""
        access = Access(self.host, self.token)
        return replace(access, token=self.token or secrets.token_urlsafe(12)) if access.is_open else access


def view_command(options: ViewOptions) -> None:
    """Serve the view until it is interrupted.

    Raises
    ------
    SharegridError
        Nothing to show, or no place to show it at.
    """
    access, directory = options.access(), options.directory
    with _listener(options.host, options.port) as listener:
        if directory is not None and not _goes_on(directory):
            past = PastModel(directory)
            hub = Hub(past)
            _run(_server(Pages(past, hub, access), access, hub.run), access, listener, options.port)
            return
        at = asyncio.run(_address_of(options)) if directory is None else run_address(directory)
        _serve_live(at, access, listener, options)


def _goes_on(directory: Path) -> bool:
    """Whether a run goes on in a directory: one that was killed leaves its note behind."""
    if not (directory / LIVE).exists():
        return False
    try:
        refuse_living(directory)
    except ResultsError:
        return True
    return False


def _serve_live(at: RunAddress, access: Access, listener: socket.socket, options: ViewOptions) -> None:
    is_operator = not options.look_only and may_command(at.broker)
    model = LiveModel(at.run, may_command=is_operator)
    hub = Hub(model)
    failed: list[SharegridError] = []

    async def beside() -> None:
        """Hear the run and pass on what it says; what fails ends the server."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(hub.run())
                group.create_task(observe(at, model, hub.touch))
        except* SharegridError as errors:
            failed.extend(error for error in errors.exceptions if isinstance(error, SharegridError))
            server.should_exit = True

    async def stop(reason: str) -> None:
        await stop_devices(at, model, reason, hub.touch)

    may = (stop, partial(lead_run, at)) if is_operator else ()
    pages = Pages(model, hub, access, *may)
    server = _server(pages, access, beside)
    _run(server, access, listener, options.port)
    if failed:
        raise failed[0]


def _server(pages: Pages, access: Access, beside: Callable[[], Awaitable[None]]) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            application(pages, access, beside),
            lifespan="on",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
            # What a page sends is short; nobody has a reason to keep many connections.
            limit_concurrency=256,
        )
    )


def _run(server: uvicorn.Server, access: Access, listener: socket.socket, given: int | None) -> None:
    more = "" if given is not None or _port(listener) == _USUAL_PORT else f" (port {_USUAL_PORT} is in use)"
    click.echo(f"{READY}{_address(access, listener)}{more}", err=True)
    server.run(sockets=[listener])


def _address(access: Access, listener: socket.socket) -> str:
    host = f"[{access.host}]" if ":" in access.host else access.host
    shown = socket.gethostname() if access.host in ("0.0.0.0", "::") else host  # noqa: S104
    token = f"?{TOKEN}={access.token}" if access.is_open else ""
    return f"http://{shown}:{_port(listener)}/{token}"


def _port(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def _listener(host: str, port: int | None) -> socket.socket:
    """Socket at a port; where none is given, at the usual one, or at a free one where that is in use."""
    wanted = _USUAL_PORT if port is None else port
    try:
        family = socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise _no_place(host, error) from None
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, wanted))
        made.listen()  # Whoever reads the address may come before the server takes the first one in.
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL or not wanted:
            raise _no_place(host, error) from None
        if port is None:
            return _listener(host, 0)
        raise ViewError(
            f"--port {port}: {host}:{port}: {error.strerror or error}; "
            "choose another port, or leave it out for a free one"
        ) from None
    return made


def _no_place(host: str, error: OSError) -> ViewError:
    return ViewError(f"--host {host}: {error.strerror or error}; give an address of this computer")


async def _address_of(options: ViewOptions) -> RunAddress:
    """The run at a broker that is named, or the only one that it knows."""
    broker, run_id = options.broker, options.run_id
    if not broker:
        raise ViewError("view: which run? Give its directory, or --broker")
    if run_id:
        return RunAddress(run_id, broker)
    runs = await runs_at(broker)
    if len(runs) == 1:
        return RunAddress(runs[0], broker)
    if not runs:
        raise ViewError("view: this broker knows no run; start one, or wait for one by --run-id")
    raise ViewError(f"view: several runs are at this broker; add --run-id: {', '.join(runs)}")
