"""Alarms for whoever is not at the terminal: a message on the bus, and a word to a web address."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from broker.errors import BrokerError
from broker.messages import Alarm
from broker.participant.node import Node
from cosim.observation.incidents import Incident, Weight

_MOST_WAITING = 200
_WITHIN_S = 5.0
_LAST_WORDS_S = 2.0
_RANK: dict[Weight, int] = {"note": 0, "warning": 1, "alarm": 2}


class Alarms:
    """Passes incidents on, one after the other; what cannot be passed on holds nothing up.

    Parameters
    ----------
    node
        In whose name alarms are published.
    webhook
        Address that gets each by POST as JSON; empty for none.
    least
        The least weight that is passed on.
    label
        What to call an interval.
    say
        Tells the user, once, that the address does not take them.
    """

    def __init__(
        self,
        node: Node,
        webhook: str,
        least: Weight,
        label: Callable[[int], str],
        say: Callable[[str], None],
    ) -> None:
        self._node = node
        self._webhook = webhook
        self._least = least
        self._label = label
        self._say = say
        self._waiting: asyncio.Queue[Incident] = asyncio.Queue(_MOST_WAITING)
        self._is_failing = False

    def take(self, incident: Incident) -> None:
        """Take an incident; one that is not heavy enough, or comes when too many wait, is left out."""
        if _RANK[incident.weight] >= _RANK[self._least] and not self._waiting.full():
            self._waiting.put_nowait(incident)

    async def run(self) -> None:
        """Pass on what is taken, until cancelled; then what is under way and what is left, for a moment."""
        under_way: asyncio.Task[None] | None = None
        async with httpx.AsyncClient(timeout=_WITHIN_S) as client:
            try:
                while True:
                    incident = await self._waiting.get()
                    under_way = asyncio.create_task(self._pass_on(client, incident))
                    await asyncio.shield(under_way)
            finally:
                if under_way is not None:
                    await asyncio.wait({under_way}, timeout=_LAST_WORDS_S)
                    under_way.cancel()
                await self._last_words(client)

    async def _last_words(self, client: httpx.AsyncClient) -> None:
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                while not self._waiting.empty():
                    await self._pass_on(client, self._waiting.get_nowait())
        except TimeoutError:
            return

    async def _pass_on(self, client: httpx.AsyncClient, incident: Incident) -> None:
        said: dict[str, Any] = {
            "weight": incident.weight,
            "source": incident.source,
            "text": incident.line,
            "count": incident.count,
            "at": time.time(),
        }
        topic = self._node.topics.alarm
        try:
            await self._node.publish(topic, Alarm, max(incident.tick, -1), **said)
        except BrokerError as error:
            self._fail(f"the bus ({error})")
        if self._webhook:
            body = {"run": self._node.run, "interval": self._label(incident.tick), **said}
            headers = {"content-type": "application/json"}
            try:
                answer = await client.post(self._webhook, content=msgspec.json.encode(body), headers=headers)
                answer.raise_for_status()
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                self._fail(f"alarms.webhook ({type(error).__name__})")
            else:
                self._is_failing = False

    def _fail(self, where: str) -> None:
        """Say it once: the address itself may hold a secret, and stays unsaid."""
        if not self._is_failing:
            self._say(f"an alarm was not taken by {where}; the run goes on")
        self._is_failing = True
