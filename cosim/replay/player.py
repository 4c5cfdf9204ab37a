"""Plays a record to services: recorded words go to them in their order and at their times.

What the services say is held against what they said then.

A word of a service is shown when its turn in the record comes, and the service goes on only then. So time
passes for it as it did, gates close when they did, and what it heard before is what it had heard before.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable

from msgspec.structs import replace

from broker.client.bus import Received
from broker.door.bounds import Bounds
from broker.messages import Availability, Message, Repeat, Settled, Snapshot, Step, encode
from broker.topics import Topics
from cosim.replay.account import Account, Shown
from cosim.replay.bus import ReplayBroker
from cosim.replay.compare import Difference
from cosim.replay.matching import Matching
from cosim.replay.outline import Outline, decoded
from cosim.replay.ports import Book, Stopped, Watcher
from cosim.traffic.entries import Entry, EntryKind, Session, session_of
from cosim.world.names import RECORDER

# Entries of one time are played one after the other; less is lost in sums of times.
_LEAST_S = 2e-6
_REMEMBERED = 32


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
        self._matching = Matching(lambda topic: self._place(topic)[0], Topics(run).root)
        self.broker = ReplayBroker(self._matching)
        self.account = Account()
        self.services = frozenset(services)
        self._topics = topics = Topics(run)
        of_role = bounds.services or {}
        named = frozenset().union(*of_role.values())
        self._told_topics = {topics.step, *(topics.availability(name) for name in named)}
        self._bounds = bounds
        self._outline = outline
        self._book = book
        self._until = until
        self._watcher = watcher
        self._places: dict[str, tuple[bool, frozenset[str]]] = {}
        self._seen: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self.tick = -1
        self._is_over = False
        self._had_gap = False
        self._gone: set[str] = set()

    async def play(
        self, entries: Iterable[Entry], on_interval: Callable[[int], None] = lambda _: None
    ) -> None:
        """Play entries until their end, or that of the last interval wanted.

        Parameters
        ----------
        on_interval
            Called with the number of each interval that begins.
        """
        try:
            for entry in entries:
                await self._wait_until(entry.at_s)
                before = self.tick
                self._take(entry)
                if self._is_over:
                    break
                if self.tick != before:
                    on_interval(self.tick)
            else:
                await self._wait_until(self._outline.end_s + 1.0)
            self._close(self.tick + 1, is_cut_off=not self._is_over)
        except Stopped:
            # What is not said yet may have been said later.
            self._close(-1)
            raise

    def _take(self, entry: Entry) -> None:
        match entry.kind:
            case EntryKind.SESSION:
                self._begin_session(session_of(entry))
            case EntryKind.GAP:
                self._begin_gap(entry.body.decode(errors="replace"))
            case _:
                self._play(entry)

    async def _wait_until(self, at_s: float) -> None:
        """Let all that can happen before happen."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(at_s - self._outline.begin_s - loop.time(), _LEAST_S))

    def _begin_session(self, session: Session) -> None:
        self._book.go_on_from(session)
        if self.tick < 0:
            return
        # All or some processes ended; whoever goes on goes back by the clock's next step.
        self._begin_blind()
        self.account.remarks.append(f"the run was taken up again with interval {session.next_tick}")

    def _begin_gap(self, why: str) -> None:
        self._begin_blind()
        self._had_gap = True
        self.account.remarks.append(f"the record has a gap in interval {max(self.tick, 0)}: {why}")

    def _begin_blind(self) -> None:
        """Let nothing count until an interval begins anew."""
        self._matching.discard()
        self._matching.is_blind = True

    def _close(self, tick: int, *, is_cut_off: bool = False) -> None:
        """Account for what differs in intervals before a tick."""
        for difference in self._matching.close(tick, is_cut_off=is_cut_off):
            self.account.add(difference)
        self.account.judged = self._matching.judged

    def _play(self, entry: Entry) -> None:
        is_judged, writers = self._place(entry.topic)
        message = decoded(entry.body) if is_judged or entry.topic in self._told_topics else None
        if isinstance(message, Step) and entry.topic == self._topics.step:
            self._note_step(message)
            if self._is_over:
                return
        if entry.kind is EntryKind.MESSAGE and self._is_again(entry):
            self._deliver(entry, message, writers)
            return
        self.account.played += 1
        self._matching.place += 1
        difference, is_mine = "", is_judged and message is not None and message.sender in writers
        if is_mine:
            assert message is not None
            difference = self._matching.hear(entry.topic, message)
        elif isinstance(message, Availability):
            self._note_availability(message)
        elif self._had_gap and self._gone:
            self._notice(message or decoded(entry.body))
        self._deliver(entry, message, writers)
        if isinstance(message, Settled) and is_mine and not (difference or self._matching.is_blind):
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
        if step.tick > self.tick >= 0:
            self._close(step.tick)
            if self._matching.is_blind and self._book.lacks(self.tick):
                self._is_over = True
                what = f"too little of interval {self.tick} is in the record: the replay ends there"
                self.account.remarks.append(what)
                return
            self._matching.is_blind = False
        if step.step == "restore":
            # Of what begins again only the last time counts.
            self._matching.discard()
            self._matching.is_blind = False
            self._book.begin_epoch(step.epoch)
        elif step.epoch > self._matching.epoch:
            self._go_back_unheard(step)
        self._matching.epoch = step.epoch
        self.tick = step.tick

    def _go_back_unheard(self, step: Step) -> None:
        """Let services go back as they did while nobody recorded, to what they remembered."""
        self._begin_blind()
        self._book.begin_epoch(step.epoch)
        restore = replace(step, step="restore", seq=0, ahead=[])
        self.broker.deliver(Received(str(self._topics.step), encode(restore), retained=False))
        kept = self._book.snapshots()
        for name in sorted(self.services - {RECORDER}):
            content = kept.get(name, b"")
            told = Snapshot(
                run=step.run, tick=step.tick, sender=RECORDER, seq=0, epoch=step.epoch, content=content
            )
            self.broker.deliver(Received(str(self._topics.snapshot(name)), encode(told), retained=False))

    def _note_availability(self, said: Availability) -> None:
        """A service that had gone neither heard nor said anything until it was back."""
        (self._gone.discard if said.online else self._gone.add)(said.sender)
        if said.sender in self.services:
            if not said.online:
                self._matching.forget(said.sender)
            self.broker.buses[said.sender].is_away = not said.online

    def _notice(self, message: Message | None) -> None:
        """Who speaks is there, although the record may lack that it came back."""
        if message is None or message.sender not in self._gone:
            return
        back = Availability(run=message.run, tick=-1, sender=message.sender, seq=0, online=True)
        self._note_availability(back)
        topic = self._topics.availability(message.sender)
        self.broker.deliver(Received(str(topic), encode(back), retained=False), but=(message.sender,))

    def _is_again(self, entry: Entry) -> bool:
        """Whether a message was said before, for somebody who had missed it."""
        declared = self._topics.declared(entry.topic)
        if declared is None or declared[0].always:
            return False
        seen, digest = self._seen[entry.topic], hash(entry.body)
        if digest in seen:
            return True
        seen.append(digest)
        return False

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
            self._matching.add(Difference(tick, "ledger", what))
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
