"""Prices by local hour for a scenario, from a table of prices or ENTSO-E's market documents."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

import numpy as np

from cosim.importing.clock import Clock
from cosim.importing.errors import ImportRefused
from cosim.importing.loose_table import Decimal, read_loose
from cosim.importing.notes import Notes

_STEPS_S = {"PT15M": 900, "PT30M": 1800, "PT60M": 3600, "PT1H": 3600}
_PER_KWH = {"mwh": 1e-3, "kwh": 1.0}
_TIME_NAMES = ("time", "timestamp", "datetime", "date", "datum", "zeit", "mtu")


@dataclass(frozen=True)
class ImportedPrices:
    """Mean price of each local hour, 24 numbers per kWh, and what was understood."""

    by_hour: list[float]
    days: int
    notes: list[str]


@dataclass(frozen=True)
class _Prices:
    """Prices of steps: starts [s since 1970 UTC], lengths [s] and prices per kWh."""

    epoch_s: list[int]
    step_s: list[int]
    price: list[float]


def import_prices(
    path: Path, zone: ZoneInfo | None, day: date | None = None, decimal: Decimal | None = None
) -> ImportedPrices:
    """Mean price of each local hour of a day, or of all days of a file.

    Raises
    ------
    ImportRefused
        The file cannot be read, holds no prices of the day, or not for each hour.
    """
    if path.suffix.lower() == ".xml":
        if zone is None:
            raise ImportRefused(f"{path.name}: say in which local hours, as --zone Europe/Berlin")
        prices, notes = _entsoe(path)
    else:
        prices, notes = _from_table(path, zone, decimal)
    hours: dict[int, list[tuple[int, float]]] = {}
    days = set()
    for at, length, price in zip(prices.epoch_s, prices.step_s, prices.price, strict=True):
        local = datetime.fromtimestamp(at, zone or UTC)
        if day is None or local.date() == day:
            days.add(local.date())
            for hour in range(local.hour, local.hour + max(1, length // 3600)):
                hours.setdefault(hour % 24, []).append((min(length, 3600), price))
    lacking = [hour for hour in range(24) if hour not in hours]
    if lacking:
        which = "no prices" if len(lacking) == 24 else f"no price for {lacking[0]}:00"
        raise ImportRefused(f"{path.name}: {which}{f' on {day}' if day else ''}; give another day or file")
    by_hour = [
        float(np.average([p for _, p in hours[h]], weights=[s for s, _ in hours[h]])) for h in range(24)
    ]
    return ImportedPrices(by_hour, len(days), notes)


def _from_table(path: Path, zone: ZoneInfo | None, decimal: Decimal | None) -> tuple[_Prices, list[str]]:
    """Prices of a table with a time and one price in each row."""
    table, clock = read_loose(path, decimal), Clock(zone)
    time = next((name for name in table.columns if name.lower().split("(")[0].strip() in _TIME_NAMES), None)
    if time is None:
        raise table.refusal("no column holds the time; call it time")
    value = [name for name in table.columns if re.search(r"(?i)/\s*[mk]wh|price|preis", name)]
    if len(value) != 1:
        raise table.refusal("one column of prices is needed; call it price per kWh or price per MWh")
    unit = re.search(r"(?i)[mk]wh", value[0])
    if unit is None:
        raise table.refusal("the name tells no unit; add per kWh or per MWh", value[0])
    if unit.group().lower() == "mwh":
        table.notes.once("prices per MWh made into prices per kWh")
    numbers = table.numbers(value[0])
    for row in np.flatnonzero(np.isnan(numbers)):
        raise table.refusal("the cell is empty; fill it or remove the row", value[0], int(row))
    # Exports of market platforms give a span in each row: its beginning counts.
    texts = [text.split(" - ")[0].strip() for text in table.texts(time)]
    at = clock.instants(texts, f"{path.name}, column {time}")
    kept = [k for k, each in enumerate(at) if each is not None]
    starts = [each for each in at if each is not None]
    step_s = int(np.median(np.diff(starts))) if len(starts) > 1 else 3600
    price = [float(numbers[k]) * _PER_KWH[unit.group().lower()] for k in kept]
    return _Prices(starts, [step_s] * len(starts), price), table.notes + clock.notes


def _entsoe(path: Path) -> tuple[_Prices, list[str]]:
    """Prices of a publication document; in curves of type A03 a position left out repeats the last."""
    try:
        root = ET.parse(path).getroot()  # noqa: S314  # the user's own file
    except (OSError, ET.ParseError) as error:
        raise ImportRefused(f"{path.name}: cannot be read: {error}; download it again") from None
    notes = Notes()
    prices = _Prices([], [], [])
    for series in root.iterfind("{*}TimeSeries"):
        per = (series.findtext("{*}price_Measure_Unit.name") or "MWH").lower()
        repeats = series.findtext("{*}curveType") == "A03"
        for period in series.iterfind("{*}Period"):
            _add_period(prices, period, _PER_KWH.get(per, 1e-3), path, notes, repeats=repeats)
    if not prices.price:
        raise ImportRefused(f"{path.name}: no prices in it; give a document of day-ahead prices")
    return prices, notes


def _add_period(
    prices: _Prices, period: ET.Element, per: float, path: Path, notes: Notes, *, repeats: bool
) -> None:
    resolution = period.findtext("{*}resolution") or ""
    if resolution not in _STEPS_S:
        raise ImportRefused(f"{path.name}: a resolution of {resolution!r}; {', '.join(_STEPS_S)} are known")
    step_s = _STEPS_S[resolution]
    begin, end = (
        datetime.fromisoformat(period.findtext(f"{{*}}timeInterval/{{*}}{which}") or "")
        for which in ("start", "end")
    )
    points = {
        int(point.findtext("{*}position") or 0): float(point.findtext("{*}price.amount") or "nan")
        for point in period.iterfind("{*}Point")
    }
    count = int((end - begin) / timedelta(seconds=step_s))
    price, repeated = np.nan, 0
    for position in range(1, count + 1):
        if position not in points and not repeats:
            raise ImportRefused(f"{path.name}: position {position} is missing; download it again")
        repeated += position not in points
        price = points.get(position, price)
        prices.epoch_s.append(round(begin.timestamp()) + (position - 1) * step_s)
        prices.step_s.append(step_s)
        prices.price.append(price * per)
    if repeated:
        notes.once(f"{repeated} positions left out repeat the price before, as curves of type A03 do")
