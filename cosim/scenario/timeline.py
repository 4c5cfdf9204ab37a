"""Where the ticks of a run lie in time: integer tick -> UTC instant -> the site's wall time.

Ticks are equally long; wall time jumps at clock changes, so a local day has 92 or 100 quarter hours twice a
year.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from cosim.scenario.sections import Run

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The ticks of one run; tick t covers ``[start + t dt, start + (t + 1) dt)``."""

    start_utc: datetime
    zone: ZoneInfo
    interval_min: int
    intervals: int
    substeps: int

    @property
    def interval_h(self) -> float:
        """Length of an interval [h]."""
        return self.interval_min / 60.0

    @property
    def start_epoch_min(self) -> int:
        """Start of the run [min since 1970-01-01 UTC]."""
        return int((self.start_utc - EPOCH).total_seconds()) // 60

    def utc(self, tick: int) -> datetime:
        """Instant at which a tick starts, in UTC."""
        return self.start_utc + timedelta(minutes=tick * self.interval_min)

    def local(self, tick: int) -> datetime:
        """Instant at which a tick starts, as the site's wall time."""
        return self.utc(tick).astimezone(self.zone)

    def hour(self, tick: int) -> float:
        """Hour of the day at which a tick starts by the clock on the wall [h].

        Where the clock is set back, the hour that comes twice is over once it has been: its second time
        counts as its last interval.
        """
        back = 0
        while self.local(tick + back).fold:
            back += 1
        local = self.local(tick + back)
        hour = local.hour + local.minute / 60.0
        return hour - self.interval_h if back else hour

    def substep_epoch_min(self, first: int, count: int = 1) -> NDArray[np.float64]:
        """Middles of the sub-steps of some ticks.

        Parameters
        ----------
        first, count
            First tick and number of ticks.

        Returns
        -------
        NDArray
            Minutes since 1970-01-01 UTC, ``(count * substeps,)``.
        """
        step_min = self.interval_min / self.substeps
        opening_min = self.start_epoch_min + np.arange(first, first + count) * self.interval_min
        middles = opening_min[:, None] + (np.arange(self.substeps) + 0.5) * step_min
        return np.asarray(middles.ravel(), dtype=np.float64)

    def wall_offset_min(self, first: int, count: int) -> NDArray[np.float64]:
        """Distance of wall time from UTC at some ticks [min], ``(count,)``."""
        offsets = (self.local(tick).utcoffset() for tick in range(first, first + count))
        return np.array([offset.total_seconds() / 60.0 for offset in offsets if offset is not None])


def timeline_of(run: Run) -> Timeline:
    """Ticks of a run as its scenario asks for them.

    Raises
    ------
    ValueError
        The zone is unknown, or the start is a wall time that the clock change skips; the text is for users.
    """
    try:
        zone = ZoneInfo(run.time_zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"unknown time zone {run.time_zone!r}; give an IANA name such as Europe/Berlin"
        ) from None
    start = run.start.replace(tzinfo=zone)
    start_utc = start.astimezone(UTC)
    if start_utc.astimezone(zone).replace(tzinfo=None) != run.start:
        raise ValueError(
            f"{run.start:%Y-%m-%dT%H:%M} is skipped by the clock change in {run.time_zone}; start later"
        )
    return Timeline(start_utc, zone, run.interval_min, run.intervals, run.substeps)


def tick_of(at: int | str, timeline: Timeline) -> int:
    """Tick that a scenario names by its number or by local time; the run may end before it.

    Parameters
    ----------
    at
        A tick, ``HH:MM`` for the run's first such moment, or ``YYYY-MM-DDTHH:MM``.
    timeline
        The ticks of the run.

    Raises
    ------
    ValueError
        It is no time, or before the run; the text is for users.
    """
    if isinstance(at, int):
        tick = at
    else:
        start = timeline.local(0)
        try:
            if "T" in at or " " in at:
                moment = datetime.fromisoformat(at).replace(tzinfo=timeline.zone)
            else:
                moment = datetime.combine(start.date(), time.fromisoformat(at), timeline.zone)
                moment += timedelta(days=1) * (moment.astimezone(UTC) < timeline.start_utc)
        except ValueError:
            raise ValueError(f"{at!r} is no local time; give HH:MM or YYYY-MM-DDTHH:MM") from None
        since_start = moment.astimezone(UTC) - timeline.start_utc
        tick = since_start // timedelta(minutes=timeline.interval_min)
    if tick < 0:
        raise ValueError(f"{at} is before the run, which starts at {timeline.local(0):%Y-%m-%dT%H:%M}")
    return tick


def intervals_to_midnight(run: Run) -> int:
    """Intervals from the start of a run to the end of its first local day.

    Counted in real time: 96 quarter hours from midnight as a rule, 92 or 100 on the days of clock changes.
    """
    timeline = timeline_of(run)
    midnight = datetime.combine(run.start.date() + timedelta(days=1), datetime.min.time(), timeline.zone)
    return round((midnight.astimezone(UTC) - timeline.start_utc) / timedelta(minutes=run.interval_min))
