"""Whether a run's ledger can be believed: its own sums, its chain of hashes, and what its tables say.

Payments are computed again from prices and energy in the tables: what prosumers pay for what they traded
and for what their meters show beyond it, what LAMs pay for their net purchases, what the grid gets for the
schedule and for what was metered beyond it, and the totals of each interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from cosim.results.chain import next_link
from cosim.results.entries import ENERGY, GRID, IMBALANCE, KINDS, MICRO, RESIDUAL, UPLIFT, UTILITY, WHOLESALE
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import Run, load
from market.analysis.settlement import imbalance_payment, imbalance_prices
from market.model.case import Tariff

if TYPE_CHECKING:
    import pandas as pd

Rows = npt.NDArray[np.int64]

_TOTALS = (
    ("energy_usd", ENERGY, "prosumer", -1),
    ("imbalance_usd", IMBALANCE, "prosumer", -1),
    ("residual_usd", RESIDUAL, "grid", 1),
    ("uplift_usd", UPLIFT, "wam", 1),
)
"""Columns of the table of intervals, and the entries that they are the sum of: kind, party and sign."""


def check_ledger(directory: Path) -> tuple[list[str], str]:
    """What is wrong with the ledger of a run directory, in words, and the last link of its chain.

    Raises
    ------
    LedgerError, ResultsError
        There is no ledger, or it or a table cannot be read at all.
    """
    run = load(directory)
    ledger = run.ledger
    # An interval in which nobody was heard is booked without entries.
    nothing = dict.fromkeys(ledger.ticks(), np.zeros((0, 4), dtype=np.int64))
    by_tick = nothing | _by_tick(ledger.all_entries())
    checks = {
        "entries": _own_sums(ledger, by_tick),
        "chain of hashes": _chain(ledger, by_tick, run.intervals),
        "table of intervals": _rows_of(ledger, run.intervals),
        "totals of intervals": _totals(ledger, by_tick, run.intervals),
        "payments of prosumers": _payments(run, by_tick),
        "payments of LAMs": _wholesale(run, by_tick),
        "payments of the grid": _grid(ledger, by_tick, run),
    }
    found = [line for name, check in checks.items() for line in _unless_unfit(name, check)]
    return [*ledger.integrity(), *found], ledger.head


def _unless_unfit(name: str, check: Iterator[str]) -> Iterator[str]:
    """What a check finds; tables, scenario and ledger of other shapes are a finding, too."""
    try:
        yield from check
    except (LookupError, ValueError, TypeError, ArithmeticError) as error:
        yield f"{name}: tables, scenario and ledger do not fit each other: {type(error).__name__} {error}"


def _by_tick(rows: Rows) -> dict[int, Rows]:
    """Entries of each interval; rows are in the order of their ticks."""
    ticks, first = np.unique(rows[:, 0], return_index=True)
    # Of nothing there is one part, which is nobody's.
    return dict(zip(ticks.tolist(), np.split(rows, first[1:]) if ticks.size else (), strict=True))


def _own_sums(ledger: LedgerReader, by_tick: dict[int, Rows]) -> Iterator[str]:
    """Intervals that are missing, that do not sum to zero, or that have lost or got entries."""
    booked = ledger.counts()
    for tick in sorted(set(range(max(booked, default=-1) + 1)) - booked.keys()):
        yield f"interval {tick} is missing"
    for tick in sorted(by_tick.keys() - booked.keys()):
        yield f"interval {tick} has entries, but was never booked"
    for tick, count in booked.items():
        rows = by_tick.get(tick, np.zeros((0, 4), dtype=np.int64))
        if len(rows) != count:
            yield f"interval {tick} has {len(rows)} entries where {count} were booked"
        for kind, name in enumerate(KINDS):
            if left := int(rows[rows[:, 1] == kind, 3].sum()):
                yield f"interval {tick}: entries of kind {name} sum to {left} µ$ instead of 0"


def _chain(ledger: LedgerReader, by_tick: dict[int, Rows], intervals: pd.DataFrame) -> Iterator[str]:
    """The first interval whose entries are not those that were booked."""
    told = dict(zip(intervals["tick"], intervals["ledger_digest"], strict=True))
    link = ""
    for tick in ledger.ticks():
        link = next_link(link, by_tick.get(tick, np.zeros((0, 4), dtype=np.int64)))
        if isinstance(told.get(tick), str) and told[tick] != link:
            yield f"interval {tick}: its entries, or earlier ones, are not those that were booked"
            return
    if link != ledger.head:
        yield "the entries do not lead to the last link of the chain: some were changed"


def _rows_of(ledger: LedgerReader, intervals: pd.DataFrame) -> Iterator[str]:
    """Intervals without a row of their own in the table; the last one's may still be to come."""
    rows = intervals["tick"].value_counts()
    booked = ledger.ticks()
    for tick in booked:
        count = int(rows.get(tick, 0))
        if count > 1 or (count == 0 and tick != booked[-1]):
            yield f"interval {tick} has {count} rows in the table of intervals instead of one"


