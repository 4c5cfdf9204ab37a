"""Who is there: what services say of themselves, what their last wills say, and how long they say nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass

from broker.messages import Alive, Availability
from broker.participant.node import Node
from broker.participant.serving import ALIVE_EVERY_S
from broker.pulse import AwakeClock
from cosim.control.names import BROKER

# Who is said to be offline, or to be another process, and is not, says so itself within this time [s].
DOUBT_S = 0.5
# A sign of life of another process is contradicted by the next one of this, or none comes any more.
_SIGN_DOUBT_S = 3 * ALIVE_EVERY_S

QUIET_S = 2.0
"""A process elsewhere that says nothing for so long is named [s]."""

SILENT_S = 10.0
"""After so long it counts as gone [s]: a busy computer may hold it up for less."""

_LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Word:
    """What was said of a service: whether it is there, with which world, as which process."""

    name: str
    online: bool
    world: str
    instance: str


class Presence:
    """Which services are online, and which were lost since this was last asked.

    Parameters
    ----------
    node
        The clock's participant on the bus.
    elsewhere
        Services of other processes, whose signs of life are watched.
    on_change
        Called whenever something of this changes.
    on_quiet
        Called with the name of a service that says nothing, and for how long [s].
    on_lost
        Called where a service of another process is lost.

    Attributes
    ----------
    online
        Services that are there.
    strangers
        Services that built another world.
    lost
        What happened to services of other processes since the last `forgive`, by name: they cannot know
        what they missed.
    """

    def __init__(
        self,
        node: Node,
        elsewhere: Collection[str],
        *,
        on_change: Callable[[], None],
        on_quiet: Callable[[str, float], None],
        on_lost: Callable[[], None],
    ) -> None:
        self.node = node
        self.online: set[str] = set()
        self.strangers: set[str] = set()
        self.lost: dict[str, str] = {}
        self._elsewhere = frozenset(elsewhere)
        self._on_change = on_change
        self._on_quiet = on_quiet
        self._on_lost = on_lost
        self._instances: dict[str, str] = {}
        self._past: set[str] = set()
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self._heard: dict[str, float] = {}
        self._own_heard: float | None = None
        self._quiet: set[str] = set()
        self._awake = AwakeClock(_LOOK_EVERY_S)
        node.on(node.topics.availability("+"), self._take_availability)
        node.on(node.topics.alive("+"), self._take_sign)

    @property
    def silence_s(self) -> float:
        """How long not even this process's own signs have come back [s]: for long, the broker is away."""
        return 0.0 if self._own_heard is None else self._awake.now_s - self._own_heard

    def forgive(self) -> None:
        """Forget what happened to those who are there: they have got what they missed."""
        self.lost = {name: what for name, what in self.lost.items() if name not in self.online}

    def came_back(self) -> list[str]:
        """Services that were lost and are there again."""
        return sorted(name for name in self.lost if name in self.online)

    def begin_anew(self) -> None:
        """Believe nobody's presence any more: the broker was away, and all who are there say so again."""
        self.online.clear()
        self._heard.clear()

    def close(self) -> None:
        """Doubt nothing any more."""
        for doubt in self._doubts.values():
            doubt.cancel()

    async def watch(self) -> None:
        """Look for services that say nothing, for ever."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self._awake.look()
            now = self._awake.now_s
            if self._hears_nothing():
                self._heard = dict.fromkeys(self._heard, now)
            for name, heard in self._heard.items():
                if name in self.online and now - heard > QUIET_S and name not in self._quiet:
                    self._quiet.add(name)
                    self._on_quiet(name, now - heard)
                if name in self.online and now - heard > SILENT_S:
                    self._lose(name, f"gave no sign for {SILENT_S:g} s")

    def _hears_nothing(self) -> bool:
        """Whether not even this process's own signs come back: then nobody else's silence means anything."""
        silence_s = self.silence_s
        if silence_s <= QUIET_S:
            self._quiet.discard(BROKER)
            return False
        if BROKER not in self._quiet:
            self._quiet.add(BROKER)
            self._on_quiet(BROKER, silence_s)
        return True

    def _take_sign(self, alive: Alive) -> None:
        """Note a sign of life; it also tells what an availability message told that was lost."""
        name, known = alive.sender, self._instances.get(alive.sender)
        if name in self._elsewhere:
            self._heard[name] = self._awake.now_s
            self._quiet.discard(name)
        else:
            self._own_heard = self._awake.now_s
        if alive.instance == known and alive.world == self.node.world and name in self.online:
            # Whoever says otherwise of it is wrong.
            self._settle_doubt(name)
        # A sign may have been on its way for longer than its process lived.
        elif alive.instance not in self._past and name not in self._doubts:
            self._hear(Word(name, True, alive.world, alive.instance), _SIGN_DOUBT_S)

    def _take_availability(self, message: Availability) -> None:
        self._hear(Word(message.sender, message.online, message.world, message.instance), DOUBT_S)

    def _hear(self, word: Word, doubt_s: float) -> None:
        name = word.name
        self._settle_doubt(name)
        known = self._instances.get(name)
        is_same = known in (None, word.instance)
        if word.online and word.world == self.node.world and (is_same or name not in self.online):
            if not is_same:
                self._note_loss(name, "was started anew")
            self._come(name, word.instance)
        else:
            self._doubt(word, doubt_s / 2.0)

    def _doubt(self, word: Word, half_s: float) -> None:
        """Wait for a contradiction, in two halves: what came while this process was held up counts."""
        loop = asyncio.get_running_loop()

        def wait_on() -> None:
            self._doubts[word.name] = loop.call_later(half_s, self._believe, word)

        self._doubts[word.name] = loop.call_later(half_s, wait_on)

    def _settle_doubt(self, name: str) -> None:
        if doubt := self._doubts.pop(name, None):
            doubt.cancel()

    def _believe(self, word: Word) -> None:
        """Take a service as gone, started anew, or a part of another run; it has not contradicted."""
        name = word.name
        del self._doubts[name]
        if word.online and word.world == self.node.world:
            self._note_loss(name, "was started anew")
            self._come(name, word.instance)
            return
        if word.online:
            self.strangers.add(name)
        self._lose(name, "went offline")

    def _come(self, name: str, instance: str) -> None:
        if (before := self._instances.get(name)) not in (None, instance):
            self._past.add(before)
        self._instances[name] = instance
        self.online.add(name)
        if name in self._elsewhere:
            self._heard[name] = self._awake.now_s
        else:
            self._own_heard = self._awake.now_s
        self._on_change()

    def _note_loss(self, name: str, what: str) -> None:
        """A service of this process is not lost, whatever is said of it: the clock would be, too."""
        if name in self._elsewhere:
            self.lost[name] = what
            self._on_lost()

    def _lose(self, name: str, what: str) -> None:
        if name in self.online:
            self._note_loss(name, what)
        self.online.discard(name)
        self._on_change()
