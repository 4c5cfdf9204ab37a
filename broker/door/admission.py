"""The order of a message's checks: topic, body, decoding, sender, tick, signature, content, number.

A `Door` is one receiver's. Nothing that it refuses leaves a trace in its state, and what it admits went
through every check; so handlers work with messages that fit the run. Only commands are signed; where the
broker does not tell its clients apart, any other sender's name can be forged: what then has the right name,
tick, number and plausible content is taken, and shows as a conflict when the true message comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from broker.client.bus import Received
from broker.door import payload
from broker.door.bounds import Bounds
from broker.door.clock_steps import ClockSteps
from broker.door.content import check_content
from broker.door.decoded import Decoded
from broker.door.refusal import Refused
from broker.door.stream import Arrival, Stream
from broker.messages import (
    Alive,
    Availability,
    Declaration,
    Done,
    Facts,
    Lead,
    Message,
    PacingState,
    Repeat,
    Snapshot,
    Step,
    Stop,
    Telemetry,
)
from broker.signing import CommandKey
from broker.topics import Topics

_KNOWN_TOPICS = 100_000
# What counts whatever its number.
_UNNUMBERED = (Alive, Availability, Facts, Lead, PacingState, Repeat, Stop)


class Admitted(msgspec.Struct, frozen=True):
    """A message that passed every check.

    Attributes
    ----------
    message
        The message; ``None`` where it is no news: a duplicate, or of a tick that is over.
    flags
        What its number or tick says that somebody should know.
    gaps, duplicates, late
        What it counts as.
    """

    message: Message | None
    flags: tuple[str, ...] = ()
    gaps: int = 0
    duplicates: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is known of one topic: its kind, and who may write there (``None``: anybody)."""

    declaration: Declaration
    decoder: msgspec.json.Decoder[Message]
    levels: dict[str, str]
    writers: frozenset[str] | None


