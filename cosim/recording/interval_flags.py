"""Flags of intervals until their rows are written: none that was told is lost where the process then dies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from cosim.results.writer import RunWriter


class IntervalFlags:
    """Flags by interval.

    Those of an interval that is not booked yet are kept with its booking (`broker.snapshot`). What is told of
    one that is booked goes to the events at once, where a run that goes on finds it.

    Parameters
    ----------
    writer
        Where events are written.
    """

    def __init__(self, writer: RunWriter) -> None:
        self._writer = writer
        self._waiting: dict[int, list[str]] = defaultdict(list)
        self._written: Counter[int] = Counter()
        self._booked = -1

    def __getitem__(self, tick: int) -> list[str]:
        """Flags of an interval that are not among the events yet."""
        return list(self._waiting.get(tick, ()))

    def add(self, tick: int, flags: Iterable[str], *, at_once: bool = False) -> None:
        """Flag an interval.

        What is told ``at_once`` is written at once, and stays where its interval begins again.
        """
        if tick > self._booked and not at_once:
            self._waiting[tick] += flags
            return
        for flag in flags:
            self._write(tick, flag)

    def note_booked(self, tick: int) -> None:
        """From now on flags of an interval are not kept with its booking any more."""
        self._booked = tick

    def finish(self, tick: int) -> int:
        """Write what is left of an interval's flags; how many it has in all."""
        for flag in self._waiting.pop(tick, ()):
            self._write(tick, flag)
        return self._written.pop(tick, 0)

    def restore(self, tick: int, kept: list[str]) -> None:
        """Go on behind an interval that was booked, without a row yet, with flags kept with its booking."""
        told = Counter(self._writer.flags(tick))
        self._waiting = defaultdict(list)
        self._waiting[tick] = list((Counter(kept) - told).elements())
        self._written = Counter({tick: told.total()})
        self._booked = tick

    def begin_anew(self, tick: int) -> None:
        """Go on behind an interval whose row is written."""
        self._waiting.clear()
        self._written.clear()
        self._booked = tick

    def _write(self, tick: int, flag: str) -> None:
        self._writer.event({"tick": tick, "kind": "flag", "detail": flag})
        self._written[tick] += 1
