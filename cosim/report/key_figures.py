"""The figures at the head of a report."""

from __future__ import annotations

from typing import NamedTuple

from cosim.results.summary import Summary
from market.analysis.kpi import lines

SHOWN = ("not_worse_share", "self_sufficiency", "lam_internal_share")
"""Indicators at the head of the page."""


class KeyFigure(NamedTuple):
    """One key figure; ``good`` is false where it needs attention."""

    label: str
    value: str
    note: str
    good: bool = True


def key_figures(summary: Summary) -> list[KeyFigure]:
    """Figures at the head of the page."""
    counts, cost, volts, ac = summary.intervals, summary.cost, summary.voltage_pu, summary.ac
    settlement, messages, modbus = summary.settlement, summary.messages, summary.modbus
    proof = summary.certificate
    saved = cost.saved
    return [
        KeyFigure(
            "confirmed by AC power flow",
            f"{counts.confirmed} / {counts.planned}",
            f"intervals; {counts.settled} settled, {counts.flagged} flagged",
            counts.is_complete,
        ),
        KeyFigure(
            "efficiency",
            "not defined" if cost.efficiency is None else f"{cost.efficiency:.2%}",
            f"of what sharing can save, over {cost.efficiency_intervals} intervals",
        ),
        KeyFigure(
            "social cost saved",
            "not known" if saved is None else f"{saved:,.2f} $",
            "by sharing" if cost.no_sharing is None else f"by sharing, of {cost.no_sharing:,.2f} $ without",
        ),
        *(KeyFigure(*line) for line in lines(summary.kpis, SHOWN)),
        KeyFigure(
            "certified equilibrium",
            f"{proof.holds} / {proof.intervals}",
            f"intervals; duality gap at most {_plain(proof.duality_gap)} $/h",
            proof.holds == proof.intervals,
        ),
        KeyFigure(
            "voltage",
            "not known" if None in (volts.min, volts.max) else f"{volts.min:.3f} – {volts.max:.3f} pu",
            f"limits {volts.lower:g} and {volts.upper:g} pu; {summary.violations} violations"
            f"{summary.network.outside_in_words}{summary.power_quality.in_words}",
            volts.is_within and not summary.violations,
        ),
        KeyFigure(
            "linear model off AC",
            "not known" if ac.max_linear_error_pu is None else f"{ac.max_linear_error_pu:.1e} pu",
            f"at most; {_plain(ac.rounds_p95)} rounds in 95 % of intervals",
        ),
        KeyFigure(
            "ledger",
            f"{settlement.sum_micro} µ$",
            f"sum of {settlement.entries:,} entries",
            settlement.sum_micro == 0,
        ),
        KeyFigure(
            "messages",
            f"{messages.received:,}",
            f"received; {messages.faults_in_words}",
            not any(messages.faulty.values()),
        ),
        KeyFigure(
            "Modbus transactions",
            f"{modbus.reads + modbus.writes:,}",
            f"with {summary.live_devices:,} live devices; {modbus.errors:,} errors",
            not modbus.errors,
        ),
    ]


def _plain(value: float | None) -> str:
    return "?" if value is None else f"{value:.2g}"
