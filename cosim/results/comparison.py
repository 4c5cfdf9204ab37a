"""Runs beside each other: their figures, keys of the scenario that differ, and what faults cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from cosim.results.entries import MICRO
from cosim.results.ledger_reader import LedgerReader
from cosim.results.names import LEDGER
from cosim.results.reader import Run
from cosim.results.run_figures import FaultCost

if TYPE_CHECKING:
    import pandas as pd

# What may differ between a run and the one that it is compared with.
_OWN = ("faults", "broker")


def same_but_for_faults(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Whether two resolved scenarios differ in nothing but faults and broker."""
    return all(key.split(".")[0] in _OWN for key in differing_keys(ours, theirs))


def differing_keys(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Dotted keys that two nested tables have differently, with both values; ``None`` where one has none."""
    flat = [_flat(each) for each in (ours, theirs)]
    pairs = {key: (flat[0].get(key), flat[1].get(key)) for key in {**flat[0], **flat[1]}}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


def compare(*runs: Run) -> pd.DataFrame:
    """Figures of runs side by side.

    Parameters
    ----------
    runs
        Runs that have their summaries.

    Returns
    -------
    DataFrame
        A column for each run, by its id, or by its directory where two have one id. Rows are the keys of the
        scenario that differ between any two, as ``scenario.KEY``, then ``incomplete`` where any is, in words,
        then every number of the summaries by its dotted name.
    """
    import pandas as pd

    scenarios = [_flat(run.scenario) for run in runs]
    keys = [key for key in scenarios[0] if any(each.get(key) != scenarios[0][key] for each in scenarios)]
    keys += sorted({key for each in scenarios for key in each} - set(scenarios[0]))
    columns: dict[str, dict[str, Any]] = {}
    for run, scenario in zip(runs, scenarios, strict=True):
        figures = _flat(msgspec.to_builtins(run.summary))
        run_id = run.summary.run_id
        name = str(run.path) if run_id in columns else run_id
        columns[name] = {f"scenario.{key}": scenario.get(key) for key in keys}
        if any(each.summary.incomplete for each in runs):
            columns[name]["incomplete"] = run.summary.incomplete
        columns[name] |= {key: value for key, value in figures.items() if isinstance(value, int | float)}
    return pd.DataFrame(columns, dtype=object)


def _flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Values of nested tables by dotted key."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return found


def fault_cost(
    intervals: pd.DataFrame, ledger: LedgerReader, fault_free: Run, affected: Collection[str]
) -> FaultCost:
    """Differences to the run without faults, each + where faults made more of it.

    Parameters
    ----------
    intervals, ledger
        Of the run with faults.
    fault_free
        The run without.
    affected
        Prosumers with faulty devices.

    Returns
    -------
    FaultCost
        ``against``; ``imbalance_kwh``, over all prosumers; ``imbalance_usd``, what prosumers
        paid for it, net; ``market_usd``, social cost of the market's outcome, over the intervals that have it
        in both; ``affected_usd``, what the prosumers with faulty devices paid in all.
    """
    other = fault_free.intervals
    both = intervals["cost_market"].notna().to_numpy() & other["cost_market"].notna().to_numpy()
    with LedgerReader.open(fault_free.path / LEDGER) as their_ledger:
        theirs = their_ledger.balances()
    ours = ledger.balances()
    paid_micro = sum(theirs[f"prosumer/{name}"] - ours[f"prosumer/{name}"] for name in affected)
    return FaultCost(
        against=str(fault_free.path),
        imbalance_kwh=_more(intervals["imbalance_kwh"], other["imbalance_kwh"]),
        imbalance_usd=_more(intervals["imbalance_usd"], other["imbalance_usd"]),
        market_usd=_more(intervals["cost_market"][both], other["cost_market"][both]),
        affected_usd=paid_micro / MICRO,
    )


def _more(ours: pd.Series[Any], theirs: pd.Series[Any]) -> float:
    return float(ours.sum() - theirs.sum())
