"""What a run's intervals are called: the feeder's time and date at their beginning."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo


class Calendar:
    """Times of the intervals of a run on the feeder's clocks.

    Parameters
    ----------
    start
        Beginning of the first [s since epoch].
    interval_s
        How long each is [s].
    time_zone
        IANA name of the zone.
    """

    def __init__(self, start: float, interval_s: float, time_zone: str) -> None:
        self._start = start
        self._interval_s = interval_s
        try:
            self._zone: ZoneInfo | None = ZoneInfo(time_zone)
        except (KeyError, ValueError, OSError):
            self._zone = None

    def label(self, tick: int) -> str:
        """Time of day, ``HH:MM``; empty before the first interval."""
        return f"{self._at(tick):%H:%M}" if tick >= 0 else ""

    def date(self, tick: int) -> str:
        """Day, such as ``Fri 21 June 2024``; empty before the first interval."""
        return f"{self._at(tick):%a %-d %B %Y}" if tick >= 0 else ""

    def _at(self, tick: int) -> datetime:
        return datetime.fromtimestamp(self._start + tick * self._interval_s, self._zone or UTC)
