"""What a run did to its feeder: violation-hours, controls' actions, losses and the energy at its head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cosim.results.figures import NetworkFigures

if TYPE_CHECKING:
    import pandas as pd

_SUMS = ("under_pu_h", "over_pu_h", "overload_kva_h", "node_h")
_COUNTS = ("tap_changes", "capacitor_switchings")


def network_figures(intervals: pd.DataFrame, nodes: int, interval_h: float) -> NetworkFigures:
    """Indicators of the network over a run, as docs/kpis.md defines them.

    Parameters
    ----------
    intervals
        The run's table of intervals; those without power flow count for nothing.
    nodes
        Number of nodes whose voltages count.
    interval_h
        Length of an interval [h].
    """
    solved = intervals[intervals["losses_kw"].notna()]
    counts = {name: int(solved[name].sum()) for name in _COUNTS}
    sums = {name: float(solved[name].sum()) for name in _SUMS}
    head_kw, head_kvar = solved["grid_actual_kw"], solved["grid_kvar"]
    node_hours = nodes * len(solved) * interval_h
    return NetworkFigures(
        tap_changes=counts["tap_changes"],
        capacitor_switchings=counts["capacitor_switchings"],
        under_pu_h=sums["under_pu_h"],
        over_pu_h=sums["over_pu_h"],
        overload_kva_h=sums["overload_kva_h"],
        node_h=sums["node_h"],
        node_intervals_outside=sums["node_h"] / node_hours if node_hours else None,
        losses_kwh=float(solved["losses_kw"].sum()) * interval_h,
        head_import_kwh=float(head_kw.clip(lower=0).sum()) * interval_h,
        head_export_kwh=float(head_kw.clip(upper=0).abs().sum()) * interval_h,
        head_import_kvarh=float(head_kvar.clip(lower=0).sum()) * interval_h,
        head_export_kvarh=float(head_kvar.clip(upper=0).abs().sum()) * interval_h,
        unserved_lam_h=float(solved["unserved_lams"].sum()) * interval_h,
    )
