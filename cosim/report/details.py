"""Rows of the report that say what stood behind its figures: limits, devices, incidents, changed keys."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cosim.results.comparison import differing_keys

if TYPE_CHECKING:
    import pandas as pd

_UNITS = {"voltage": "pu", "congestion": "% of rating", "unbalance": "%", "neutral": "V"}
_DIRECTION = " +"
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:e[+-]?\d+)?")


class Binding(NamedTuple):
    """A limit that bound, and in how many intervals; ``price`` is the mean over them.

    A limit on a magnitude has rows in several directions, together one line here.
    """

    row: str
    kind: str
    limit: str
    intervals: int
    first: str
    last: str
    price: str


class DeviceLine(NamedTuple):
    """How a live prosumer's devices did over a run."""

    prosumer: str
    readings: int
    not_good: str
    set_points: int
    unconfirmed: int
    off_kw: str
    soc: str


class Incident(NamedTuple):
    """What did not go as it should, once for all that is alike but for numbers."""

    when: str
    until: str
    times: int
    what: str
    source: str
    detail: str


class ChangedKey(NamedTuple):
    """A key of the scenario that another scenario has differently."""

    key: str
    here: str
    there: str


def binding_limits(limits: pd.DataFrame, labels: Mapping[int, str]) -> list[Binding]:
    """Limits that bound in the clearing, the dearest over the run first.

    Parameters
    ----------
    limits
        A run's table of limits.
    labels
        What to call an interval, by tick.
    """
    found = []
    of_row = limits["row"].map(lambda row: str(row).partition(_DIRECTION)[0])
    for (of, kind), rows in limits.groupby([of_row, "kind"]):
        if any(_DIRECTION in str(row) for row in rows["row"]):
            # Which side of a direction it is says nothing.
            rows = rows.assign(limit=rows["limit"].abs(), price=rows["price"].abs())
        prices = rows.groupby("tick")["price"].sum()
        ticks = prices.index.tolist()
        line = Binding(
            str(of),
            str(kind),
            f"{rows['limit'].iat[0]:.4g} {_UNITS.get(str(kind), '')}".strip(),
            len(ticks),
            labels.get(ticks[0], f"tick {ticks[0]}"),
            labels.get(ticks[-1], f"tick {ticks[-1]}"),
            f"{prices.mean():,.4g}",
        )
        found.append((-float(prices.abs().sum()), line))
    return [line for _, line in sorted(found)]


def device_lines(devices: pd.DataFrame) -> list[DeviceLine]:
    """Live prosumers, those with most readings that were not good first.

    Parameters
    ----------
    devices
        A run's table of devices.
    """
    at_end = devices[devices["phase"] == "meter"]
    asked = at_end[at_end["acknowledged"].notna()]
    readings = devices.groupby("prosumer").size()
    doubted = devices[devices["quality"] != "good"]
    not_good = Counter(zip(doubted["prosumer"], doubted["quality"], strict=True))
    bad_of: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (name, quality), times in not_good.items():
        bad_of[name].append((times, quality))
    set_points = asked.groupby("prosumer").size()
    unconfirmed = asked[~asked["acknowledged"].astype(bool)].groupby("prosumer").size()
    off_kw = (at_end["battery_kw"] - at_end["battery_set_point_kw"]).abs().groupby(at_end["prosumer"]).mean()
    charge = at_end[at_end["soc"].notna()]
    soc = dict(zip(charge["prosumer"], charge["soc"], strict=True))
    found = []
    for name, count in zip(readings.index.tolist(), readings.tolist(), strict=True):
        bad = sorted(bad_of[name], key=lambda each: (-each[0], each[1]))
        off = off_kw.get(name, math.nan)
        line = DeviceLine(
            name,
            count,
            ", ".join(f"{times} {quality}" for times, quality in bad),
            int(set_points.get(name, 0)),
            int(unconfirmed.get(name, 0)),
            "" if math.isnan(off) else f"{off:.3f}",
            f"{soc[name]:.0%}" if name in soc else "",
        )
        worst = -sum(times for times, _ in bad), -line.unconfirmed, 0.0 if math.isnan(off) else -off
        found.append((*worst, line))
    return [line for *_, line in sorted(found)]


def incidents(
    intervals: pd.DataFrame, events: Sequence[Mapping[str, Any]], labels: Mapping[int, str]
) -> list[Incident]:
    """Everything that did not go as it should, in order of time; what is alike stands once.

    Parameters
    ----------
    intervals
        A run's table of intervals.
    events
        Its events.
    labels
        What to call an interval, by tick.

    Returns
    -------
    list of Incident
        Every event, and every interval that AC power flow did not confirm; one for all that differ in numbers
        alone, with the first one's detail.
    """
    unconfirmed = intervals[intervals["status"] != "confirmed"]
    found = [
        (int(tick), str(status), "", "the dispatch was not confirmed by AC power flow")
        for tick, status in zip(unconfirmed["tick"], unconfirmed["status"], strict=True)
    ]
    for event in events:
        tick = event.get("tick")
        kind, source, detail = (str(event.get(name) or "") for name in ("kind", "source", "detail"))
        found.append((-1 if tick is None else int(tick), kind, source, detail))
    found.sort(key=lambda each: each[0])
    alike: dict[tuple[str, str, str], list[tuple[int, str, str, str]]] = {}
    for each in found:
        alike.setdefault((each[1], each[2], _NUMBER.sub("#", each[3])), []).append(each)

    def label(tick: int) -> str:
        return labels.get(tick, f"tick {tick}" if tick >= 0 else "")

    return [
        Incident(label(same[0][0]), label(same[-1][0]) if len(same) > 1 else "", len(same), *same[0][1:])
        for same in alike.values()
    ]


def changed_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[ChangedKey]:
    """Keys that two resolved scenarios have differently, in order of their names."""
    return [
        ChangedKey(key, _shown(here), _shown(there))
        for key, (here, there) in sorted(differing_keys(ours, theirs).items())
    ]


def _shown(value: object) -> str:
    """A key's value in a few words."""
    if value is None:
        return "–"
    if isinstance(value, list) and len(value) > 6:
        if all(isinstance(each, int | float) for each in value):
            return f"{len(value)} values, {min(value):g} to {max(value):g}"
        return f"{len(value)} entries"
    return str(value)
