"""Tables of the report: indicators, certificate, and who pays whom."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple

from cosim.results.columns import INTERVALS
from cosim.results.entries import KINDS, MICRO
from cosim.results.figures import (
    CERTIFICATE,
    CertificateCounts,
    SavingFigures,
    SettlementFigures,
)
from cosim.results.network import NetworkFigures
from cosim.results.reader import Run
from cosim.results.run_figures import FaultFigures
from cosim.results.summary import Summary
from market.analysis.kpi import lines

if TYPE_CHECKING:
    import pandas as pd

_PARTIES = {
    "prosumer": "prosumers",
    "lam": "LAMs",
    "wam": "WAM",
    "grid": "grid",
    "utility": "utility",
    "imbalance": "imbalance account",
    "rounding": "rounding",
}
_SIDES = {
    "energy": ("prosumer", "LAMs", "energy at local prices and fees"),
    "wholesale": ("lam", "WAM", "energy at DLMPs and fees"),
    "grid": ("grid", "WAM", "scheduled power at the feeder head"),
    "imbalance": ("prosumer", "imbalance account", "metered energy off the allocated"),
    "residual": ("grid", "imbalance account", "power at the feeder head off the scheduled"),
    "uplift": ("wam", "utility", "a negative surplus of the WAM"),
}
"""By kind of entry: a party, the other side, and what is paid for."""


class Line(NamedTuple):
    """A row: what, its value, and what it means."""

    name: str
    value: str
    note: str


def indicators(summary: Summary) -> list[Line]:
    """Indicators of the run as they are declared, and how prosumers' savings spread."""
    savings = summary.savings_usd
    return [
        *(Line(*line) for line in lines(summary.kpis)),
        Line("saving, median", _usd(savings.median), f"of a prosumer; {_spread(savings)}"),
    ]


def network_lines(network: NetworkFigures) -> list[Line]:
    """What the run did to its feeder, as its figures are declared."""
    return [Line(*line) for line in lines(network)]


def worst_figures(certificate: CertificateCounts) -> list[Line]:
    """Largest figure of each kind in the run's certificates."""
    shown = [column for column in INTERVALS if column.name in CERTIFICATE]
    return [
        Line(
            column.name.rsplit("_kw", 1)[0].replace("_", " "),
            _scientific(getattr(certificate, column.name), column.unit),
            column.meaning.removeprefix("certificate: "),
        )
        for column in shown
    ]


def kept(settlement: SettlementFigures) -> list[Line]:
    """What LAMs and the WAM keep, and why [$]."""
    strategic = settlement.lam_surplus_usd - settlement.lam_fees_usd
    return [
        Line("LAMs: fees", _usd(settlement.lam_fees_usd), "of members, on traded energy"),
        Line("LAMs: strategic", _usd(strategic), "LAMs buy less, and sell less, than their members would"),
        Line("WAM: fees", _usd(settlement.wam_fees_usd), "of LAMs, on their net purchases"),
        Line("WAM: losses", _usd(settlement.loss_rent_usd), "marginal losses beyond what losses cost"),
        Line("WAM: voltage limits", _usd(settlement.voltage_rent_usd), "where they bind"),
        Line("WAM: current limits", _usd(settlement.congestion_rent_usd), "where they bind"),
        Line("WAM: limits of the grid", _usd(settlement.limit_rent_usd), "where they bind"),
        Line("uplift", _usd(settlement.uplift_usd), "the utility's, where the WAM's surplus is negative"),
    ]


def fault_figures(faults: FaultFigures) -> list[Line]:
    """What injected faults made wrong, and what they cost."""
    rows = [
        Line("settled wrongly", _kwh(faults.wrong_kwh), "off what really flowed, interval by interval"),
        Line("before noticed", _kwh(faults.early_kwh), "of that"),
        Line("silently", _kwh(faults.silent_kwh), "of that, by faults that nobody noticed"),
        Line("never came right", _kwh(faults.left_kwh), "sum of counters' errors at the end"),
    ]
    cost = faults.cost
    if cost is None:
        return rows
    against = f"more than in {cost.against}, without faults"
    return [
        *rows,
        Line("imbalance", _kwh(cost.imbalance_kwh), against),
        Line("imbalance paid", _usd(cost.imbalance_usd), against),
        Line("cost of the market", _usd(cost.market_usd), against),
        Line("paid by prosumers with faults", _usd(cost.affected_usd), against),
    ]


def fault_rows(faults: pd.DataFrame, labels: Mapping[int, str]) -> list[dict[str, str]]:
    """Rows of injected faults in order of time; ``labels`` name intervals."""
    return [
        {
            **{key: str(row[key]) for key in ("kind", "prosumer", "device", "checks")},
            **{key: labels.get(int(row[key]), f"interval {row[key]}") for key in ("first", "last")},
            "noticed": "never" if isnan(row["noticed"]) else labels.get(int(row["noticed"]), "?"),
            "wrong": f"{row['wrong_kwh']:.2f}",
        }
        for row in faults.sort_values("first", kind="stable").to_dict("records")
    ]


def money_tables(run: Run) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Two tables of the ledger: balances by party and kind with their sums; and payments both ways."""
    with run.open_ledger() as ledger:
        turnover = ledger.turnover_by_party()
    balances = {
        party: {kind: received - paid for kind, (paid, received) in kinds.items()}
        for party, kinds in turnover.items()
    }
    rows = [_row(name, balances.get(party, {})) for party, name in _PARTIES.items()]
    sums = {kind: sum(entries.get(kind, 0) for entries in balances.values()) for kind in KINDS}
    return [*rows, _row("sum", sums)], _payments(turnover)


def _payments(turnover: Mapping[str, Mapping[str, tuple[int, int]]]) -> list[dict[str, str]]:
    """Rows ``payer``, ``payee``, ``purpose`` and ``usd`` of what was paid either way."""
    rows = []
    for kind, (party, other, purpose) in _SIDES.items():
        name = _PARTIES[party]
        paid, received = turnover.get(party, {}).get(kind, (0, 0))
        for payer, payee, micro in ((name, other, paid), (other, name, received)):
            if micro:
                rows.append({"payer": payer, "payee": payee, "purpose": purpose, "usd": _usd(micro / MICRO)})
    return rows


def _row(name: str, micro: Mapping[str, int]) -> dict[str, Any]:
    kinds = {kind: _dollars(micro[kind]) if kind in micro else "" for kind in KINDS}
    return {"name": name, "kinds": kinds, "balance": _dollars(sum(micro.values()))}


def _spread(savings: SavingFigures) -> str:
    return f"9 of 10 between {_usd(savings.p05)} and {_usd(savings.p95)}"


def _dollars(micro: int) -> str:
    return f"{micro / MICRO:,.6f}".replace("-", "−")


def _kwh(value: float) -> str:
    return f"{value:,.2f} kWh".replace("-", "−")


def _usd(value: float | None) -> str:
    # Adding zero takes the sign from a negative zero.
    return "?" if value is None else f"{round(value, 2) + 0.0:,.2f} $".replace("-", "−")


def _scientific(value: float | None, unit: str) -> str:
    return "?" if value is None else f"{value:.1e} {unit}"
