"""Power flow through time without a market: every LAM draws its share of a load shape, step after step."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from cosim.feeder.circuit import Floats, PowerFlowError
from cosim.feeder.controls import ControlRun
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.violation_hours import beyond


@dataclass(frozen=True)
class Series:
    """What a feeder went through in T steps.

    Attributes
    ----------
    steps
        Columns with one value for each step: power, losses, extremes and where they are, moves of controls.
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
        layout = self.feeder.layout
        n, b = len(layout.nodes), len(layout.branches)
        self.v_min, self.v_max = np.full(n, np.inf), np.full(n, -np.inf)
        self.v_mean, self.under_pu_h, self.over_pu_h, self.outside_h = np.zeros((4, n))
        self.worst, self.over_kva_h, self.over_h = np.zeros((3, b))
        self.moves = dict.fromkeys((*layout.regulators, *self.feeder.positions().capacitors), 0)
        self.solved = 0

    def add(self, run: ControlRun, load_kw: float) -> None:
        """Take in the states in which a step is spent; power is that of the last of them."""
        self.solved += 1
        base_kv = self.feeder.layout.branch_base_kv
        for (_, state), share in zip(run.states, run.shares(), strict=True):
            hours = share * self.step_h
            under, over, over_a = beyond(state, self.limits)
            self.v_min, self.v_max = np.minimum(self.v_min, state.v_pu), np.maximum(self.v_max, state.v_pu)
            self.v_mean += share * state.v_pu
            self.under_pu_h += hours * under
            self.over_pu_h += hours * over
            self.outside_h += hours * ((under > 0) | (over > 0))
            self.worst = np.maximum(self.worst, self.limits.loading(state.current_a))
            self.over_kva_h += hours * over_a * base_kv
            self.over_h += hours * (over_a > 0)
        for action in run.actions:
            self.moves[action.device] += abs(action.steps)
        self.rows.append(self._row(run, load_kw))

    def miss(self, load_kw: float) -> None:
        """Take in a step without power flow."""
        self.rows.append({"solved": False, "load_kw": load_kw})

    def _row(self, run: ControlRun, load_kw: float) -> dict[str, Any]:
        state, layout = run.last, self.feeder.layout
        under, over, over_a = beyond(state, self.limits)
        v_pu = np.array([each.v_pu for _, each in run.states])
        lowest, highest = v_pu.min(axis=0), v_pu.max(axis=0)
        loading = np.max([self.limits.loading(each.current_a) for _, each in run.states], axis=0)
        low, high, most = int(lowest.argmin()), int(highest.argmax()), int(loading.argmax())
        return {
            "solved": True,
            "load_kw": load_kw,
            "source_kw": state.source_kw,
            "source_kvar": state.source_kvar,
            "losses_kw": state.losses_kw,
            "v_min_pu": lowest[low],
            "v_min_node": layout.nodes[low],
            "v_max_pu": highest[high],
            "v_max_node": layout.nodes[high],
            "max_loading": loading[most],
            "max_loading_branch": layout.branches[most],
            "nodes_outside": int(np.count_nonzero((under > 0) | (over > 0))),
            "branches_over": int(np.count_nonzero(over_a)),
            "tap_steps": run.count("regulator"),
            "capacitor_steps": run.count("capacitor"),
            "hunting": ", ".join(run.hunting),
        }


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
        Whether regulators and capacitors act, each step beginning anew with their delays.
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
    voltages = np.full((len(shape), len(layout.nodes)), np.nan) if keep_voltages else None
    for number, factor in enumerate(shape):
        net_kw = layout.spot_kw * factor
        solve = partial(feeder.solve, net_kw, net_kw * layout.tan_phi)
        try:
            window_s = 3600.0 * step_h
            run = feeder.act(solve, window_s) if controls_act else ControlRun(window_s, ((0.0, solve()),))
        except PowerFlowError:
            record.miss(float(net_kw.sum()))
        else:
            record.add(run, float(net_kw.sum()))
            if voltages is not None:
                voltages[number] = run.last.v_pu
        on_step()
    return _series(record, voltages)


def _series(record: _Record, voltages: Floats | None) -> Series:
    names = dict.fromkeys(name for row in record.rows for name in row)
    layout = record.feeder.layout
    nodes = {
        "node": list(layout.nodes),
        "v_min_pu": record.v_min,
        "v_mean_pu": record.v_mean / max(record.solved, 1),
        "v_max_pu": record.v_max,
        "under_pu_h": record.under_pu_h,
        "over_pu_h": record.over_pu_h,
        "outside_h": record.outside_h,
    }
    branches = {
        "branch": list(layout.branches),
        "rating_a": record.limits.rating_a,
        "max_loading": record.worst,
        "over_h": record.over_h,
        "over_kva_h": record.over_kva_h,
    }
    steps = {name: [row.get(name) for row in record.rows] for name in names}
    return Series(steps, nodes, branches, voltages, _summary(record))


def _summary(record: _Record) -> dict[str, Any]:
    good = [(number, row) for number, row in enumerate(record.rows) if row["solved"]]
    node_h = record.solved * record.step_h * len(record.v_min)

    def total(name: str) -> float:
        return float(sum(row[name] for _, row in good) * record.step_h)

    def extreme(best: Callable[..., tuple[int, dict[str, Any]]], name: str, at: str) -> dict[str, Any] | None:
        if not good:
            return None
        number, row = best(good, key=lambda each: each[1][name])
        return {"value": float(row[name]), "at": row[at], "step": number}

    return {
        "feeder": record.feeder.layout.name,
        "steps": len(record.rows),
        "unsolved": len(record.rows) - record.solved,
        "hunting": sum(bool(row["hunting"]) for _, row in good),
        "step_h": record.step_h,
        "load_kwh": total("load_kw"),
        "source_kwh": total("source_kw"),
        "losses_kwh": total("losses_kw"),
        "peak_source_kw": max((float(row["source_kw"]) for _, row in good), default=None),
        "v_min_pu": extreme(min, "v_min_pu", "v_min_node"),
        "v_max_pu": extreme(max, "v_max_pu", "v_max_node"),
        "max_loading": extreme(max, "max_loading", "max_loading_branch"),
        "under_pu_h": float(record.under_pu_h.sum()),
        "over_pu_h": float(record.over_pu_h.sum()),
        "nodes_outside_percent": float(100.0 * record.outside_h.sum() / node_h) if node_h else None,
        "over_kva_h": float(record.over_kva_h.sum()),
        "moves": record.moves,
    }
