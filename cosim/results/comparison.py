"""What faults cost: a run beside the same run without them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from cosim.results.directory import LEDGER
from cosim.results.entries import MICRO
from cosim.results.ledger import Ledger
from cosim.results.reader import Run
from cosim.results.run_figures import FaultCost

if TYPE_CHECKING:
    import pandas as pd

# What may differ between a run and the one that it is compared with.
_OWN = ("faults", "broker")


def same_but_for_faults(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    """Whether two resolved scenarios differ in nothing but faults and broker."""
    bare = [{key: value for key, value in each.items() if key not in _OWN} for each in (ours, theirs)]
    return bare[0] == bare[1]


def fault_cost(
    intervals: pd.DataFrame, ledger: Ledger, fault_free: Run, affected: Collection[str]
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
    with Ledger.open(fault_free.path / LEDGER) as their_ledger:
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
