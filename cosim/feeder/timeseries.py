"""Power flow through time without a market: every LAM draws its share of a load shape, step after step.

Time is gone through in stretches. What happens in one is told by where the controls stand when it begins, so
that stretches may be played anywhere, and kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from cosim.feeder.circuit import FeederLayout, Floats, PowerFlowError
from cosim.feeder.controls import ControlRun, Positions
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


@dataclass(frozen=True)
class TimeRules:
    """What holds in every step.

    Attributes
    ----------
    limits
        What counts as a violation.
    step_h
        Length of a step [h].
    controls_act
        Whether regulators and capacitors act, each step beginning anew with their delays.
    keep_voltages
        Whether to keep every voltage.
    """

    limits: Limits
    step_h: float
    controls_act: bool
    keep_voltages: bool = False


@dataclass
class Stretch:
    """What a feeder of n nodes and b branches went through in some consecutive steps.

    Attributes
    ----------
    start, end
        Where controls stood before the first step and after the last.
    rows
        A row of figures for each step.
    nodes
        Lowest and highest voltage [pu], sum of mean voltages [pu], pu h below and above the limits, hours
        outside ``(6, n)``.
    branches
        Highest loading, kVA h and hours above the rating ``(3, b)``.
    voltages
        Of every step ``(T, n)`` [pu], or of none ``(0, n)``.
    """

    start: Positions
    end: Positions
    rows: list[dict[str, Any]]
    nodes: Floats
    branches: Floats
    voltages: Floats


def play(
    feeder: Feeder,
    start: Positions,
    shape: Floats,
    rules: TimeRules,
    on_step: Callable[[], None] = lambda: None,
    kvar_shape: Floats | None = None,
) -> Stretch:
    """Solve a feeder through consecutive steps.

    Parameters
    ----------
    feeder
        The feeder, M LAMs.
    start
        Where its regulators and capacitors stand at first; they carry on from step to step.
    shape
        Part of its spot load that each LAM draws, ``(T,)`` for all alike or ``(T, M)``.
    rules
        What holds in every step.
    on_step
        Called after each step.
    kvar_shape
        Part of its spot load's kvar that each LAM draws, as ``shape``; ``None`` where it is the same.

    Returns
    -------
    Stretch
        The figures; a step whose power flow fails is marked and left out of them.
    """
    layout = feeder.layout
    kvar_shape = shape if kvar_shape is None else kvar_shape
    feeder.put(start)
    nodes, branches = _nothing_yet(layout)
    voltages = np.full((len(shape) if rules.keep_voltages else 0, len(layout.nodes)), np.nan)
    rows: list[dict[str, Any]] = []
    window_s = 3600.0 * rules.step_h
    for number, (factor, kvar_factor) in enumerate(zip(shape, kvar_shape, strict=True)):
        net_kw = layout.spot_kw * factor
        solve = partial(feeder.solve, net_kw, layout.spot_kw * kvar_factor * layout.tan_phi)
        try:
            run = (
                feeder.act(solve, window_s) if rules.controls_act else ControlRun(window_s, ((0.0, solve()),))
            )
        except PowerFlowError:
            rows.append({"solved": False, "load_kw": float(net_kw.sum())})
        else:
            _add(run, rules, layout, nodes, branches)
            rows.append(_row(run, rules.limits, layout, float(net_kw.sum())))
            if rules.keep_voltages:
                voltages[number] = run.last.v_pu
        on_step()
    return Stretch(start, feeder.positions(), rows, nodes, branches, voltages)


def joined(layout: FeederLayout, start: Positions, rules: TimeRules, stretches: Iterable[Stretch]) -> Series:
    """The series of consecutive stretches, the first of which begins with controls at ``start``."""
    rows: list[dict[str, Any]] = []
    nodes, branches = _nothing_yet(layout)
    voltages = [np.zeros((0, len(layout.nodes)))]
    for stretch in stretches:
        rows += stretch.rows
        voltages.append(stretch.voltages)
        nodes[0] = np.minimum(nodes[0], stretch.nodes[0])
        nodes[1] = np.maximum(nodes[1], stretch.nodes[1])
        nodes[2:] += stretch.nodes[2:]
        branches[0] = np.maximum(branches[0], stretch.branches[0])
        branches[1:] += stretch.branches[1:]
    names = dict.fromkeys(name for row in rows for name in row if name != "moves")
    solved = sum(row["solved"] for row in rows)
    return Series(
        steps={name: [row.get(name) for row in rows] for name in names},
        nodes={
            "node": list(layout.nodes),
            "v_min_pu": nodes[0],
            "v_mean_pu": nodes[2] / max(solved, 1),
            "v_max_pu": nodes[1],
            "under_pu_h": nodes[3],
            "over_pu_h": nodes[4],
            "outside_h": nodes[5],
        },
        branches={
            "branch": list(layout.branches),
            "rating_a": rules.limits.rating_a,
            "max_loading": branches[0],
            "over_h": branches[2],
            "over_kva_h": branches[1],
        },
        voltages=np.concatenate(voltages) if rules.keep_voltages else None,
        summary=_summary(
            layout, (*layout.regulators, *start.capacitors), rules.step_h, rows, nodes, branches
        ),
    )


def _nothing_yet(layout: FeederLayout) -> tuple[Floats, Floats]:
    """Figures of nodes and branches before any step."""
    nodes = np.zeros((6, len(layout.nodes)))
    nodes[0], nodes[1] = np.inf, -np.inf
    return nodes, np.zeros((3, len(layout.branches)))


def _add(run: ControlRun, rules: TimeRules, layout: FeederLayout, nodes: Floats, branches: Floats) -> None:
    """Take in the states in which a step is spent."""
    for (_, state), share in zip(run.states, run.shares(), strict=True):
        hours = share * rules.step_h
        under, over, over_a = beyond(state, rules.limits)
        nodes[0], nodes[1] = np.minimum(nodes[0], state.v_pu), np.maximum(nodes[1], state.v_pu)
        nodes[2] += share * state.v_pu
        nodes[3] += hours * under
        nodes[4] += hours * over
        nodes[5] += hours * ((under > 0) | (over > 0))
        branches[0] = np.maximum(branches[0], rules.limits.loading(state.current_a))
        branches[1] += hours * over_a * layout.branch_base_kv
        branches[2] += hours * (over_a > 0)


def _row(run: ControlRun, limits: Limits, layout: FeederLayout, load_kw: float) -> dict[str, Any]:
    """Figures of a step; power is that of its last state."""
    state = run.last
    under, over, over_a = beyond(state, limits)
    v_pu = np.array([each.v_pu for _, each in run.states])
    lowest, highest = v_pu.min(axis=0), v_pu.max(axis=0)
    loading = np.max([limits.loading(each.current_a) for _, each in run.states], axis=0)
    low, high, most = int(lowest.argmin()), int(highest.argmax()), int(loading.argmax())
    moves: dict[str, int] = {}
    for action in run.actions:
        moves[action.device] = moves.get(action.device, 0) + abs(action.steps)
    return {
        "solved": True,
        "load_kw": load_kw,
        "source_kw": float(state.source_kw),
        "source_kvar": float(state.source_kvar),
        "losses_kw": float(state.losses_kw),
        "v_min_pu": float(lowest[low]),
        "v_min_node": layout.nodes[low],
        "v_max_pu": float(highest[high]),
        "v_max_node": layout.nodes[high],
        "max_loading": float(loading[most]),
        "max_loading_branch": layout.branches[most],
        "nodes_outside": int(np.count_nonzero((under > 0) | (over > 0))),
        "branches_over": int(np.count_nonzero(over_a)),
        "tap_steps": run.count("regulator"),
        "capacitor_steps": run.count("capacitor"),
        "hunting": ", ".join(run.hunting),
        "moves": moves,
    }


def _summary(
    layout: FeederLayout,
    controls: Sequence[str],
    step_h: float,
    rows: Sequence[dict[str, Any]],
    nodes: Floats,
    branches: Floats,
) -> dict[str, Any]:
    good = [(number, row) for number, row in enumerate(rows) if row["solved"]]
    node_h = len(good) * step_h * nodes.shape[1]

    def total(name: str) -> float:
        return float(sum(row[name] for _, row in good) * step_h)

    def extreme(best: Callable[..., tuple[int, dict[str, Any]]], name: str, at: str) -> dict[str, Any] | None:
        if not good:
            return None
        number, row = best(good, key=lambda each: each[1][name])
        return {"value": float(row[name]), "at": row[at], "step": number}

    moves = dict.fromkeys(controls, 0)
    for _, row in good:
        for device, steps in row["moves"].items():
            moves[device] += steps
    return {
        "feeder": layout.name,
        "steps": len(rows),
        "unsolved": len(rows) - len(good),
        "hunting": sum(bool(row["hunting"]) for _, row in good),
        "step_h": step_h,
        "load_kwh": total("load_kw"),
        "source_kwh": total("source_kw"),
        "losses_kwh": total("losses_kw"),
        "peak_source_kw": max((float(row["source_kw"]) for _, row in good), default=None),
        "v_min_pu": extreme(min, "v_min_pu", "v_min_node"),
        "v_max_pu": extreme(max, "v_max_pu", "v_max_node"),
        "max_loading": extreme(max, "max_loading", "max_loading_branch"),
        "under_pu_h": float(nodes[3].sum()),
        "over_pu_h": float(nodes[4].sum()),
        "nodes_outside_percent": float(100.0 * nodes[5].sum() / node_h) if node_h else None,
        "over_kva_h": float(branches[1].sum()),
        "moves": moves,
    }
