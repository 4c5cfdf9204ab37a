"""Vehicles as a user's table has them: when each comes and leaves, and what it then wants.

One row per stay, from a CSV or Parquet file.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from cosim.population.members import Bools, Population
from cosim.population.profile_table import instants_of
from cosim.scenario import Scenario
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.table_file import TableFile, read_table
from cosim.scenario.timeline import Timeline
from devices.physics.storage import StorePath
from sharegrid.text import closest

COLUMNS = {
    "prosumer": "Whose vehicle it is: an id of the population; who is live has an emulated charger.",
    "arrives": "When it comes, with UTC offset: `2024-06-21T17:40+02:00`.",
    "leaves": "When it leaves, likewise.",
    "wants_kwh": "Energy that it wants to take along, stored [kWh].",
    "kw": "Rating of the charger [kW]; `population.ev.kw` where the column is left out.",
}
_MOST_KWH, _MOST_KW = 2000.0, 2000.0


@dataclass(frozen=True)
class Stays:
    """Vehicles of ``V`` prosumers and their ``R`` stays, in the order of owners and of time.

    A vehicle may charge in intervals that lie wholly within a stay. Its energy is what it has been given in
    the stay, which is gone when it leaves.

    Attributes
    ----------
    owner
        Index of each vehicle's owner in the population, ``(V,)``.
    kw
        Largest rating of each one's charger, ``(V,)`` [kW].
    vehicle, first, end
        Of each stay: whose, the first interval, and the one behind the last; none where these are the same,
        ``(R,)``.
    rating_kw, wants_kwh
        Rating of the charger [kW] and energy wanted [kWh], ``(R,)``.
    lacks_kwh
        What of that cannot be charged in time, ``(R,)``.
    efficiency
        Energy stored per energy drawn.
    """

    owner: Indices
    kw: Floats
    vehicle: Indices
    first: Indices
    end: Indices
    rating_kw: Floats
    wants_kwh: Floats
    lacks_kwh: Floats
    efficiency: float

    def path(self, tick: int, intervals: int) -> StorePath:
        """What the vehicles may do in so many intervals from a tick on.

        What they cannot get in time is not asked for, so that it stays with nobody.
        """
        V, gets_kwh = self.owner.size, self.wants_kwh - self.lacks_kwh
        lower, draw, drift = np.zeros((3, V, intervals))
        upper = np.zeros((V, intervals))
        # Behind a departure the interval begins with what the stay before it left.
        upper[:] = np.maximum.reduceat(gets_kwh, self._starts)[:, None] if V else 0.0
        at = tick + np.arange(intervals)
        stay, t = np.nonzero((self.first[:, None] <= at) & (at < self.end[:, None]))
        draw[self.vehicle[stay], t] = self.rating_kw[stay]
        upper[self.vehicle[stay], t] = gets_kwh[stay]
        stay, t = np.nonzero((self.end - 1)[:, None] == at)
        lower[self.vehicle[stay], t] = gets_kwh[stay]
        stay, t = np.nonzero(self.end[:, None] == at)
        drift[self.vehicle[stay], t] = -gets_kwh[stay]
        ones = np.ones(V)
        return StorePath(
            lower, upper, draw, np.zeros((V, intervals)), self.efficiency * ones, ones, ones, drift
        )

    def of(self, who: Bools) -> Stays:
        """Stays of vehicles whose owners are among some, ``(n,)``."""
        kept = who[self.owner]
        some = kept[self.vehicle]
        place = np.cumsum(kept) - 1
        columns = ("first", "end", "rating_kw", "wants_kwh", "lacks_kwh")
        return replace(
            self,
            owner=self.owner[kept],
            kw=self.kw[kept],
            vehicle=place[self.vehicle[some]],
            **{name: getattr(self, name)[some] for name in columns},
        )

    def lacking_at(self, tick: int) -> Floats:
        """What vehicles that leave as a tick begins could not be given in time, ``(V,)`` [kWh]."""
        leaves = self.end == tick
        return np.bincount(self.vehicle[leaves], self.lacks_kwh[leaves], self.owner.size).astype(np.float64)

    @property
    def _starts(self) -> Indices:
        return np.searchsorted(self.vehicle, np.arange(self.owner.size))

    def lacking(self, names: tuple[str, ...]) -> list[str]:
        """A line on what cannot be charged in time, if anything: how much, and whose."""
        short = np.flatnonzero(self.lacks_kwh > 1e-9)
        if not short.size:
            return []
        stay = int(short[np.argmax(self.lacks_kwh[short])])
        who = names[int(self.owner[self.vehicle[stay]])]
        lacks, wants = self.lacks_kwh.sum(), self.wants_kwh.sum()
        line = (
            f"tables.vehicles: {lacks:.4g} kWh of {wants:.4g} kWh that vehicles want cannot be charged in "
            f"time, at {short.size} of {self.wants_kwh.size} stays; most, {self.lacks_kwh[stay]:.4g} kWh, is "
            f"missing at {who}: let it come earlier, or with a stronger charger"
        )
        return [line]


def no_stays() -> Stays:
    """Nobody's vehicles."""
    none, nobody = np.zeros(0), np.zeros(0, dtype=np.intp)
    return Stays(nobody, none, nobody, nobody, nobody, none, none, none, 1.0)


