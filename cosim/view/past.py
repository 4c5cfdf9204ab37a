"""The view model of a past run: the same panels, of any interval, from the run directory.

Tables are read an interval at a time, so that a year takes no more memory than a day.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from cosim.map.drawing import Drawing
from cosim.map.past import map_panel
from cosim.results.arrow import batches, tick_rows
from cosim.results.entries import KINDS
from cosim.results.errors import ResultsError
from cosim.results.flows import money_flows
from cosim.results.names import LEDGER
from cosim.results.plain import rows_of
from cosim.results.reader import Run, load
from cosim.view.ahead import ahead_panel
from cosim.view.calendar import Calendar
from cosim.view.devices import device_panel, find_rows
from cosim.view.figures import COLUMNS, series_panel
from cosim.view.flags import MOST_FLAGS
from cosim.view.market import GROUPS
from cosim.view.panels import (
    FlagPanel,
    LiveRow,
    MoneyPanel,
    Panel,
    RunPanel,
    ServicePanel,
    StopPanel,
)
from cosim.view.past_panels import (
    clearing_panel,
    energy_panel,
    flag_rows,
    interval_figures,
    lam_figures,
    live_rows,
    price_panel,
)
from cosim.view.series import Series

_PARTIES = ("prosumer", "lam", *GROUPS[2:])
_OF_INTERVAL = ("lams", "limits", "nodes", "currents", "positions", "devices", "outlook")


class PastModel:
    """What is shown of a past run: at first its last interval.

    Parameters
    ----------
    directory
        Its directory.

    Raises
    ------
    ResultsError
        It holds no run, or one without a complete interval.
    """

    def __init__(self, directory: Path) -> None:
        run = load(directory)
        self._path = run.path
        self._intervals: dict[int, dict[str, Any]] = {row["tick"]: row for row in rows_of(run.intervals)}
        if not self._intervals:
            raise ResultsError(f"{directory}: no interval of this run is complete; there is nothing to view")
        self._ticks = sorted(self._intervals)
        scenario = run.scenario
        first = self._intervals[self._ticks[0]]
        interval_s = 60.0 * scenario["run"]["interval_min"]
        start = first["time"].timestamp() - self._ticks[0] * interval_s
        self._calendar = Calendar(start, interval_s, scenario["run"]["time_zone"])
        self._members = _members(run.path)
        lams = tick_rows(run.path, "lams", self._ticks[-1])["lam"]
        counts: dict[str, int] = {}
        for _, lam in self._members.values():
            counts[lam] = counts.get(lam, 0) + 1
        self._drawing = Drawing(run.feeder_map, lams, [counts.get(lam, 0) for lam in lams] if counts else [])
        self._flags = flag_rows(run.events, self._calendar)
        self._horizons = {row["tick"]: row for row in rows_of(run.horizons)}
        self._money = money_flows(run.path / LEDGER, _PARTIES)
        self._live: list[LiveRow] = []
        self._where = RunPanel(
            run=directory.resolve().name,
            mode="past",
            feeder=run.feeder_map.name,
            prosumers=len(self._members) or scenario["population"]["prosumers"],
            lams=len(lams),
            intervals=self._ticks[-1] + 1,
            interval_s=interval_s,
            time_zone=scenario["run"]["time_zone"],
            incomplete=_incomplete(run),
        )
        self._series = self._all_figures()
        self._panels: dict[str, Panel] = {
            "layout": self._drawing.layout,
            "series": series_panel(self._series, self._calendar),
            "services": ServicePanel(),
            "stop": StopPanel(),
            **self.at(self._ticks[-1]),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all panels."""
        return tuple(self._panels)

    def changed(self) -> dict[str, Panel]:
        """Nothing changes by itself."""
        return {}

    def panel(self, name: str) -> Panel:
        """One panel as it was at first."""
        return self._panels[name]

    def find_devices(self, text: str) -> list[LiveRow]:
        """Live prosumers of the interval last shown, by name, id or LAM."""
        return find_rows(self._live, text)

    def at(self, tick: int) -> dict[str, Panel]:
        """Panels of an interval; of the last complete one where it is not complete."""
        interval = self._intervals.get(tick) or self._intervals[self._ticks[-1]]
        tick = interval["tick"]
        rows = {name: tick_rows(self._path, name, tick) for name in _OF_INTERVAL}
        self._live = live_rows(rows["devices"], self._members)
        shown = structs.replace(
            self._where, tick=tick, label=self._calendar.label(tick), date=self._calendar.date(tick)
        )
        return {
            "run": shown,
            "map": map_panel(self._drawing, interval, rows),
            "prices": price_panel(interval, rows["lams"], rows["limits"]),
            "energy": energy_panel(interval),
            "clearing": clearing_panel(interval),
            "devices": device_panel(self._live),
            "flags": self._flag_panel(tick),
            "money": self._money_panel(tick),
            "ahead": ahead_panel(self._horizons.get(tick, {}), rows["outlook"], self._calendar),
        }

    def _flag_panel(self, tick: int) -> FlagPanel:
        """What was written down up to the end of an interval, the latest first."""
        until = [row for row in self._flags if row.tick <= tick]
        return FlagPanel(total=len(until), rows=until[: -MOST_FLAGS - 1 : -1])

    def _money_panel(self, tick: int) -> MoneyPanel:
        first = self._ticks[0]
        none = np.zeros((len(KINDS), len(_PARTIES)), dtype=np.int64)
        total = sum((flows for each, flows in self._money.items() if each <= tick), none)
        return MoneyPanel(
            kinds=list(KINDS),
            groups=list(GROUPS),
            interval=self._money.get(tick, none).tolist(),
            total=total.tolist(),
            first=first,
            first_label=self._calendar.label(first),
        )

    def _all_figures(self) -> Series:
        series, over_lams = Series(COLUMNS), lam_figures(self._path)
        for tick in self._ticks:
            series.put(tick, interval_figures(self._intervals[tick]) | over_lams.get(tick, {}))
        return series


def _incomplete(run: Run) -> str:
    """What the run lacks, where its summary or what was written at its beginning can tell."""
    try:
        return run.summary.incomplete
    except ResultsError:
        return ""


def _members(directory: Path) -> dict[str, tuple[str, str]]:
    """What each prosumer is called and its LAM, by its id; nobody where an older run was killed."""
    return {
        row["prosumer"]: (row["name"] or "", row["lam"])
        for batch in batches(directory, "prosumers")
        for row in batch.to_pylist()
    }
