"""What services say, held against what the record has of them, whichever comes first.

A service that says something waits until the record shows it. Where the record shows something that a service
has not said, the service need not wait for what it did say: maybe the broker let one pass the other. Once the
interval is over, what only one side has differs.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from broker.messages import Message
from cosim.replay.compare import Difference, first_difference
from cosim.replay.outline import decoded

NOT_YET = "not said yet"
"""What a message differs by that a service may still say."""


@dataclass(eq=False)
class Said:
    """One message that a service said, and which the record has not shown yet.

    Attributes
    ----------
    place
        Number of the message in the record at which it was said.
    go_on
        Set when its service need not wait any longer.
    """

    place: int
    topic: str
    message: Message
    go_on: asyncio.Event = field(default_factory=asyncio.Event)


class Matching:
    """Pairs what was said with what the record has.

    Parameters
    ----------
    is_judged
        Whether what is said on a topic is held against the record; anything else is heard by nobody.
    root
        Beginning of all topics of the run.

    Attributes
    ----------
    place
        Number of the message of the record that is played.
    is_blind
        Whether nothing counts for now, as the record may lack messages.
    epoch
        What belongs to an earlier one is void, and counts as little.
    judged
        How many messages were held against the record.
    """

    def __init__(self, is_judged: Callable[[str], bool], root: str) -> None:
        self.place = 0
        self.is_blind = False
        self.epoch = 0
        self.judged = 0
        self._is_judged = is_judged
        self._root = root
        self._said: dict[str, deque[Said]] = defaultdict(deque)
        self._owed: dict[str, deque[tuple[int, Message]]] = defaultdict(deque)
        self._found: list[tuple[int, Difference]] = []
        self._last: dict[str, bytes] = {}

    def say(self, topic: str, body: bytes) -> Said | None:
        """Take what a service says; ``None`` where it need not wait for the record to show it."""
        # A message that is said again is the same to the bit.
        if self.is_blind or not self._is_judged(topic) or self._last.get(topic) == body:
            return None
        self._last[topic] = body
        message = decoded(body)
        assert message is not None
        if message.epoch < self.epoch:
            return None
        if self._owed[topic]:
            place, there = self._owed[topic].popleft()
            self._compare(place, topic, message, there)
            return None
        self._said[topic].append(said := Said(self.place, topic, message))
        return said

    def give_up(self, said: Said) -> None:
        """Forget a message whose service gave it up before it was to be sent."""
        if not said.go_on.is_set() and said in self._said[said.topic]:
            self._said[said.topic].remove(said)

    def hear(self, topic: str, there: Message) -> str:
        """Take what the record shows of a service; how that differs, in words, as far as it is known."""
        if there.epoch < self.epoch:
            return ""
        self.judged += not self.is_blind
        if self._said[topic]:
            said = self._said[topic].popleft()
            said.go_on.set()
            return self._compare(self.place, topic, said.message, there)
        self.let_go(there.sender)
        if self.is_blind:
            return ""
        self._owed[topic].append((self.place, there))
        return NOT_YET

    def add(self, difference: Difference) -> None:
        """Take note of something else that differs."""
        self._found.append((self.place, difference))

    def let_go(self, sender: str) -> None:
        """Let a service wait no longer for what it said, which the record may still show."""
        for waiting in self._said.values():
            for said in waiting:
                if said.message.sender == sender:
                    said.go_on.set()

    def forget(self, sender: str) -> None:
        """Let nothing count that a service said and the record has not shown: it had died before."""
        self.let_go(sender)
        for topic, waiting in self._said.items():
            self._said[topic] = deque(each for each in waiting if each.message.sender != sender)

    def discard(self) -> None:
        """Let nothing count of an interval that was given up, or in which messages are missing."""
        for waiting in self._said.values():
            for said in waiting:
                said.go_on.set()
        self._said.clear()
        self._owed.clear()
        self._found.clear()

    def close(self, tick: int, *, is_cut_off: bool = False) -> list[Difference]:
        """What differs in intervals before a tick, in the order of the record.

        Parameters
        ----------
        is_cut_off
            Whether what comes last may be missing in the record.
        """
        found, self._found = self._found, []
        for topic, owed in self._owed.items():
            while owed and owed[0][1].tick < tick:
                place, there = owed.popleft()
                found.append(
                    (place, self._difference(topic, there, "is in the record, and {} does not say it"))
                )
        for topic, waiting in self._said.items():
            while waiting and waiting[0].message.tick < tick:
                said = waiting.popleft()
                said.go_on.set()
                if not self.is_blind and not is_cut_off:
                    text = "is not in the record, and {} says it"
                    found.append((said.place, self._difference(topic, said.message, text)))
        return [each for _, each in sorted(found, key=lambda pair: pair[0])]

    def _compare(self, place: int, topic: str, here: Message, there: Message) -> str:
        what = "" if self.is_blind else first_difference(here, there)
        if what:
            self._found.append((place, self._difference(topic, there, what)))
        return what

    def _difference(self, topic: str, message: Message, text: str) -> Difference:
        return Difference(
            message.tick, topic.removeprefix(f"{self._root}/"), text.replace("{}", message.sender)
        )
