"""``sharegrid influx``: what a run says, to a time series database or as lines on the terminal."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import click
import httpx

from broker.messages import Step
from broker.topics import Topics
from cosim.observation.listening import hearing
from cosim.observation.points import Points
from cosim.scenario.web import is_web_address
from sharegrid.errors import SharegridError

_MOST_LINES = 200_000
_LINES_A_WRITE = 5_000
_EVERY_S = 0.5
_PATIENCE_S = 10.0

Say = Callable[[str], None]


class InfluxError(SharegridError):
    """An address to write to that is none, or that refuses what is written."""


class Database:
    """Writes lines to a database over HTTP, and keeps those that it does not take yet.

    Parameters
    ----------
    url
        Where to write, with what the database wants in its query, such as ``http://host:8086/write?db=lab``
        or ``http://host:8086/api/v2/write?org=lab&bucket=grid``.
    token
        Its token, where it wants one.
    say
        Told once when the database stops answering, and once when it answers again.
    """

    def __init__(self, url: str, token: str, say: Say) -> None:
        if not is_web_address(url):
            raise InfluxError(f"--to {url}: give an address such as http://127.0.0.1:8086/write?db=lab, or -")
        self._url, self._say = url, say
        self._headers = {"Authorization": f"Token {token}"} if token else {}
        self._waiting: deque[str] = deque(maxlen=_MOST_LINES)
        self._dropped = 0
        self._is_away = False

    def put(self, lines: list[str]) -> None:
        """Keep lines to be written; the oldest go where too many wait."""
        self._dropped += max(0, len(self._waiting) + len(lines) - _MOST_LINES)
        self._waiting.extend(lines)

    async def write(self, client: httpx.AsyncClient) -> bool:
        """Write what waits; whether all of it was taken.

        Raises
        ------
        InfluxError
            The database answers that it does not want this.
        """
        while self._waiting:
            lines = [self._waiting[at] for at in range(min(_LINES_A_WRITE, len(self._waiting)))]
            try:
                answer = await client.post(self._url, content="\n".join(lines), headers=self._headers)
            except httpx.TransportError as error:
                self._note_away(str(error) or type(error).__name__)
                return False
            if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
                self._note_away(f"it answers {answer.status_code}")
                return False
            if answer.is_error:
                raise InfluxError(f"--to {self._url}: {answer.status_code}: {answer.text.strip()[:300]}")
            for _ in lines:
                self._waiting.popleft()
            self._note_back()
        return True

    def _note_away(self, why: str) -> None:
        if not self._is_away:
            self._say(f"the database takes nothing ({why}); lines wait for it")
        self._is_away = True

    def _note_back(self) -> None:
        if self._is_away:
            lost = f"; {self._dropped:,} lines were too many to wait" if self._dropped else ""
            self._say(f"the database answers again{lost}")
        self._is_away, self._dropped = False, 0


async def tell_run(broker: str, run: str, to: str, token: str, say: Say) -> None:
    """Tell a run's figures until it ends, or until cancelled.

    Parameters
    ----------
    broker, run
        Where the run is.
    to, token
        As for `Database`; ``-`` writes lines to standard output.
    say
        Takes a sentence for the user.

    Raises
    ------
    BrokerError
        The broker cannot be reached, or does not know the observer.
    InfluxError
        ``to`` is no address, or refuses what is written.
    """
    if to == "-":
        await _listen(broker, run, _print_lines)
        return
    database = Database(to, token, say)
    async with httpx.AsyncClient(timeout=_PATIENCE_S) as client:
        await _write_while(database, client, _listen(broker, run, database.put))
        if not await database.write(client):
            raise InfluxError(f"--to {to}: the run is over, and the database did not take all of it")


def _print_lines(lines: list[str]) -> None:
    if lines:
        click.echo("\n".join(lines))


async def _write_while(database: Database, client: httpx.AsyncClient, listening: Awaitable[None]) -> None:
    heard = asyncio.ensure_future(listening)
    try:
        while not heard.done():
            await asyncio.wait([heard], timeout=_EVERY_S)
            await database.write(client)
    finally:
        heard.cancel()
        await asyncio.gather(heard, return_exceptions=True)
    heard.result()


async def _listen(broker: str, run: str, put: Callable[[list[str]], None]) -> None:
    points = Points(run)
    async with hearing(broker, run, "influx", _told_topics, patience_s=float("inf")) as heard:
        async for message, name in heard.messages():
            put(points.lines(message, name))
            if isinstance(message, Step) and message.step == "end":
                return


def _told_topics(topics: Topics) -> tuple[str, ...]:
    return (
        topics.facts,
        topics.step,
        topics.wam_outcome,
        topics.lam_outcome("+"),
        topics.feeder_state,
        topics.telemetry("meter", "+"),
        topics.settled,
        topics.done("+"),
    )
