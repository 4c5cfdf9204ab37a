"""Which steps a receiver believes to be the clock's.

Anybody whom the broker lets write for the clock can say a step. What has the place that comes next is taken;
one that is far ahead is believed once another follows it. Nobody but the clock can end the run: each of its
steps tells the digest of a secret, and the end tells the secret.
"""

from __future__ import annotations

import hashlib

from broker.door.refusal import Refused
from broker.door.stream import Stream
from broker.messages import Step


class ClockSteps:
    """Where the clock is, as far as one receiver knows, and which step it believes next.

    Parameters
    ----------
    ticks
        Number of the run's intervals, if it is known.

    Attributes
    ----------
    tick
        The clock's tick; -1 before the first step.
    """

    def __init__(self, ticks: int | None) -> None:
        self.tick = -1
        self._epoch = 0
        self._ticks = ticks
        self._was_away = True
        self._doubted: Step | None = None
        self._opened = (0, -1, 0)
        self._end_digest = ""

    @property
    def epoch(self) -> int:
        """The clock's epoch; another one may be that of a clock that was started anew."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch, self._end_digest = epoch, ""

    def came_back(self) -> None:
        """After a lost connection the clock may be anywhere: believe its next step."""
        self._was_away = True

    def begin_epoch(self, step: Step) -> None:
        """Believe that the clock goes back to the beginning of a tick."""
        self.epoch, self.tick = step.epoch, step.tick
        self.note(step)

    def note(self, step: Step) -> None:
        """Go on from a step that was believed."""
        self._was_away, self._doubted = False, None
        self._opened = step.place
        self._end_digest = self._end_digest or step.end_digest

    def is_past(self, step: Step) -> bool:
        """Whether the clock has opened this step or a later one before."""
        return step.place <= self._opened

    def check(self, step: Step) -> None:
        """Hold a step against the run and the clock's last; a far one is believed once another follows it.

        Raises
        ------
        Refused
            It is not believed, or not yet.
        """
        _check_ahead(step)
        # Behind the last interval a run ends, and before that may go back to there.
        if self._ticks is not None and step.tick >= self._ticks + (step.step in ("end", "restore")):
            raise Refused(f"tick {step.tick} is behind the run's end")
        if step.epoch > self.epoch:
            if step.step != "restore":
                raise Refused(f"epoch {step.epoch} was not opened by a restore")
            return
        if step.epoch == self.epoch and self._end_digest and step.end_digest != self._end_digest:
            raise Refused("it is not of the clock whose steps came before")
        if step.step == "end" and self._end_digest and not self._tells_secret(step):
            raise Refused("an end must tell the secret of the clock whose steps came before")
        if self._was_away or step.tick <= self.tick + 1 or self._tells_secret(step):
            return
        before, self._doubted = self._doubted, step
        if before is None or not _follows(step, before):
            raise Refused(f"step {step.step} of tick {step.tick} is far ahead of the clock's {self.tick}")

    def check_number(self, step: Step, stream: Stream) -> None:
        """Hold a step's number and place against those before: none opens twice, an end comes right behind.

        Raises
        ------
        Refused
            It is not believed, or not yet.
        """
        if step.epoch > stream.epoch:
            return  # Maybe of a clock that was started anew.
        if step.seq < stream.expected:
            if step.tick > stream.tick:
                # A clock that was started anew could not go on with this run.
                raise Refused(f"number {step.seq} is one of an earlier tick")
            return
        if self.is_past(step):
            raise Refused(f"step {step.step} of tick {step.tick} was opened before")
        is_next = step.seq == stream.expected or self._was_away
        if step.step == "end" and not is_next and not self._tells_secret(step) and self._doubted != step:
            self._doubted = step
            raise Refused("an end must follow the clock's last step")

    def _tells_secret(self, step: Step) -> bool:
        return bool(self._end_digest) and end_digest_of(step.end_secret) == self._end_digest


def end_digest_of(secret: str) -> str:
    """What a clock's steps tell of the secret that its end will tell."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _check_ahead(step: Step) -> None:
    """Steps ahead are those behind a step of an interval, in their order."""
    order = [step.order, *(each.order for each in step.ahead)]
    is_of_run = step.step == "restore" or any(each.step == "end" for each in step.ahead)
    if step.ahead and (is_of_run or sorted(set(order)) != order):
        raise Refused(f"what it says of the steps behind {step.step} is not in their order")


def _follows(step: Step, before: Step) -> bool:
    """Whether a step has the number and a tick that come behind another's, or is an end said again."""
    if step.step == "end" and step == before:
        return True
    return step.seq == before.seq + 1 and 0 <= step.tick - before.tick <= 1
