"""Report of a run: one HTML file that needs no network, made from the run directory alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cosim.report import figures
from cosim.report.comparison import Comparison, compare
from cosim.report.condense import condense, local_times, means, spread, stride_of
from cosim.report.details import binding_limits, changed_keys, device_lines, incidents
from cosim.report.horizon import expected_prices, horizon_lines
from cosim.report.key_figures import key_figures
from cosim.report.map import map_data
from cosim.report.rendering import render
from cosim.report.tables import (
    fault_figures,
    fault_rows,
    indicators,
    kept,
    money_tables,
    network_lines,
    worst_figures,
)
from cosim.results.arrow import replace_file
from cosim.results.columns import ADDED_PARTS
from cosim.results.entries import KINDS
from cosim.results.errors import translated
from cosim.results.names import REPORT
from cosim.results.reader import Run, load
from cosim.results.summary import Summary
from cosim.scenario import load_scenario, resolved_toml
from sharegrid.decoding import decode_toml
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

if TYPE_CHECKING:
    import pandas as pd

MOST_POINTS = 1500
MOST_EVENTS = 200
MOST_ROWS = 30


def report_command(directory: Path, beside: Path | None = None) -> Path:
    """Write ``report.html`` of a run directory anew and give its path; see ``write_report``."""
    return write_report(load(directory), other=None if beside is None else load(beside))


def write_report(run: Run, path: Path | None = None, *, other: Run | None = None) -> Path:
    """Write a run's report.

    Parameters
    ----------
    run
        The run, with its summary.
    path
        HTML file; ``report.html`` in the run directory by default.
    other
        A run to put beside it.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ResultsError
        Something of the run is missing or damaged, or the file cannot be written.
    """
    path = run.path / REPORT if path is None else path
    for each in (run, *([] if other is None else [other])):
        each.check_whole()
    summary = run.summary
    labels = _labels(run.intervals, summary.time.first)
    settlement, payments = money_tables(run)
    drawing = map_data(run, labels, _limits(summary))
    comparison = None if other is None else compare(run, other, MOST_POINTS)
    devices = device_lines(run.devices)
    expected = expected_prices(run.path, run.intervals, summary.time.interval_min / 60.0)
    horizon = horizon_lines(run.horizons, run.intervals, expected)
    drawn = _figures(run, expected if horizon else None) | ({} if comparison is None else comparison.figures)
    page = render(
        "report.html.j2",
        drawn,
        drawing,
        summary=summary,
        counts=lambda part: msgspec.structs.asdict(part).items(),
        title=_title(summary),
        key_figures=key_figures(summary),
        contents=_contents(summary, comparison, has_devices=bool(devices)),
        incidents=incidents(run.intervals, run.events, labels),
        most_incidents=MOST_EVENTS,
        binding=binding_limits(run.limits, labels),
        devices=devices,
        most_rows=MOST_ROWS,
        changed=changed_keys(run.scenario, decode_toml(resolved_toml(load_scenario()))),
        faults=fault_rows(run.faults, labels) if summary.faults else [],
        fault_figures=fault_figures(summary.faults) if summary.faults else [],
        settlement=settlement,
        payments=payments,
        kept=kept(summary.settlement),
        indicators=indicators(summary),
        certificate=worst_figures(summary.certificate),
        horizon=horizon,
        network=network_lines(summary.network),
        kinds=KINDS,
        comparison=comparison,
        has_map=drawing is not None,
    )
    with translated(path):
        replace_file(path, page.encode())
    return path


def _contents(summary: Summary, comparison: Comparison | None, *, has_devices: bool) -> list[tuple[str, str]]:
    """Anchors and names of the page's sections."""
    sections = {
        "market": "Market",
        "feeder": "Feeder",
        "devices": "Devices" if has_devices else "",
        "beside": "" if comparison is None else f"Beside {comparison.other}",
        "faults": "Faults" if summary.faults else "",
        "incidents": "Incidents",
        "money": "Who pays whom",
        "run": "Run",
    }
    return [(anchor, name) for anchor, name in sections.items() if name]


def _figures(run: Run, expected: pd.DataFrame | None) -> dict[str, Any]:
    """Figures by name; with what a horizon ``expected`` of prices where there is one."""
    summary = run.summary
    stride = stride_of(len(run.intervals), MOST_POINTS)
    points = condense(run.intervals, stride)
    x = local_times(points, summary.time.first)
    hours = stride * summary.time.interval_min / 60.0
    ranges = {name: spread(run.lams, name, points.index, stride) for name in ("price", "wam_price")}
    drawn = {
        "prices": figures.prices(x, points, ranges),
        "parts": figures.price_parts(x, means(run.lams, ADDED_PARTS, points.index, stride)),
        "by_lam": figures.parts_by_lam(run.lams),
        "rents": figures.rents(x, points, hours),
        "voltages": figures.voltages(
            x,
            spread(run.nodes, "v_pu", points.index, stride),
            _limits(summary),
            happened(run.events, dict(zip(points.index.tolist(), x, strict=True)), stride),
        ),
        "loading": figures.loading(x, points),
        "energy": figures.energy(x, points, hours),
        "totals": figures.totals(summary.cost),
        "savings": figures.savings(x, points, hours),
        "head": figures.head_power(x, points),
        "error": figures.linear_error(x, points, LINEAR_TOLERANCE_PU),
        "durations": figures.durations(x, points),
    }
    if expected is not None:
        before = means(expected, list(expected.columns.drop("tick")), points.index, stride)
        drawn["expected"] = figures.expected_prices(x, points, before)
    return drawn


def happened(events: list[dict[str, Any]], times: Mapping[int, str], stride: int) -> list[tuple[str, str]]:
    """When and what happened to the feeder, at the points of a figure: events of one point in one text."""
    details: dict[str, list[str]] = {}
    for event in events:
        if event.get("kind") == "event" and event["tick"] // stride in times:
            details.setdefault(times[event["tick"] // stride], []).append(str(event["detail"]))
    return [(when, "; ".join(each)) for when, each in details.items()]


def _title(summary: Summary) -> str:
    first, counts = summary.time.first, summary.intervals
    if first is None:
        return "no interval was completed"
    begun = datetime.fromisoformat(first).strftime("%d %B %Y, %H:%M").removeprefix("0")
    return f"from {begun}, {counts.settled:,} intervals of {summary.time.interval_min:g} min"


def _labels(intervals: pd.DataFrame, first_local: str | None) -> dict[int, str]:
    times = local_times(intervals, first_local) if len(intervals) else []
    return {tick: time[:16] for tick, time in zip(intervals["tick"].tolist(), times, strict=True)}


def _limits(summary: Summary) -> list[float]:
    return [summary.voltage_pu.lower, summary.voltage_pu.upper]