def _totals(ledger: LedgerReader, by_tick: dict[int, Rows], intervals: pd.DataFrame) -> Iterator[str]:
    """Totals in the table of intervals that their entries do not give."""
    parties = np.array(ledger.parties())
    for row in intervals.to_dict("records"):
        rows = by_tick.get(row["tick"])
        if rows is None:
            yield f"interval {row['tick']} has a row in the tables, and none in the ledger"
            continue
        for name, kind, party, sign in _TOTALS:
            mine = (rows[:, 1] == kind) & (parties[rows[:, 2]] == party)
            yield from _compared(row["tick"], name, row[name], sign * rows[mine, 3].sum(), mine.sum())


def _payments(run: Run, by_tick: dict[int, Rows]) -> Iterator[str]:
    """Prosumers who did not pay price times energy, where the run keeps what they traded and used."""
    fee = np.array([float(run.scenario["market"]["lam_fee"])])
    numbers = {name: number for number, name in enumerate(run.ledger.accounts())}
    local = run.lams[["tick", "lam", "price", "charge"]].rename(columns={"price": "lam_price"})
    tariffs = run.intervals.set_index("tick")[["retail_price", "feed_in_price"]]
    table = run.payments.merge(run.prosumers[["prosumer", "lam"]]).merge(local, on=["tick", "lam"])
    by_row = dict(iter(table.groupby("tick")))
    for tick, rows in by_tick.items():
        if tick not in by_row:
            continue
        paid = by_row[tick]
        accounts = [numbers[f"prosumer/{name}"] for name in paid["prosumer"]]
        tariff = Tariff(*tariffs.loc[tick])
        traded_kwh, utility_kwh, charge = (
            paid[name].to_numpy() for name in ("traded_kwh", "utility_kwh", "charge")
        )
        beyond_kwh = paid["metered_kwh"].to_numpy() - traded_kwh - utility_kwh
        owed = {
            ENERGY: paid["price"].to_numpy() * traded_kwh + charge * utility_kwh,
            UTILITY: tariff.bill(utility_kwh),
            IMBALANCE: imbalance_payment(
                beyond_kwh, *imbalance_prices(paid["lam_price"].to_numpy(), fee, tariff, charge)
            ),
        }
        for kind, usd in owed.items():
            mine = rows[rows[:, 1] == kind]
            booked = np.bincount(mine[:, 2], -mine[:, 3], minlength=len(numbers))[accounts]
            expected = np.nan_to_num(usd) * MICRO  # a LAM that no source feeds has no price, and no trade
            (off,) = np.nonzero(np.abs(expected - booked) > 2.0 + 1e-9 * np.abs(expected))
            if off.size:
                first = off[0]
                yield (
                    f"interval {tick}: what {off.size} prosumers pay as {KINDS[kind]}, the first "
                    f"{paid['prosumer'].iat[first]}: {expected[first]:.0f} µ$ by the tables, "
                    f"{booked[first]:.0f} µ$ in the ledger"
                )


def _wholesale(run: Run, by_tick: dict[int, Rows]) -> Iterator[str]:
    """LAMs whose payment is not price times net purchase."""
    dt_h = float(run.scenario["run"]["interval_min"]) / 60.0
    fee = float(run.scenario["market"]["wam_fee"])
    numbers = {name: number for number, name in enumerate(run.ledger.accounts())}
    for lam in run.lams.to_dict("records"):
        rows = by_tick.get(lam["tick"])
        if rows is None:
            continue
        price = lam["wam_price"] + (0.0 if lam["alone"] else fee) * np.sign(lam["net_kw"])
        mine = (rows[:, 1] == WHOLESALE) & (rows[:, 2] == numbers[f"lam/{lam['lam']}"])
        what = f"what LAM {lam['lam']} pays"
        owed = price * lam["net_kw"] + lam["charge"] * lam["utility_kw"]
        yield from _compared(lam["tick"], what, owed * dt_h, -rows[mine, 3].sum(), 1)


def _grid(ledger: LedgerReader, by_tick: dict[int, Rows], run: Run) -> Iterator[str]:
    """Intervals in which the grid does not get price times energy, as cleared and as metered."""
    dt_h = float(run.scenario["run"]["interval_min"]) / 60.0
    parties = np.array(ledger.parties())
    for row in run.intervals.to_dict("records"):
        rows = by_tick.get(row["tick"])
        if rows is None:
            continue
        scheduled, actual = (
            max(kw, 0.0) * row["import_price"] - max(-kw, 0.0) * row["export_price"]
            for kw in (row["grid_scheduled_kw"], row["grid_actual_kw"])
        )
        for what, kind, usd in (
            ("what the grid gets for the schedule", GRID, scheduled * dt_h),
            ("what the grid gets beyond the schedule", RESIDUAL, (actual - scheduled) * dt_h),
        ):
            mine = (rows[:, 1] == kind) & (parties[rows[:, 2]] == "grid")
            yield from _compared(row["tick"], what, usd, rows[mine, 3].sum(), 1)


def _compared(tick: int, what: str, usd: Any, micro: int, amounts: int) -> Iterator[str]:
    """A difference of more than rounding: half a micro-dollar for each amount, and of the numbers."""
    expected = float(usd) * MICRO
    if not abs(expected - micro) <= 1.0 + amounts + 1e-9 * abs(expected):
        yield f"interval {tick}: {what}: {expected:.0f} µ$ by the tables, {micro} µ$ in the ledger"
