"""The view over HTTP: one page, what changes as server-sent events, and the buttons' words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Protocol
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.messages import FeederEvent
from cosim.feeder.settings import event_of
from cosim.view.access import COOKIE, KEY_FIELD, KEY_HEADER, TOKEN, Access
from cosim.view.hub import Hub
from cosim.view.observer import Action
from cosim.view.pages import STATIC, page, stop_page
from cosim.view.panels import LiveRow, Panel
from sharegrid.decoding import decode_json
from sharegrid.errors import SharegridError

MOST_SCREENS = 64
_LONGEST_BODY = 2048
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class Shown(Protocol):
    """What the server needs of a view model beside its panels."""

    def find_devices(self, text: str) -> list[LiveRow]:
        """Live prosumers by name, id or LAM."""

    def at(self, tick: int) -> dict[str, Panel]:
        """Panels of an interval of the past; none where the run goes on."""


Stop = Callable[[str], Awaitable[None]]
"""Stops all devices for a reason; what becomes of it shows in the view."""


LeadRun = Callable[[Action, float | None, FeederEvent | None], Awaitable[None]]
"""Leads the run; the pace and the event are those of the actions of these names."""


class Wanted(msgspec.Struct, frozen=True):
    """What buttons other than the stop ask for; a pace of ``None`` is as fast as it goes."""

    action: Action
    pace: Annotated[float, msgspec.Meta(gt=0.0, le=1e6)] | None = None
    event: FeederEvent | None = None


class Pages:
    """Answers of the view.

    Parameters
    ----------
    shown
        What is shown.
    hub
        What passes its changes on.
    access
        Who may see it and press buttons.
    stop, lead
        Emergency stop, and leading the run; ``None`` where whoever looks may not.
    """

    def __init__(
        self, shown: Shown, hub: Hub, access: Access, stop: Stop | None = None, lead: LeadRun | None = None
    ) -> None:
        self._shown = shown
        self._hub = hub
        self._access = access
        self._stop = stop
        self._lead = lead
        self._stopping: set[asyncio.Task[None]] = set()

    def routes(self) -> Sequence[Route | Mount]:
        """Where each answer is."""
        return [
            Route("/", self.page),
            Route("/parts", self.parts),
            Route("/devices", self.devices),
            Route("/at/{tick:int}", self.at),
            Route("/stop", self.stop_page, methods=["GET"]),
            Route("/stop", self.stop, methods=["POST"]),
            Route("/lead", self.lead, methods=["POST"]),
            Mount("/static", StaticFiles(directory=STATIC, packages=[("cosim.map", "static")])),
        ]

    async def page(self, _: Request) -> Response:
        """The page; its buttons carry the key."""
        return HTMLResponse(page(self._access.key, may_stop=self._stop is not None))

    async def parts(self, _: Request) -> Response:
        """All panels, then what changes."""
        if self._hub.screens >= MOST_SCREENS:
            return PlainTextResponse(f"{MOST_SCREENS} screens are open already; close one\n", 503)
        return StreamingResponse(self._events(), media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        async for content in self._hub.parts():
            yield b"data: %b\n\n" % content

    async def devices(self, request: Request) -> Response:
        """Live prosumers that hold a text."""
        found = self._shown.find_devices(request.query_params.get("find", "")[:100])
        return Response(msgspec.json.encode(found), media_type="application/json")

    async def at(self, request: Request) -> Response:
        """Panels of an interval of a past run."""
        panels = self._shown.at(request.path_params["tick"])
        return Response(msgspec.json.encode(panels), media_type="application/json")

    async def stop_page(self, _: Request) -> Response:
        """The question before a stop, for a browser whose scripts do not run or have not come yet."""
        if self._stop is None:
            return PlainTextResponse("this view may not stop devices\n", 403)
        return HTMLResponse(stop_page(self._access.key))

    async def stop(self, request: Request) -> Response:
        """Stop all devices; the answer does not wait for them."""
        if len(await request.body()) > _LONGEST_BODY:
            return PlainTextResponse("too long\n", 413)
        if self._stop is None or not self._access.may_press(await _key(request)):
            return PlainTextResponse(
                "this view may not stop devices, or the page is old: load it anew\n", 403
            )
        task = asyncio.ensure_future(self._stop("asked for in the view"))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
        return Response(status_code=204) if KEY_HEADER in request.headers else RedirectResponse("/", 303)

    async def lead(self, request: Request) -> Response:
        """Pause the run, let it take a step or go on, change its pace, or let an event happen."""
        body = await request.body()
        if len(body) > _LONGEST_BODY:
            return PlainTextResponse("too long\n", 413)
        if self._lead is None or not self._access.may_press(request.headers.get(KEY_HEADER, "")):
            return PlainTextResponse(
                "this view may not lead the run, or the page is old: load it anew\n", 403
            )
        try:
            wanted = decode_json(body, Wanted)
        except msgspec.DecodeError:
            return PlainTextResponse("no such action, pace or event\n", 422)
        try:
            if wanted.event is not None:
                event_of(msgspec.structs.asdict(wanted.event))
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 422)
        try:
            await self._lead(wanted.action, wanted.pace, wanted.event)
        except SharegridError as error:
            return PlainTextResponse(f"{error}\n", 502)
        return Response(status_code=204)


async def _key(request: Request) -> str:
    if KEY_HEADER in request.headers:
        return request.headers[KEY_HEADER]
    form = parse_qs((await request.body()).decode(errors="replace"))
    return form.get(KEY_FIELD, [""])[0]


class Guard:
    """Lets in who may see the view, and tells browsers that nothing of it comes from or goes elsewhere.

    Parameters
    ----------
    app
        What is guarded.
    access
        Who may see it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        query = request.query_params
        if not self._access.admits(request.headers.get("host", ""), query, request.cookies):
            refusal = PlainTextResponse(
                "open the address that `sharegrid view` printed, with its token\n", 403
            )
            await refusal(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if self._access.is_open and TOKEN in query:
                    cookie = f"{COOKIE}={self._access.token}; HttpOnly; SameSite=Strict; Path=/"
                    headers.append("set-cookie", cookie)
            await send(message)

        await self._app(scope, receive, send_guarded)


def application(pages: Pages, access: Access, beside: Callable[[], Awaitable[None]]) -> Starlette:
    """The view as an ASGI application.

    Parameters
    ----------
    pages
        Its answers.
    access
        Who may see it.
    beside
        What goes on while it serves.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.ensure_future(beside())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return Starlette(
        routes=pages.routes(),
        middleware=[Middleware(Guard, access=access)],
        lifespan=lifespan,
    )