class Door:
    """Lets one receiver's messages in.

    Parameters
    ----------
    run
        Id of the run.
    bounds
        What the run's messages are held against.
    commands
        Key that commands must be signed with; without one none is checked.
    decoded
        What others who go by the same bounds have let in; without one nothing is shared.
    """

    def __init__(
        self,
        run: str,
        bounds: Bounds | None = None,
        commands: CommandKey | None = None,
        decoded: Decoded | None = None,
    ) -> None:
        self._decoded = decoded
        self._commands = commands
        self._run = run
        self._topics = Topics(run)
        self._bounds = bounds or Bounds()
        self._entries: dict[str, _Entry] = {}
        self._decoders: dict[str, msgspec.json.Decoder[Message]] = {}
        self._streams: dict[str, Stream] = {}
        self._clock = ClockSteps(self._bounds.ticks)

    @property
    def tick(self) -> int:
        """The clock's tick, as far as it is known; -1 before the first step."""
        return self._clock.tick

    @tick.setter
    def tick(self, tick: int) -> None:
        self._clock.tick = tick

    @property
    def epoch(self) -> int:
        """The clock's epoch, as far as it was heard."""
        return self._clock.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._clock.epoch = epoch

    def came_back(self) -> None:
        """After a lost connection the clock may be anywhere: believe its next step."""
        self._clock.came_back()

    def begin_epoch(self, step: Step) -> None:
        """Believe that the clock goes back to the beginning of a tick; what was said before is void."""
        self._clock.begin_epoch(step)

    def admit(self, received: Received) -> Admitted:
        """Let a message in; raises `Refused`."""
        entry = self._entry(received.topic)
        known = None if self._decoded is None else self._decoded.get(received.payload, entry.declaration)
        message = known or self._read(received.payload, entry)
        self._check_header(message, entry, retained=received.retained)
        try:
            if self._commands is not None:
                self._commands.check(received.topic, message)
            if known is None:
                check_content(message, self._bounds)
        except ValueError as error:
            raise Refused(str(error)) from None
        if known is None and self._decoded is not None:
            self._decoded.keep(received.payload, entry.declaration, message)
        # An operator's word counts whenever it comes; what a broker keeps holds until the next word.
        if isinstance(message, _UNNUMBERED):
            return Admitted(message)
        if isinstance(message, Step | Snapshot) and message.epoch > self.epoch:
            # A new epoch has numbers of its own, and begins when it is believed (`begin_epoch`).
            return Admitted(message)
        return self._number(message, received)

    def _read(self, body: bytes, entry: _Entry) -> Message:
        size = entry.declaration.size
        if reason := payload.objection(body, self._bounds.most_bytes(size), self._bounds.most_values(size)):
            raise Refused(reason)
        try:
            return entry.decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(str(error)) from None

    def _entry(self, topic: str) -> _Entry:
        known = self._entries.get(topic)
        if known is not None:
            return known
        found = self._topics.declared(topic)
        if found is None:
            raise Refused("no message has this topic")
        declaration, levels = found
        try:
            writers = self._bounds.writers(declaration, levels)
        except ValueError as error:
            raise Refused(str(error)) from None
        if declaration.tag not in self._decoders:
            self._decoders[declaration.tag] = msgspec.json.Decoder(declaration.kind)
        entry = _Entry(declaration, self._decoders[declaration.tag], levels, writers)
        if len(self._entries) < _KNOWN_TOPICS:
            self._entries[topic] = entry
        return entry

    def _check_header(self, message: Message, entry: _Entry, *, retained: bool) -> None:
        if message.run != self._run:
            raise Refused(f"it belongs to run {message.run[:50]}")
        if retained and not entry.declaration.retained:
            raise Refused("it arrived retained")
        if entry.writers is not None and message.sender not in entry.writers:
            raise Refused(f"{message.sender[:50]} writes on a topic of {', '.join(sorted(entry.writers))}")
        if isinstance(message, Telemetry) and message.phase != entry.levels["phase"]:
            raise Refused(f"a reading of phase {message.phase} is not of this topic")
        if message.tick < 0 and not entry.declaration.always:
            raise Refused("it belongs to no interval")
        if isinstance(message, Step):
            self._clock.check(message)
        elif not entry.declaration.always or message.tick >= 0:
            self._check_tick(message)

    def _check_tick(self, message: Message) -> None:
        tick, last = message.tick, self._bounds.ticks
        if last is not None and tick > last:
            raise Refused(f"tick {tick} is behind the run's end")
        # What a service remembers of a new epoch may be of any tick, as the restore that goes before it.
        if isinstance(message, Snapshot) and message.epoch > self.epoch:
            return
        # A neighbour may have heard the clock open the next tick before this service does.
        if 0 <= self.tick < tick - 1:
            raise Refused(f"tick {tick} is ahead of the clock's {self.tick}")

    def _number(self, message: Message, received: Received) -> Admitted:
        topic = received.topic
        stream = self._streams.get(topic)
        if stream is None:
            stream = Stream()
        is_past = (message.epoch, message.tick) < (self.epoch, self.tick)
        if isinstance(message, Step):
            is_past = self._clock.is_past(message)
            self._clock.check_number(message, stream)
        if message.epoch > self.epoch:
            # Its sender heard of a new epoch before this receiver could believe it, and will say it again.
            raise Refused(f"epoch {message.epoch} is ahead of the clock's {self.epoch}")
        arrival, skips = stream.take(message.seq, message.tick, received.payload, message.epoch)
        if arrival is Arrival.JUMP:
            raise Refused(f"number {message.seq} is far ahead of {stream.expected}")
        if arrival is Arrival.CONFLICT:
            twice = f"number {message.seq} stood on another message before"
            if not isinstance(message, Done) or is_past:
                raise Refused(twice)
            # Reports count once, in any order. Who is waited for is not shut out by a lie in its name.
            return Admitted(message, (f"{twice} on {topic}",))
        self._streams[topic] = stream
        if arrival is Arrival.NEW and not skips and not is_past and not isinstance(message, Step):
            return Admitted(message)
        if arrival is Arrival.DUPLICATE:
            return Admitted(None, duplicates=1)
        if isinstance(message, Step) and not is_past:
            self._clock.note(message)
        if arrival is Arrival.LATE:
            return Admitted(None if is_past else message, (f"late message on {topic}",), late=1)
        flags = []
        if arrival is Arrival.ANEW:
            flags.append(f"{message.sender} began anew on {topic}")
        if skips:
            flags.append(f"{skips} message(s) missing on {topic}")
        if is_past and message.epoch == self.epoch:
            flags.append(f"message of tick {message.tick} came late on {topic}")
        return Admitted(None if is_past else message, tuple(flags), gaps=skips, late=int(is_past))
