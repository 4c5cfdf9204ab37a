"""What a run did to its feeder: violation-hours, controls' actions, losses and the energy at its head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from market.analysis.kpi import Kpi

if TYPE_CHECKING:
    import pandas as pd

_SUMS = ("under_pu_h", "over_pu_h", "overload_kva_h", "node_h")
_COUNTS = ("tap_changes", "capacitor_switchings")


class NetworkFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Violation-hours, controls' actions, losses and the energy at the feeder head, each declared here."""

    tap_changes: Annotated[int, Kpi("tap steps", "of regulators, both ways", "sum of steps", form=",.0f")]
    capacitor_switchings: Annotated[
        int, Kpi("switchings", "of capacitors, both ways", "sum of steps", form=",.0f")
    ]
    under_pu_h: Annotated[
        float,
        Kpi(
            "below voltage limits",
            "over nodes and time",
            "sum_s h_s sum_n (v_min - v_n)⁺",
            unit="pu h",
            form=".3g",
        ),
    ]
    over_pu_h: Annotated[
        float,
        Kpi(
            "above voltage limits",
            "over nodes and time",
            "sum_s h_s sum_n (v_n - v_max)⁺",
            unit="pu h",
            form=".3g",
        ),
    ]
    overload_kva_h: Annotated[
        float,
        Kpi(
            "above ratings",
            "over conductors and time",
            "sum_s h_s sum_b (abs(I_b) - rating_b)⁺ V_b",
            unit="kVA h",
            form=".3g",
        ),
    ]
    node_h: Annotated[
        float,
        Kpi(
            "node-hours outside limits",
            "over nodes and time",
            "sum_s h_s #(nodes outside their limits)",
            unit="node h",
            form=",.2f",
        ),
    ]
    node_intervals_outside: Annotated[
        float | None,
        Kpi(
            "outside limits",
            "of node-intervals",
            "sum_s h_s #(nodes outside their limits) / (nodes · hours)",
            undefined="no power flow",
        ),
    ]
    losses_kwh: Annotated[
        float, Kpi("losses", "of lines and transformers", "sum_t h P_loss", unit="kWh", form=",.0f")
    ]
    head_import_kwh: Annotated[
        float, Kpi("import", "at the feeder head, as metered", "sum_t h P0⁺", unit="kWh", form=",.0f")
    ]
    head_export_kwh: Annotated[
        float, Kpi("export", "at the feeder head, as metered", "sum_t h P0⁻", unit="kWh", form=",.0f")
    ]
    head_import_kvarh: Annotated[
        float, Kpi("reactive import", "at the feeder head", "sum_t h Q0⁺", unit="kvarh", form=",.0f")
    ]
    head_export_kvarh: Annotated[
        float, Kpi("reactive export", "at the feeder head", "sum_t h Q0⁻", unit="kvarh", form=",.0f")
    ]
    unserved_lam_h: Annotated[
        float,
        Kpi(
            "without source",
            "LAMs and time",
            "sum_t h #(LAMs that no source feeds)",
            unit="LAM h",
            form=",.2f",
        ),
    ]

    @property
    def outside_in_words(self) -> str:
        """How far voltages were outside at any time, if at all: extremes are those at intervals' ends."""
        outside = self.under_pu_h + self.over_pu_h
        return f"; {outside:.2g} pu h outside, over nodes and time" if outside else ""


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
