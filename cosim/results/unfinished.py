"""How far a run is that is not over, from what stands in its directory at one moment.

What the recorder remembers after each interval stands in the ledger, so that a run can go on after a kill. It
says here what tables and ledger do not: the row of the last interval, which is written when the next one
begins, and what was counted since the run began.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from broker.messages import Traffic
from broker.snapshot import part, typed, unpack
from cosim.control.names import RECORDER
from cosim.control.pacing import Lag, Pacing
from cosim.results.arrow import record_batch
from cosim.results.beginning import Beginning, read_beginning
from cosim.results.errors import translated
from cosim.results.ledger_reader import LedgerReader
from cosim.results.lock import is_living
from cosim.results.names import LEDGER
from cosim.results.run_figures import Unfinished
from cosim.results.summarising import RunRecord

if TYPE_CHECKING:
    import pandas as pd

_TRADED = ("bought_kwh", "sold_kwh", "saving_usd")


@dataclass(frozen=True)
class SoFar:
    """What there is of a run, up to the last interval that was booked when it was looked at.

    Attributes
    ----------
    state
        Whether it was killed or goes on.
    beginning
        What was known of it before its first interval.
    ticks
        Intervals that are booked.
    entries, sum_micro
        Number of entries of the ledger in these, and their sum [µ$].
    remembered
        What the recorder remembers after the last of them; empty before the first.
    """

    state: Unfinished
    beginning: Beginning
    ticks: list[int]
    entries: int
    sum_micro: int
    remembered: Mapping[str, Any] = field(default_factory=dict)

    @property
    def until(self) -> int:
        """Last interval that is booked; -1 for none."""
        return self.ticks[-1] if self.ticks else -1

    def booked(self, table: str, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of a table that belong to intervals which are booked, the last of which may still wait."""
        import pandas as pd

        if "tick" in rows:
            rows = rows[rows["tick"].isin(self.ticks)].reset_index(drop=True)
        row = self.remembered.get("row")
        if table == "intervals" and row and row["tick"] not in set(rows["tick"]):
            last = record_batch(table, {**row, "flags": len(self.remembered["flags"])}).to_pandas()
            # A table without rows has no types to keep.
            rows = pd.concat([rows, last], ignore_index=True) if len(rows) else last
        if table == "prosumers" and self.remembered:
            counts = part(self.remembered, "counts")
            known = {name: counts[name] for name in _TRADED if len(counts[name]) == len(rows)}
            rows = rows.assign(**known if counts["compared"] else known | {"saving_usd": np.nan})
        return rows

    def record(self, intervals: pd.DataFrame) -> RunRecord:
        """What the tables do not hold, with what a table of ``intervals`` says of times."""
        begun, counts = self.beginning, self.remembered.get("counts", {})
        return RunRecord(
            **msgspec.structs.asdict(begun),
            entries=self.entries,
            sum_micro=self.sum_micro,
            traffic=typed(counts, "traffic", list[Traffic]) if counts else [],
            stops=counts.get("stops", 0),
            written_s=counts.get("written_s", ()),
            shown_s=counts.get("shown_s", ()),
            total_s=float(intervals["interval_s"].sum()),
            lag=lag_of(intervals, begun),
        )


def lag_of(intervals: pd.DataFrame, begun: Beginning) -> Lag:
    """How far the intervals of a table fell behind, whatever process they ran in."""
    length_s = Pacing(begun.pace).wall_s(begun.interval_h * 3600.0)
    late_s = intervals["lag_s"].fillna(0.0) if begun.pace else intervals["lag_s"].iloc[:0]
    worst_s = float(late_s.max()) if len(late_s) else 0.0
    return Lag(worst_s=worst_s, overruns=int((late_s > length_s).sum()))


def so_far(directory: Path) -> SoFar | None:
    """How far the run in a directory is; ``None`` where that cannot be told.

    That is so where an older sharegrid made the directory, or the run was complete and its summary is gone.
    """
    beginning = read_beginning(directory)
    if beginning is None:
        return None
    state = Unfinished(
        state="going on" if is_living(directory) else "killed",
        as_of=datetime.now().astimezone().isoformat(timespec="seconds"),
    )
    file = directory / LEDGER
    with LedgerReader.open(file) as ledger, ledger.at_one_moment(), translated(file):
        if not ledger.can_resume:
            return None
        content = ledger.snapshots().get(RECORDER)
        remembered = {} if content is None else unpack(content)
        if row := remembered.get("row"):
            row["ledger_digest"] = ledger.head
        return SoFar(state, beginning, ledger.ticks(), ledger.entries(), ledger.sum_micro(), remembered)
