"""A table of profiles for `[tables]` from whatever a lab has: one even step, kW, times with an offset."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from broker.topics import topic_safe
from cosim.importing.clock import Clock
from cosim.importing.errors import ImportRefused
from cosim.importing.green_button import is_green_button, read_green_button
from cosim.importing.loose_table import Decimal, read_loose
from cosim.importing.notes import Notes
from cosim.importing.series import Reading, Series, series_in
from cosim.population.profile_table import quantity_of

_HIGH_KW = 100.0


@dataclass(frozen=True)
class ProfileOptions:
    """What the user says of the files.

    Attributes
    ----------
    quantity
        ``load`` or ``pv``: what columns are that do not say it themselves.
    step_min
        Step of the table that is made [min].
    zone
        Local time zone; ``None`` where all times have an offset.
    unit, decimal, by_end, fill
        As `Reading` and `read_loose` have them.
    year
        Year to which times are moved, by whole weeks; ``None`` leaves them.
    """

    quantity: str = "load"
    step_min: int = 15
    zone: ZoneInfo | None = None
    unit: str | None = None
    decimal: Decimal | None = None
    by_end: bool = False
    fill: bool = False
    year: int | None = None


@dataclass(frozen=True)
class ImportedProfiles:
    """Series of one step and span, and what was understood and changed."""

    series: list[Series]
    zone: tzinfo
    notes: list[str]


def import_profiles(paths: list[Path], options: ProfileOptions) -> ImportedProfiles:
    """Series of all files, brought to one step.

    Raises
    ------
    ImportRefused
        A file cannot be understood; two series have one name; they share no span of time.
    """
    notes = Notes()
    found: list[Series] = []
    clock = Clock(options.zone)
    for path in paths:
        clock.notes = Notes()
        series, said = _read(path, options, clock)
        found += [_stepped(each, options.step_min * 60, path) for each in series]
        notes += [f"{path.name}: {line}" for line in said]
    if options.year is not None:
        found = [_moved(each, options.year, options.zone, notes) for each in found]
    named: dict[str, Series] = {}
    for each in found:
        name = _column_name(each.name, options.quantity, notes)
        if name in named:
            raise ImportRefused(f"{name}: stands in two files or columns; rename one")
        named[name] = Series(name, each.epoch_s, each.kw, each.step_s)
    return ImportedProfiles(_common(list(named.values()), clock, notes), clock.shown, notes)


def write_profiles(found: ImportedProfiles, out: Path) -> None:
    """Write the table as CSV or Parquet, by the ending of its name."""
    import pandas as pd

    times = [datetime.fromtimestamp(int(at), found.zone) for at in found.series[0].epoch_s]
    columns = {each.name: each.kw for each in found.series}
    if out.suffix == ".parquet":
        pd.DataFrame({"time": pd.Series(pd.to_datetime(times, utc=True)), **columns}).to_parquet(
            out, index=False
        )
        return
    rounded = {name: np.round(kw, 6) for name, kw in columns.items()}
    texts = [at.isoformat(timespec="minutes") for at in times]
    pd.DataFrame({"time": texts, **rounded}).to_csv(out, index=False)


def magnitudes(series: list[Series]) -> list[str]:
    """What each series amounts to, and whether it may be in another unit."""
    lines = []
    for each in series:
        mean, most = float(each.kw.mean()), float(each.kw.max())
        line = f"{each.name}: mean {mean:.4g} kW, largest {most:.4g} kW, {mean * 8.76:,.4g} MWh in a year"
        if most > _HIGH_KW and "_per_" not in each.name:
            line += "; if that is too much by a thousand, the values are watts: say --unit W"
        lines.append(line)
    return lines


def _read(path: Path, options: ProfileOptions, clock: Clock) -> tuple[list[Series], list[str]]:
    reading = Reading(clock, options.unit, options.by_end, options.fill)
    if is_green_button(path):
        return read_green_button(path), ["Green Button"]
    table = read_loose(path, options.decimal)
    series = series_in(table, reading)
    if not series:
        raise table.refusal("no column of values; add one such as load_kw.house")
    for each in series:
        low = int(np.argmin(each.kw))
        if each.kw[low] < 0:
            at = clock.written(int(each.epoch_s[low]))
            raise table.refusal(
                f"{each.name} is {each.kw[low]:g} kW at {at}; load and PV are never negative: divide feed-in "
                "and consumption, or turn the sign"
            )
    return series, table.notes + clock.notes


def _stepped(series: Series, step_s: int, path: Path) -> Series:
    """The series in another step, its energy kept."""
    if series.step_s == step_s:
        return series
    if series.step_s % step_s == 0:
        parts = series.step_s // step_s
        epoch_s = (series.epoch_s[:, None] + step_s * np.arange(parts)).ravel()
        return Series(series.name, epoch_s, np.repeat(series.kw, parts), step_s)
    if step_s % series.step_s == 0:
        parts = step_s // series.step_s
        first = int(-(-series.epoch_s[0] // step_s) * step_s - series.epoch_s[0]) // series.step_s
        whole = (series.kw.size - first) // parts
        span = slice(first, first + whole * parts)
        kw = series.kw[span].reshape(whole, parts).mean(axis=1)
        return Series(series.name, series.epoch_s[span][::parts], kw, step_s)
    raise ImportRefused(
        f"{path.name}: {series.name} has steps of {series.step_s / 60:g} min, which do not fit into "
        f"{step_s / 60:g} min; choose another --step"
    )


def _moved(series: Series, year: int, zone: ZoneInfo | None, notes: Notes) -> Series:
    """The series in another year, by whole weeks, so that weekdays and clock times stay."""
    first = datetime.fromtimestamp(int(series.epoch_s[0]), zone or UTC)
    try:
        wanted = first.date().replace(year=year)
    except ValueError:
        wanted = date(year, 2, 28)
    weeks = round((wanted - first.date()).days / 7)
    if weeks == 0:
        return series
    notes.once(f"moved by {weeks} weeks, to begin on {(first + timedelta(weeks=weeks)).date()}")
    shift = np.full(series.epoch_s.size, weeks * 7 * 86400, dtype=np.int64)
    if zone is not None:
        # The clock of the other year may have been put forward elsewhere.
        shift = np.array([_same_clock(int(at), weeks, zone) - int(at) for at in series.epoch_s])
    epoch_s = series.epoch_s + shift
    kept = np.concatenate([[True], np.diff(epoch_s) > 0])
    wanted_s = np.arange(epoch_s[0], epoch_s[-1] + 1, series.step_s)
    kw = np.interp(wanted_s, epoch_s[kept], series.kw[kept])
    return Series(series.name, wanted_s, kw, series.step_s)


def _same_clock(epoch_s: int, weeks: int, zone: ZoneInfo) -> int:
    local = datetime.fromtimestamp(epoch_s, zone)
    return round((local.replace(tzinfo=None) + timedelta(weeks=weeks)).replace(tzinfo=zone).timestamp())


def _column_name(name: str, quantity: str, notes: Notes) -> str:
    """Name of a column: the quantity and a name that can stand in a topic."""
    if quantity_of(name):
        return name
    safe = safe_name(name)
    if safe != name:
        notes.append(f"{name!r} is called {safe}")
    return f"{quantity}_kw.{safe}"


def safe_name(name: str) -> str:
    """A name of letters, digits and ``_ . : -`` for one of any text."""
    if topic_safe(name):
        return name
    plain = name.replace("ß", "ss").replace("ä", "ae").replace("ö", "oe").replace("ü", "ue")
    plain = plain.replace("Ä", "Ae").replace("Ö", "Oe").replace("Ü", "Ue")
    plain = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9_.:-]+", "-", plain).strip("-") or "unnamed"


def _common(series: list[Series], clock: Clock, notes: Notes) -> list[Series]:
    """The span of time that all series have."""
    first = max(int(each.epoch_s[0]) for each in series)
    last = min(int(each.epoch_s[-1]) for each in series)
    if first > last:
        raise ImportRefused("the series share no time; import them one by one, or move them with --year")
    cut = [
        Series(
            each.name,
            each.epoch_s[(each.epoch_s >= first) & (each.epoch_s <= last)],
            each.kw[(each.epoch_s >= first) & (each.epoch_s <= last)],
            each.step_s,
        )
        for each in series
    ]
    if not all(np.array_equal(each.epoch_s, cut[0].epoch_s) for each in cut):
        raise ImportRefused("the series begin at different minutes of a step; import them one by one")
    if any(each.epoch_s.size != whole.epoch_s.size for each, whole in zip(cut, series, strict=True)):
        notes.append(f"cut to the time that all have, from {clock.written(first)}")
    return cut
