"""Times as labs write them, with an offset or by a local clock, made into seconds since 1970 UTC.

A local clock shows an hour twice in autumn and leaves one out in spring. Rows of the doubled hour are told
apart by their order; rows in an hour that does not exist are left out. Both are said.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cosim.importing.errors import ImportRefused
from cosim.importing.notes import Notes

FORMATS = (
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M",
    "%d-%b-%Y %H:%M",
    "%d %b %Y %H:%M",
)
_ISO = "ISO 8601"
_FRACTION = re.compile(r"(:\d\d\.\d{6})\d+$")


@dataclass
class Clock:
    """What is known of the times of a file.

    Attributes
    ----------
    zone
        Whose local time it is where rows have no offset.
    shown
        In which times are shown: the zone, else the first offset that was read.
    notes
        What was done, for the user.
    """

    zone: ZoneInfo | None
    shown: tzinfo = UTC
    notes: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self.shown = self.zone or self.shown

    def written(self, epoch_s: int) -> str:
        """A moment as a user reads it."""
        return datetime.fromtimestamp(epoch_s, self.shown).isoformat(timespec="minutes")

    def instants(self, texts: Sequence[str], where: str) -> list[int | None]:
        """Seconds since 1970 UTC of the rows of one series, in their order; ``None`` for a row to leave out.

        Parameters
        ----------
        texts
            Times as written.
        where
            File and column, for messages.

        Raises
        ------
        ImportRefused
            A text is no time, day and month may be either, or there is neither offset nor zone.
        """
        stamps = _parsed(texts, where)
        if all(stamp.tzinfo is not None for stamp in stamps):
            self.shown = self.zone or stamps[0].tzinfo or UTC
            return [round(stamp.timestamp()) for stamp in stamps]
        if self.zone is None:
            raise ImportRefused(
                f"{where}: {texts[0]!r} has no UTC offset; say whose local time, as --zone Europe/Berlin"
            )
        return list(self._localised(stamps, self.zone))

    def _localised(self, stamps: Sequence[datetime], zone: ZoneInfo) -> Iterator[int | None]:
        seen: set[datetime] = set()
        doubled = missing = 0
        for stamp in stamps:
            local = stamp.replace(tzinfo=zone, fold=stamp in seen)
            seen.add(stamp)
            if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != stamp:
                missing += 1
                yield None
                continue
            doubled += local.fold
            yield round(local.timestamp())
        if doubled:
            self.notes.once(
                f"the clock of {zone.key} was put back: {doubled} rows stand twice, told apart by order"
            )
        if missing:
            self.notes.once(
                f"{missing} rows at times that the clock of {zone.key} leaves out in spring left out"
            )


def is_time(text: str) -> bool:
    """Whether a text can be read as date and time."""
    return any(_read(text, form) is not None for form in (_ISO, *FORMATS))


def _parsed(texts: Sequence[str], where: str) -> list[datetime]:
    """Times in the one form that fits all of them."""
    fitting = [stamps for form in (_ISO, *FORMATS) if (stamps := _all_read(texts, form)) is not None]
    if not fitting:
        bad = next((text for text in texts if not is_time(text)), texts[0])
        raise ImportRefused(
            f"{where}: {bad!r} is no time that others here agree with; write 2024-06-21T00:00+02:00"
        )
    # 3/4/2024 is a day in April or in March: the right one makes even steps.
    even = [stamps for stamps in fitting if len({b - a for a, b in itertools.pairwise(stamps)}) <= 3]
    if len(fitting) > 1 and len(even) != 1:
        raise ImportRefused(
            f"{where}: {texts[0]!r} may begin with the day or with the month; write 2024-06-21T00:00"
        )
    return even[0] if len(fitting) > 1 else fitting[0]


def _all_read(texts: Sequence[str], form: str) -> list[datetime] | None:
    """Times of a form; ``None`` with the first that does not fit it."""
    stamps = []
    for text in texts:
        stamp = _read(text, form)
        if stamp is None:
            return None
        stamps.append(stamp)
    return stamps


def _read(text: str, form: str) -> datetime | None:
    try:
        if form == _ISO:
            # Nanoseconds are no use here and unknown to the standard library.
            return datetime.fromisoformat(_FRACTION.sub(r"\1", text))
        return datetime.strptime(text, form)  # noqa: DTZ007  # the zone is the caller's
    except ValueError:
        return None
