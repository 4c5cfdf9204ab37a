"""Power over time from a CSV file, for a device that plays a recorded day."""

import csv
from bisect import bisect_right
from pathlib import Path

from devices.errors import PowerFileError
from sharegrid.text import unreadable

_DAY_S = 86_400.0


class PowerFile:
    """Rows of time and power, each holding until the next; after the last it begins again.

    Times are seconds from the start of the device, or times of the local day as ``HH:MM`` or ``HH:MM:SS``.

    Parameters
    ----------
    path
        CSV file; a first line that holds no number is taken for a heading.

    Attributes
    ----------
    of_day
        Whether the times are those of the local day.

    Raises
    ------
    PowerFileError
        The file cannot be read, or a line is not time and power; names the line.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = [self._row(number, row) for number, row in enumerate(self._lines(), start=1) if row]
        if rows and rows[0] is None:
            rows = rows[1:]
        self._rows: list[tuple[float, float, bool]] = []
        for number, row in enumerate(rows, start=1):
            if row is None or (self._rows and row[0] <= self._rows[-1][0]):
                raise PowerFileError(f"{path}: row {number} of the data is no later time and a power in kW")
            self._rows.append(row)
        if not self._rows or len({of_day for *_, of_day in self._rows}) > 1:
            raise PowerFileError(f"{path}: give rows of time and kW, all in seconds or all as HH:MM")
        self.of_day = self._rows[0][2]
        self._times = [time_s for time_s, *_ in self._rows]
        last_step_s = self._times[-1] - self._times[-2] if len(self._times) > 1 else _DAY_S
        self._period_s = _DAY_S if self.of_day else self._times[-1] + last_step_s

    def at(self, time_s: float) -> float:
        """Power [kW] at a time, in seconds from the start or from local midnight (see ``of_day``)."""
        place = bisect_right(self._times, time_s % self._period_s) - 1
        return self._rows[place][1]

    def _lines(self) -> list[list[str]]:
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                return [[cell.strip() for cell in row] for row in csv.reader(file)]
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise PowerFileError(
                f"{self.path}: cannot be read ({unreadable(error)}); give a CSV file"
            ) from None

    def _row(self, number: int, row: list[str]) -> tuple[float, float, bool] | None:
        try:
            time_s, of_day = _time(row[0])
            power_kw = float(row[1])
        except (ValueError, IndexError):
            if number == 1:
                return None
            raise PowerFileError(
                f"{self.path}:{number}: {','.join(row)!r} is no time and power; write seconds or HH:MM and kW"
            ) from None
        if not (abs(power_kw) < 1e6 and 0.0 <= time_s < 1e9):
            raise PowerFileError(f"{self.path}:{number}: {','.join(row)!r} is out of range; correct it")
        return time_s, power_kw, of_day


def _time(text: str) -> tuple[float, bool]:
    """Seconds, and whether they are of the local day."""
    if ":" not in text:
        return float(text), False
    hours, minutes, seconds = (text + ":0").split(":")[:3]
    time_s = int(hours) * 3600.0 + int(minutes) * 60.0 + float(seconds)
    if time_s >= _DAY_S:
        raise ValueError(text)
    return time_s, True
