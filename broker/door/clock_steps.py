"""Which steps a receiver believes to be the clock's.

Anybody whom the broker lets write for the clock can say a step. The first that is heard is taken; from there
on each proves that it is of the same clock (`broker.door.step_proofs`), so that nobody else can lead a
service on, or end the run.
"""

from __future__ import annotations

from broker.door.refusal import Refused
from broker.door.step_proofs import hashed, place_number
from broker.door.stream import Stream
from broker.messages import Step

_MOST_MISSED, _MOST_AWAY = 2_000, 1_000_000
"""Steps that may be missed, and that while the connection is lost: so often a proof is hashed at most."""


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
        self._opened = (0, -1, 0)
        self._proven = ""
        self._at = 0

    @property
    def epoch(self) -> int:
        """The clock's epoch; another one may be that of a clock that was started anew."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch, self._proven = epoch, ""

    def came_back(self) -> None:
        """After a lost connection the clock may be anywhere: believe its next step."""
        self._was_away = True

    def begin_epoch(self, step: Step) -> None:
        """Believe that the clock goes back to the beginning of a tick."""
        self.epoch, self.tick = step.epoch, step.tick
        self.note(step)

    def note(self, step: Step) -> None:
        """Go on from a step that was believed."""
        self._was_away = False
        self._opened = step.place
        self._proven, self._at = step.proof, place_number(step.tick, step.step)

    def is_past(self, step: Step) -> bool:
        """Whether the clock has opened this step or a later one before."""
        return step.place <= self._opened

    def check(self, step: Step) -> None:
        """Hold a step against the run and the clock's last.

        Raises
        ------
        Refused
            It is not believed.
        """
        _check_ahead(step)
        # Behind the last interval a run ends, and before that may go back to there.
        if self._ticks is not None and step.tick >= self._ticks + (step.step in ("end", "restore")):
            raise Refused(f"tick {step.tick} is behind the run's end")
        if step.epoch > self.epoch:
            if step.step != "restore":
                raise Refused(f"epoch {step.epoch} was not opened by a restore")
            return
        missed = place_number(step.tick, step.step) - self._at
        if self._proven:
            is_far = missed > (_MOST_AWAY if self._was_away else _MOST_MISSED)
        else:
            is_far = step.tick > self.tick + 1 and not self._was_away
        if is_far:
            raise Refused(f"step {step.step} of tick {step.tick} is far ahead of the clock's {self.tick}")
        if step.epoch == self.epoch and self._proven and not self._is_proven(step, missed):
            raise Refused("it is not of the clock whose steps came before")

    def check_number(self, step: Step, stream: Stream) -> None:
        """Hold a step's number and place against those before: none opens twice.

        Raises
        ------
        Refused
            It is not believed.
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

    def _is_proven(self, step: Step, missed: int) -> bool:
        """Whether a step so many places behind the last one, or before it, is of the same clock."""
        later, earlier = (step.proof, self._proven) if missed >= 0 else (self._proven, step.proof)
        return -missed <= _MOST_MISSED and hashed(later, abs(missed)) == earlier


def _check_ahead(step: Step) -> None:
    """Steps ahead are those behind a step of an interval, in their order."""
    order = [step.order, *(each.order for each in step.ahead)]
    is_of_run = step.step == "restore" or any(each.step == "end" for each in step.ahead)
    if step.ahead and (is_of_run or sorted(set(order)) != order):
        raise Refused(f"what it says of the steps behind {step.step} is not in their order")
