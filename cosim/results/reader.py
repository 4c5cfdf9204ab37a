"""Reading a run directory back: tables, summary, events and ledger, each at its first use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from broker.messages import FeederMap
from cosim.results.arrow import frame
from cosim.results.directory import run_directory
from cosim.results.entries import KINDS, MICRO
from cosim.results.errors import ResultsError, translated
from cosim.results.ledger_reader import LedgerReader
from cosim.results.names import EVENTS, FEEDER_MAP, LEDGER, SCENARIO, SUMMARY
from cosim.results.summarising import build_summary
from cosim.results.summary import Summary, read_summary
from cosim.results.unfinished import SoFar, so_far
from sharegrid.decoding import decode_json, decode_toml
from sharegrid.text import closest

if TYPE_CHECKING:
    import pandas as pd


class _Event(msgspec.Struct, frozen=True):
    """What every line of the events must be able to say."""

    tick: int | None = None
    kind: str | None = None
    source: str | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Run:
    """A run directory, read on demand; tables are as docs/results.md describes them.

    Of a run that was killed or goes on, tables, summary and ledger are of the intervals that were booked at
    the first look at any of them; ``load`` anew looks anew.

    Those with a row for each interval have ``time`` beside the tick: its start, on the feeder's clocks.
    """

    path: Path

    @cached_property
    def summary(self) -> Summary:
        """The summary, of what there is where the run is not over (``unfinished`` says so).

        Raises
        ------
        ResultsError
            It lacks keys, or was removed.
        """
        if self._so_far is not None:
            record = self._so_far.record(self.intervals)
            return build_summary(self.intervals, self.prosumers, record, self._so_far.state)
        with translated(self.path / SUMMARY):
            return read_summary(self._read(SUMMARY))

    @cached_property
    def scenario(self) -> dict[str, Any]:
        """The resolved scenario."""
        with translated(self.path / SCENARIO):
            return decode_toml(self._read(SCENARIO))

    @cached_property
    def feeder_map(self) -> FeederMap:
        """The drawing of the feeder."""
        with translated(self.path / FEEDER_MAP):
            return decode_json(self._read(FEEDER_MAP), FeederMap)

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """One row per interval."""
        table = self._table("intervals")
        table["time"] = table["time"].dt.tz_convert(self._zone)
        return table

    @cached_property
    def lams(self) -> pd.DataFrame:
        """One row per interval and LAM."""
        return self._timed("lams")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row per interval and node."""
        return self._timed("nodes")

    @cached_property
    def limits(self) -> pd.DataFrame:
        """One row per interval and limit that binds in the clearing."""
        return self._timed("limits")

    @cached_property
    def currents(self) -> pd.DataFrame:
        """One row per interval and conductor above half of its rating."""
        return self._timed("currents")

    @cached_property
    def positions(self) -> pd.DataFrame:
        """One row per interval and regulator, capacitor, switch or change of the circuit."""
        return self._timed("positions")

    @cached_property
    def connections(self) -> pd.DataFrame:
        """One row per interval and connection of loads: power by LAM and phase."""
        return self._timed("connections")

    @cached_property
    def devices(self) -> pd.DataFrame:
        """One row per interval, live prosumer and phase."""
        return self._timed("devices")

    @cached_property
    def payments(self) -> pd.DataFrame:
        """One row per interval and prosumer; none where the scenario has ``run.payments = false``."""
        return self._timed("payments")

    @cached_property
    def prosumers(self) -> pd.DataFrame:
        """One row per prosumer."""
        return self._table("prosumers")

    @cached_property
    def faults(self) -> pd.DataFrame:
        """One row per injected fault, once the run is over."""
        return frame(self.path, "faults")

    @cached_property
    def outlook(self) -> pd.DataFrame:
        """One row per interval, LAM and interval to come; none where the market has no horizon."""
        return self._timed("outlook")

    @cached_property
    def stores(self) -> pd.DataFrame:
        """One row per interval and store; none where the market has no horizon."""
        return self._timed("stores")

    @cached_property
    def horizons(self) -> pd.DataFrame:
        """One row per interval where the market has a horizon."""
        return self._timed("horizons")

    @cached_property
    def events(self) -> list[dict[str, Any]]:
        """What happened, in order."""
        complete = self._read(EVENTS).split(b"\n")[:-1]
        with translated(self.path / EVENTS):
            for line in complete:
                decode_json(line, _Event)
            return [decode_json(line) for line in complete]

    @cached_property
    def ledger(self) -> LedgerReader:
        """The ledger, opened to read."""
        return self.open_ledger()

    def open_ledger(self) -> LedgerReader:
        """Open the ledger to read; of a run that is not over, up to the intervals that the tables have."""
        until = None if self._so_far is None else self._so_far.until
        return LedgerReader.open(self.path / LEDGER, until=until)

    @cached_property
    def _so_far(self) -> SoFar | None:
        """How far the run is that is not over, at the first look; ``None`` for one that is."""
        return None if (self.path / SUMMARY).exists() else so_far(self.path)

    def _table(self, name: str) -> pd.DataFrame:
        rows = frame(self.path, name)
        return rows if self._so_far is None else self._so_far.booked(name, rows)

    def statement(self, prosumer: str) -> pd.DataFrame:
        """What one prosumer traded, used and paid in each interval.

        Parameters
        ----------
        prosumer
            Its name, as in the table of prosumers.

        Returns
        -------
        DataFrame
            The prosumer's rows of ``payments``, and ``paid_usd``, the sum of its payments [$, + paid].

        Raises
        ------
        ResultsError
            The run has no such prosumer, or keeps no payments of prosumers.
        """
        if self.payments.empty:
            raise ResultsError(
                f"{self.path}: keeps no payments of prosumers; run it with run.payments = true"
            )
        rows = self.payments[self.payments["prosumer"] == prosumer]
        if rows.empty:
            near = closest(prosumer, self.payments["prosumer"].unique().tolist())
            raise ResultsError(f"{self.path}: no prosumer {prosumer!r}; {near or 'see run.prosumers'}")
        paid = rows["energy_usd"] + rows["imbalance_usd"]
        return rows.drop(columns="prosumer").assign(paid_usd=paid).reset_index(drop=True)

    @cached_property
    def paid(self) -> pd.DataFrame:
        """What each account paid over the run, by kind of entry and in all [$, + paid], by account's name."""
        import pandas as pd

        paid_usd = -self.ledger.sums() / MICRO
        table = pd.DataFrame(paid_usd, self.ledger.accounts(), [f"{kind}_usd" for kind in KINDS])
        return table.rename_axis("account").assign(paid_usd=paid_usd.sum(axis=1))

    @cached_property
    def _zone(self) -> ZoneInfo:
        """Zone of the feeder's clocks; UTC where the run was killed before its scenario was written."""
        file = self.path / SCENARIO
        with translated(file):
            name = self.scenario["run"].get("time_zone", "UTC") if file.exists() else "UTC"
            try:
                return ZoneInfo(name)
            except (ZoneInfoNotFoundError, TypeError):
                raise ValueError(f"run.time_zone: {name!r} is no zone") from None

    def _timed(self, name: str) -> pd.DataFrame:
        """A table, with the start of each interval on the feeder's clocks beside its tick."""
        table = self._table(name)
        times = self.intervals.set_index("tick")["time"]
        table.insert(1, "time", times.reindex(table["tick"]).array)
        return table

    def check_whole(self) -> None:
        """Raise ``ResultsError`` where tables or ledger do not hold as much as the summary counts."""
        summary = self.summary
        settled = summary.intervals.settled
        self._check_count("intervals.parquet", "rows", len(self.intervals), settled)
        self._check_count("lams.parquet", "rows", len(self.lams), settled * summary.lams)
        with self.open_ledger() as ledger:
            found = ledger.entries(), ledger.sum_micro()
        self._check_count(LEDGER, "entries", found[0], summary.settlement.entries)
        self._check_count(LEDGER, "µ$ in all", found[1], summary.settlement.sum_micro)

    def _check_count(self, name: str, what: str, found: int, counted: int) -> None:
        if found != counted:
            raise ResultsError(
                f"{self.path / name}: holds {found:,} {what} where the summary counts {counted:,}; "
                "one of them was changed or cut off"
            )

    def _read(self, name: str) -> bytes:
        file = self.path / name
        if not file.exists():
            raise ResultsError(
                f"{file}: is missing; the run was killed before it was written, or it was removed"
            )
        with translated(file):
            return file.read_bytes()


def load(path: Path | str) -> Run:
    """Results of a run, also of one that was interrupted or still goes on.

    Parameters
    ----------
    path
        Run directory.

    Returns
    -------
    Run
        Tables as DataFrames, summary, events and ledger; each is read at its first use.

    Raises
    ------
    ResultsError
        There is no run in the directory.
    """
    return Run(run_directory(Path(path)))
