"""Plays a record to services: recorded words go to them in their order and at their times.

What the services say is held against what they said then.

A word of a service is shown when its turn in the record comes, and the service goes on only then. So time
passes for it as it did, gates close when they did, and what it heard before is what it had heard before.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from typing import Protocol

from broker.client.bus import Received
from broker.door.bounds import Bounds
from broker.messages import Availability, Message, Repeat, Settled, Step
from broker.topics import Topics
from cosim.replay.account import Account, Shown
from cosim.replay.bus import ReplayBroker
from cosim.replay.compare import Difference, first_difference
from cosim.replay.outline import Outline, decoded
from cosim.traffic.entries import Entry, EntryKind, Session, session_of
from cosim.world.names import RECORDER

# Entries of one time are played one after the other; less is lost in sums of times.
_LEAST_S = 2e-6
_REMEMBERED = 32


class Book(Protocol):
    """The ledger of a replay, beside that of the run."""

    def begin_epoch(self, epoch: int) -> None:
        """Take note that an epoch began."""

    def go_on_from(self, session: Session) -> None:
        """Take over what a session found booked and the replay has not."""

    def is_booked(self, tick: int) -> bool:
        """Whether the run booked an interval."""

    def difference(self, tick: int) -> str:
        """What was booked otherwise in an interval, in words; empty where nothing was."""


class Watcher(Protocol):
    """Who looks at each message as it is played, and may stop the replay."""

    def before_interval(self, tick: int) -> None:
        """An interval is over, and another begins, or the run ends."""

    def after_message(self, shown: Shown) -> None:
        """A message was played."""


class Stopped(Exception):
    """Whoever watches has seen enough."""


class Player:
    """Plays the record of a run to services on a `ReplayBroker`.

    Parameters
    ----------
    run, bounds
        The run, and who writes on which topic in it.
    services
        Names of the services that play.
    outline
        The record, looked through.
    book
        The ledger of the replay.
    until
        The last interval to play; ``None`` for all.
    watcher
        Who looks on.

    Attributes
    ----------
    tick
        The interval that is played; -1 before the first.
    """

    def __init__(
        self,
        run: str,
        bounds: Bounds,
        services: Iterable[str],
        outline: Outline,
        book: Book,
        *,
        until: int | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        self.broker = ReplayBroker(lambda topic: self._place(topic)[0])
        self.account = Account()
        self.services = frozenset(services)
        self._topics = topics = Topics(run)
        self._told_topics = {topics.step, *(topics.availability(name) for name in self.services)}
        self._bounds = bounds
        self._outline = outline
        self._book = book
        self._until = until
        self._watcher = watcher
        self._places: dict[str, tuple[bool, frozenset[str]]] = {}
        self._seen: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self.tick = -1
        self._is_blind = False
        self._is_over = False

    async def play(
        self, entries: Iterable[Entry], on_interval: Callable[[int], None] = lambda _: None
    ) -> None:
        """Play entries until their end, or that of the last interval wanted.

        Parameters
        ----------
        on_interval
            Called with the number of each interval that begins.
        """
        for entry in entries:
            await self._wait_until(entry.at_s)
            match entry.kind:
                case EntryKind.SESSION:
                    self._begin_session(session_of(entry))
                case EntryKind.GAP:
                    self._begin_gap(entry.body.decode(errors="replace"))
                case _:
                    before = self.tick
                    self._play(entry)
                    if self._is_over:
                        return
                    if self.tick != before:
                        on_interval(self.tick)
        await self._wait_until(self._outline.end_s + 1.0)

    async def _wait_until(self, at_s: float) -> None:
        """Let all that can happen before happen."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(at_s - self._outline.begin_s - loop.time(), _LEAST_S))

    def _begin_session(self, session: Session) -> None:
        self._book.go_on_from(session)
        if self.tick < 0:
            return
        # All or some processes ended; whoever goes on goes back by the clock's next step.
        self._let_go()
        self._is_blind = True
        self.account.remarks.append(f"the run was taken up again with interval {session.next_tick}")

    def _begin_gap(self, why: str) -> None:
        self._let_go()
        self._is_blind = True
        self.account.remarks.append(f"the record has a gap in interval {max(self.tick, 0)}: {why}")

    def _let_go(self) -> None:
        for name in self.services:
            self.broker.left(name)

    def _play(self, entry: Entry) -> None:
        is_judged, writers = self._place(entry.topic)
        message = decoded(entry.body) if is_judged or entry.topic in self._told_topics else None
        if isinstance(message, Step) and entry.topic == self._topics.step:
            self._note_step(message)
            if self._is_over:
                return
        if entry.kind is EntryKind.MESSAGE and self._is_again(entry):
            return
        self.account.played += 1
        difference, is_mine = "", is_judged and message is not None and message.sender in writers
        if is_mine:
            assert message is not None
            difference = self._judge(entry, message)
        elif isinstance(message, Availability):
            self._note_availability(message)
        self._deliver(entry, message, writers)
        if isinstance(message, Settled) and is_mine and not difference:
            difference = self._compare_books(message.tick)
        if self._watcher is not None:
            self._watcher.after_message(Shown(entry, message, is_mine, difference))

    def _note_step(self, step: Step) -> None:
        """Take note of where the run is."""
        begins = step.tick != self.tick or step.step in ("restore", "end")
        if begins and self.tick >= 0 and self._watcher is not None:
            self._watcher.before_interval(self.tick)
        if self._until is not None and step.tick > self._until:
            self._is_over = True
            return
        if step.step == "restore":
            self._book.begin_epoch(step.epoch)
        if step.step == "restore" or step.tick > self.tick >= 0:
            self._is_blind = False
        self.tick = step.tick

    def _note_availability(self, said: Availability) -> None:
        """A service that had gone neither heard nor said anything until it was back."""
        bus = self.broker.buses.get(said.sender)
        if bus is not None and said.sender in self.services:
            if not said.online:
                self.broker.left(said.sender)
            bus.is_away = not said.online

    def _is_again(self, entry: Entry) -> bool:
        """Whether a message was said before: once is enough for who has missed nothing."""
        declared = self._topics.declared(entry.topic)
        if declared is None or declared[0].always:
            return False
        seen, digest = self._seen[entry.topic], hash(entry.body)
        if digest in seen:
            return True
        seen.append(digest)
        return False

    def _judge(self, entry: Entry, there: Message) -> str:
        """How what a service says differs from the record, which it is also shown to."""
        said = self.broker.next_on(entry.topic)
        if self._is_blind:
            return ""
        self.account.judged += 1
        if said is not None:
            here = decoded(said.body)
            assert here is not None
            what = first_difference(here, there)
        else:
            instead = [
                each.topic.removeprefix(f"{self._topics.root}/") for each in self.broker.left(there.sender)
            ]
            but = f"says {', '.join(instead)} instead" if instead else "does not say it"
            what = f"is in the record, and {there.sender} {but}"
        if what:
            self.account.add(Difference(there.tick, entry.topic.removeprefix(f"{self._topics.root}/"), what))
        return what

    def _deliver(self, entry: Entry, message: Message | None, writers: frozenset[str]) -> None:
        but = tuple(writers & self.services)
        if isinstance(message, Step) and message.step == "settle" and self._was_given_up(message):
            but = (*but, RECORDER)
        is_retained = entry.kind is EntryKind.RETAINED
        self.broker.deliver(Received(entry.topic, entry.body, is_retained), but=but)

    def _was_given_up(self, step: Step) -> bool:
        """Whether what was to be settled then never got into the run's ledger."""
        return self._outline.is_given_up(step) or not self._book.is_booked(step.tick)

    def _compare_books(self, tick: int) -> str:
        self.account.intervals.append(tick)
        what = self._book.difference(tick)
        if what:
            self.account.add(Difference(tick, "ledger", what))
        return what

    def _place(self, topic: str) -> tuple[bool, frozenset[str]]:
        """Whether what is said on a topic is held against the record, and who writes there."""
        if topic in self._places:
            return self._places[topic]
        found: tuple[bool, frozenset[str]] = (False, frozenset())
        declared = self._topics.declared(topic)
        if declared is not None:
            declaration, levels = declared
            try:
                writers = self._bounds.writers(declaration, levels) or frozenset()
            except ValueError:
                writers = frozenset()
            is_judged = not declaration.always and declaration.kind is not Repeat
            found = (is_judged and bool(writers) and writers <= self.services, writers)
        self._places[topic] = found
        return found
