"""What an engineer sees in the terminal when a run ends: what went wrong first, and in colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cosim.results.figures import (
    BENCHMARK_LABELS,
    BiddingFigures,
    CertificateCounts,
)
from cosim.results.network import NetworkFigures
from cosim.results.run_figures import SetPointFigures
from cosim.results.summary import Summary
from market.analysis.indicators import Indicators
from market.analysis.kpi import lines

if TYPE_CHECKING:
    from rich.table import Table


class _Line(NamedTuple):
    name: str
    text: str
    good: bool = True


def summary_table(summary: Summary) -> Table:
    """Table of a run's summary; lines that are not as they should be stand first, in bold red.

    Parameters
    ----------
    summary
        Figures of the run.
    """
    from rich.table import Table

    table = Table(title=f"{summary.run_id} on {summary.feeder}", title_justify="left", show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    rows = (*_physics(summary), *_economics(summary), *_machinery(summary))
    for line in sorted(rows, key=lambda line: line.good):
        table.add_row(line.name, line.text, style=None if line.good else "bold red")
    return table


def _physics(summary: Summary) -> list[_Line]:
    counts, volts, ac = summary.intervals, summary.voltage_pu, summary.ac
    cleared = f"{counts.settled} of {counts.planned} settled, {counts.cleared} cleared"
    confirmed = f"{counts.confirmed} confirmed by AC power flow"
    limits = f"limits {volts.lower:g} to {volts.upper:g}"
    return [
        _Line("intervals", f"{cleared}, {confirmed}", counts.is_complete),
        _Line("flags", f"in {counts.flagged} intervals", not counts.flagged),
        _Line("violations", f"{summary.violations} of the network's limits", not summary.violations),
        _Line("voltage", f"{_pu(volts.min)} to {_pu(volts.max)} pu ({limits})", volts.is_within),
        *_network(summary.network),
        _Line("linear model", f"at most {short(ac.max_linear_error_pu)} pu from AC power flow"),
        _Line("AC rounds", f"{short(ac.rounds_p95)} in 95 % of intervals"),
        _bidding(summary.bidding),
    ]


def _bidding(bidding: BiddingFigures) -> _Line:
    wam, lam = bidding.wam_rounds, bidding.lam_rounds
    rounds = f"{short(wam.max)} rounds of the WAM, {short(lam.max)} of members at most"
    size = f"{bidding.messages:,} messages, {bidding.bytes / 1e6:,.1f} MB"
    return _Line("bids", f"{bidding.form}: {rounds}; {size}")


def _network(network: NetworkFigures) -> list[_Line]:
    """Violation-hours and what controls did, as docs/kpis.md defines them."""
    voltage = f"{short(network.under_pu_h)} pu h below, {short(network.over_pu_h)} pu h above"
    outside = f"{_percent(network.node_intervals_outside)} of node-intervals outside"
    current = f"{short(network.overload_kva_h)} kVA h over ratings"
    clean = not (network.node_h or network.overload_kva_h)
    acted = f"{network.tap_changes:,} tap steps, {network.capacitor_switchings:,} capacitor switchings"
    losses = f"losses {network.losses_kwh:,.0f} kWh"
    lines = [
        _Line("limits", f"{voltage}, {outside}; {current}", clean),
        _Line("controls", f"{acted}; {losses}"),
    ]
    if network.unserved_lam_h:
        lines.append(_Line("unserved", f"{network.unserved_lam_h:g} LAM-hours without source", good=False))
    return lines


def _economics(summary: Summary) -> list[_Line]:
    energy, cost, settlement = summary.energy_kwh, summary.cost, summary.settlement
    shared = f"{energy.lam:,.0f} kWh inside LAMs, {energy.wam:,.0f} kWh between LAMs"
    grid = f"{energy.imported:,.0f} kWh imported, {energy.exported:,.0f} kWh exported"
    others = ", ".join(f"{name} {_usd(getattr(cost, key))}" for key, name in BENCHMARK_LABELS.items())
    booked = f"{settlement.entries:,} entries sum to {settlement.sum_micro} µ$"
    return [
        _Line("energy", f"{shared}, {grid}"),
        _Line("social cost", f"{_usd(cost.market)} ({others}); {_usd(cost.saved)} saved by sharing"),
        _certificate(summary.certificate),
        _Line("prosumers' savings", f"{_usd(summary.savings_usd.total)} against no sharing"),
        _indicators(summary.kpis),
        *_loss(summary.kpis),
        _Line("ledger", f"{booked}; uplift {_usd(settlement.uplift_usd)}", settlement.sum_micro == 0),
    ]


def _certificate(certificate: CertificateCounts) -> _Line:
    judged, holds = certificate.intervals, certificate.holds
    gains = [gain for gain in (certificate.prosumer_gain, certificate.lam_gain) if gain is not None]
    gain = max(gains) if len(gains) == 2 else None
    worst = f"duality gap {short(certificate.duality_gap)}, gain by another bid {short(gain)} $/h"
    return _Line("certificate", f"holds in {holds} of {judged} intervals; at most: {worst}", holds == judged)


def _indicators(kpis: Indicators) -> _Line:
    """Indicators as they are declared."""
    return _Line("indicators", ", ".join(f"{label} {value}" for label, value, _ in lines(kpis)))


def _loss(kpis: Indicators) -> list[_Line]:
    """Why a market may do worse than none, where it does."""
    if kpis.efficiency is None or kpis.efficiency >= 0.0:
        return []
    why = (
        "below 0, worse than no sharing: where few share a LAM, each holds back to move its price; a larger "
        "market.lam_sensitivity and wam_sensitivity leave less to gain by it"
    )
    return [_Line("efficiency", why)]


def _machinery(summary: Summary) -> list[_Line]:
    messages, modbus, seconds = summary.messages, summary.modbus, summary.seconds
    faults = messages.faulty
    sent = f"{messages.sent:,} sent, {messages.received:,} received"
    registers = f"{modbus.reads:,} reads, {modbus.writes:,} writes, {modbus.errors:,} errors"
    spread = seconds.interval
    each = f"an interval {short(spread.p50)} s (median), {short(spread.p95)} s (95 %)"
    return [
        *_faults(summary),
        _Line("broker", summary.provenance.broker),
        _Line("messages", f"{sent}; {messages.faults_in_words}", not any(faults.values())),
        _Line("Modbus", f"{registers}; {summary.live_devices:,} live devices", not modbus.errors),
        _set_points(summary.set_points),
        _Line("time", f"{seconds.total:.1f} s; {each}"),
    ]


def _set_points(figures: SetPointFigures) -> _Line:
    register, meter = figures.to_register_s, figures.to_meter_s
    stops = figures.emergency_stops
    text = (
        f"read back in {short(register.p50)} s (median), {short(register.p95)} s (95 %); "
        f"at the meter in {short(meter.p50)} s, {short(meter.p95)} s; {figures.limited:,} limited"
    )
    if figures.budgets_spent:
        text += f"; {figures.budgets_spent} devices have had their writes of the day"
    if figures.lost:
        text += f"; armed devices lost {figures.lost} times"
    if figures.tripped:
        text += f"; {figures.tripped} DEVICES BEYOND THEIR ENVELOPES"
    text += f"; {stops} EMERGENCY STOPS" if stops else ""
    return _Line("set-points", text, not (stops or figures.tripped or figures.lost))


def _faults(summary: Summary) -> list[_Line]:
    """Injected faults; they are as they should be where nothing wrong was settled without anyone noticing."""
    faults = summary.faults
    if faults is None:
        return []
    found = f"{faults.injected} injected, {faults.noticed} noticed"
    alarms = f"{faults.false_alarms} false alarms"
    wrong = f"{faults.wrong_kwh:.2f} kWh settled wrongly, {faults.silent_kwh:.2f} of it silently"
    parts = [found, alarms, wrong]
    if faults.cost is not None:
        cost = faults.cost
        parts.append(f"imbalance {cost.imbalance_kwh:+.1f} kWh, {cost.imbalance_usd:+.2f} $")
    return [_Line("faults", "; ".join(parts), faults.silent_kwh == 0.0)]


def _pu(value: float | None) -> str:
    return "?" if value is None else f"{value:.4f}"


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value:.1%}"


def short(value: float | None) -> str:
    """A number in two digits, from 100 on in all before the point; ``?`` where it is not known."""
    if value is None:
        return "?"
    return f"{value:,.0f}" if 100.0 <= abs(value) < 1e6 else f"{value:.2g}"


def _usd(value: float | None) -> str:
    return "not known" if value is None else f"{value:,.2f} $"