def read_stays(
    scenario: Scenario, population: Population, timeline: Timeline, hardware: Collection[str] = ()
) -> Stays:
    """Stays of a user's table that touch the run (columns: `COLUMNS`).

    Parameters
    ----------
    hardware
        Prosumers whose devices are outside the run, so that no charger of theirs is emulated.

    Raises
    ------
    ScenarioError
        One line that names file, column and row: a column unknown or missing, a prosumer that nobody is or
        whose devices are outside the run, a time that is none or without UTC offset, a departure that is not
        after the arrival, a stay that begins before the vehicle's last one ends, a number out of range, no
        stay within the run.
    """
    table = read_table(scenario.tables.vehicles, ("prosumer", "arrives", "leaves"))
    _check_columns(table)
    owner = _owners(table, population, hardware)
    arrives, leaves = instants_of(table, "arrives"), instants_of(table, "leaves")
    for bad in np.flatnonzero(leaves <= arrives):
        raise table.refusal("it leaves before it comes; correct one of both times", "leaves", int(bad))
    wants = table.numbers("wants_kwh", 0.0, _MOST_KWH)
    ev = scenario.population.ev
    kw = table.numbers("kw", 1e-3, _MOST_KW) if "kw" in table.columns else np.full(owner.size, ev.kw)
    order = np.lexsort((arrives, owner))
    for before, after in pairwise(order):
        if owner[before] == owner[after] and arrives[after] < leaves[before]:
            what = f"it comes before it has left ({table.row(int(before))}); correct one of both times"
            raise table.refusal(what, "arrives", int(after))
    step_s, start_s = timeline.interval_min * 60, timeline.start_epoch_min * 60
    first = -((start_s - arrives) // step_s)
    end = np.maximum((leaves - start_s) // step_s, first)
    inside = (leaves > start_s) & (first < timeline.intervals)
    if not inside.any():
        span = f"{timeline.local(0):%Y-%m-%dT%H:%M} to {timeline.local(timeline.intervals):%Y-%m-%dT%H:%M}"
        raise table.refusal(f"no stay lies within the run, {span}; move the run or the stays", "arrives")
    order = order[inside[order]]
    owners, vehicle = np.unique(owner[order], return_inverse=True)
    first, end, kw, wants = first[order], end[order], kw[order], wants[order]
    possible = ev.efficiency * kw * (end - np.maximum(first, 0)) * timeline.interval_h
    largest = np.zeros(owners.size)
    np.maximum.at(largest, vehicle, kw)
    return Stays(
        owner=owners,
        kw=largest,
        vehicle=vehicle.astype(np.intp),
        first=first,
        end=end,
        rating_kw=kw,
        wants_kwh=wants,
        lacks_kwh=np.maximum(wants - possible, 0.0),
        efficiency=ev.efficiency,
    )


def _check_columns(table: TableFile) -> None:
    for name in table.columns:
        if name not in COLUMNS:
            hint = closest(name, list(COLUMNS)) or f"known are {', '.join(COLUMNS)}"
            raise table.refusal(f"unknown column; {hint}", name)
    for name in COLUMNS:
        if name != "kw" and name not in table.columns:
            raise table.refusal("the column is missing; add it", name)


def _owners(table: TableFile, population: Population, hardware: Collection[str]) -> Indices:
    """Index of each row's prosumer."""
    place = {name: index for index, name in enumerate(population.id)}
    found = []
    for index, name in enumerate(table.text("prosumer")):
        if name not in place:
            hint = closest(name, list(place)) or f"the first is {population.id[0]}"
            raise table.refusal(f"there is no prosumer {name!r}; {hint}", "prosumer", index)
        if name in hardware:
            what = f"the devices of {name} are outside the run; name its charger among them, not here"
            raise table.refusal(what, "prosumer", index)
        found.append(place[name])
    return np.array(found, dtype=np.intp)
