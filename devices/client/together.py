"""What waits for one link goes out together, where the other side bears several requests at once."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from devices.client.batch import Asked

Replies = list[bytes | None]


class _Question:
    """Requests of somebody who waits for all of their replies."""

    __slots__ = ("asked", "left", "replies", "told")

    def __init__(self, asked: Sequence[Asked], told: asyncio.Future[None]) -> None:
        self.asked = asked
        self.replies: Replies = [None] * len(asked)
        self.left = len(asked)
        self.told = told

    def take(self, place: int, reply: bytes | None) -> None:
        self.replies[place] = reply
        self.left -= 1
        if not self.left and not self.told.done():
            self.told.set_result(None)


class Together:
    """Requests of many callers on one link, in the order in which they came.

    Parameters
    ----------
    most
        Requests that may be under way at once.
    send
        Makes so many requests at once; its replies are ``None`` for those that have to be made one by one.
    """

    def __init__(self, most: int, send: Callable[[Sequence[Asked]], Awaitable[Replies]]) -> None:
        self._most = most
        self._send = send
        self._waiting: deque[tuple[_Question, int]] = deque()
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, asked: Sequence[Asked]) -> Replies:
        """Replies to some requests; ``None`` for those that have to be made one by one."""
        if not asked:
            return []
        question = _Question(asked, asyncio.get_running_loop().create_future())
        self._waiting.extend((question, place) for place in range(len(asked)))
        if self._sending is None:
            self._sending = asyncio.create_task(self._work(), name="requests together")
        await question.told
        return question.replies

    async def _work(self) -> None:
        under_way: list[tuple[_Question, int]] = []
        try:
            while under_way := self._next():
                replies = await self._send([question.asked[place] for question, place in under_way])
                for (question, place), reply in zip(under_way, replies, strict=True):
                    question.take(place, reply)
                under_way = []
        finally:
            self._sending = None
            # Whatever ended this, nobody waits for it: they ask one by one.
            for question, place in (*under_way, *self._waiting):
                question.take(place, None)
            self._waiting.clear()

    def _next(self) -> list[tuple[_Question, int]]:
        """The requests to go out now; those that nobody waits for any more never do."""
        found: list[tuple[_Question, int]] = []
        while self._waiting and len(found) < self._most:
            question, place = self._waiting.popleft()
            if not question.told.done():
                found.append((question, place))
        return found
