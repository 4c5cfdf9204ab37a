"""Power flow through time without a market: every LAM draws its share of a load shape, step after step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cosim.feeder.circuit import AcState, Floats, PowerFlowError
from cosim.feeder.linear import CURRENT_TOLERANCE_PCT, VOLTAGE_TOLERANCE_PU, Limits
from cosim.feeder.opendss import Feeder


@dataclass(frozen=True)
class Series:
    """What a feeder went through in T steps.

    Attributes
    ----------
    steps
        Columns with one value for each step: power, losses, extremes and where they are, taps moved.
    nodes, branches
        Columns with one value for each node or branch conductor, over the whole time.
    voltages
        Node voltages ``(T, n)`` [pu], NaN in unsolved steps; ``None`` unless asked for.
    summary
        Energy, losses, extremes and violations of the whole time.
    """

    steps: Mapping[str, Any]
    nodes: Mapping[str, Any]
    branches: Mapping[str, Any]
    voltages: Floats | None
    summary: Mapping[str, Any]


@dataclass
class _Record:
    """Sums and extremes that grow step by step."""

    feeder: Feeder
    limits: Limits
    step_h: float
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        n, b = len(self.feeder.layout.nodes), len(self.feeder.layout.branches)
        self.v_min, self.v_max = np.full(n, np.inf), np.full(n, -np.inf)
        self.v_sum, self.under_pu_h, self.over_pu_h, self.outside_h = np.zeros((4, n))
        self.worst, self.over_rating_ah, self.over_rating_h = np.zeros((3, b))
        self.solved = 0

    def add(self, state: AcState, moves: Mapping[str, int], load_kw: float) -> None:
        """Take in the state in which a step is spent."""
        v_pu, limits = state.v_pu, self.limits
        loading = limits.loading(state.current_a)
        under = _beyond(limits.voltage_min_pu - v_pu, VOLTAGE_TOLERANCE_PU)
        over = _beyond(v_pu - limits.voltage_max_pu, VOLTAGE_TOLERANCE_PU)
        excess = _beyond(loading - 1.0, CURRENT_TOLERANCE_PCT / 100.0)
        self.v_min, self.v_max = np.minimum(self.v_min, v_pu), np.maximum(self.v_max, v_pu)
        self.v_sum += v_pu
        self.under_pu_h += under * self.step_h
        self.over_pu_h += over * self.step_h
        self.outside_h += ((under > 0) | (over > 0)) * self.step_h
        self.worst = np.maximum(self.worst, loading)
        overloaded = excess > 0
        self.over_rating_h += overloaded * self.step_h
        self.over_rating_ah[overloaded] += excess[overloaded] * limits.rating_a[overloaded] * self.step_h
        self.solved += 1
        low, high, most = int(v_pu.argmin()), int(v_pu.argmax()), int(loading.argmax())
        self.rows.append(
            {
                "solved": True,
                "load_kw": load_kw,
                "source_kw": state.source_kw,
                "source_kvar": state.source_kvar,
                "losses_kw": state.losses_kw,
                "v_min_pu": v_pu[low],
                "v_min_node": state.nodes[low],
                "v_max_pu": v_pu[high],
                "v_max_node": state.nodes[high],
                "max_loading": loading[most],
                "max_loading_branch": state.branches[most],
                "nodes_outside": int(np.count_nonzero((under > 0) | (over > 0))),
                "branches_over": int(np.count_nonzero(overloaded)),
                "tap_steps": sum(abs(steps) for steps in moves.values()),
            }
        )

    def miss(self, load_kw: float) -> None:
        """Take in a step without power flow."""
        self.rows.append({"solved": False, "load_kw": load_kw})


def run_series(
    feeder: Feeder,
    shape: Floats,
    limits: Limits,
    step_h: float,
    *,
    controls_act: bool,
    keep_voltages: bool = False,
    on_step: Callable[[], None] = lambda: None,
) -> Series:
    """Solve a feeder through time.

    Parameters
    ----------
    feeder
        The feeder, M LAMs; regulators and capacitors start where it has them, and carry on from step to step.
    shape
        Part of its spot load that each LAM draws, kvar along with it, ``(T,)`` for all alike or ``(T, M)``.
    limits
        What counts as a violation.
    step_h
        Length of a step [h].
    controls_act
        Whether regulators and capacitors act at the beginning of each step until they rest.
    keep_voltages
        Whether to keep every voltage.
    on_step
        Called after each step.

    Returns
    -------
    Series
        The figures; a step whose power flow fails is marked and left out of them.
    """
    layout = feeder.layout
    record = _Record(feeder, limits, step_h)
    taps = dict.fromkeys(layout.regulators, 0)
    voltages = np.full((len(shape), len(layout.nodes)), np.nan) if keep_voltages else None
    for number, factor in enumerate(shape):
        net_kw = layout.spot_kw * factor
        net_kvar = net_kw * layout.tan_phi
        try:
            moves = feeder.let_controls_act(net_kw, net_kvar) if controls_act else {}
            state = feeder.solve(net_kw, net_kvar)
        except PowerFlowError:
            record.miss(float(net_kw.sum()))
            on_step()
            continue
        for regulator, steps in moves.items():
            taps[regulator] += abs(steps)
        record.add(state, moves, float(net_kw.sum()))
        if voltages is not None:
            voltages[number] = state.v_pu
        on_step()
    return _series(record, taps, voltages)


def _series(record: _Record, taps: Mapping[str, int], voltages: Floats | None) -> Series:
    names = dict.fromkeys(name for row in record.rows for name in row)
    steps = {name: [row.get(name) for row in record.rows] for name in names}
    layout, hours = record.feeder.layout, record.solved * record.step_h
    nodes = {
        "node": list(layout.nodes),
        "v_min_pu": record.v_min,
        "v_mean_pu": record.v_sum / max(record.solved, 1),
        "v_max_pu": record.v_max,
        "under_pu_h": record.under_pu_h,
        "over_pu_h": record.over_pu_h,
        "outside_h": record.outside_h,
    }
    branches = {
        "branch": list(layout.branches),
        "rating_a": record.limits.rating_a,
        "max_loading": record.worst,
        "over_rating_h": record.over_rating_h,
        "over_rating_ah": record.over_rating_ah,
    }
    return Series(steps, nodes, branches, voltages, _summary(record, taps, hours))


def _summary(record: _Record, taps: Mapping[str, int], hours: float) -> dict[str, Any]:
    good = [row for row in record.rows if row["solved"]]
    node_h = hours * len(record.v_min)

    def total(name: str) -> float:
        return float(sum(row[name] for row in good) * record.step_h)

    def extreme(best: Callable[..., dict[str, Any]], name: str, where: str) -> dict[str, Any] | None:
        row = best(good, key=lambda row: row[name]) if good else None
        return row and {"value": float(row[name]), "at": row[where], "step": record.rows.index(row)}

    return {
        "feeder": record.feeder.layout.name,
        "steps": len(record.rows),
        "unsolved": len(record.rows) - record.solved,
        "step_h": record.step_h,
        "load_kwh": total("load_kw"),
        "source_kwh": total("source_kw"),
        "losses_kwh": total("losses_kw"),
        "peak_source_kw": max((float(row["source_kw"]) for row in good), default=None),
        "v_min_pu": extreme(min, "v_min_pu", "v_min_node"),
        "v_max_pu": extreme(max, "v_max_pu", "v_max_node"),
        "max_loading": extreme(max, "max_loading", "max_loading_branch"),
        "under_pu_h": float(record.under_pu_h.sum()),
        "over_pu_h": float(record.over_pu_h.sum()),
        "nodes_outside_percent": float(100.0 * record.outside_h.sum() / node_h) if node_h else None,
        "over_rating_ah": float(record.over_rating_ah.sum()),
        "tap_steps": dict(taps),
    }


def _beyond(amount: Floats, tolerance: float) -> Floats:
    return np.where(amount > tolerance, amount, 0.0)
