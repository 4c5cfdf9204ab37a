"""A run's feeder solved again from its tables: how far the voltages are from those that the run recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cosim.feeder.powerflow.rebuild import RecordedState, across, solve_again
from cosim.results.arrow import ResultsError
from cosim.results.reader import Run

if TYPE_CHECKING:
    import pandas as pd


class Difference(NamedTuple):
    """Of an interval: the largest difference of a voltage [pu], at which node, and how many were compared."""

    tick: int
    pu: float
    node: str
    nodes: int


def differences(run: Run) -> Iterator[Difference]:
    """Every interval with a power flow, solved again in a fresh OpenDSS from the run's tables.

    Parameters
    ----------
    run
        A run directory.

    Raises
    ------
    ResultsError
        The run has no table of connections, as before there was one.
    FeederError, PowerFlowError
        The feeder's file is gone or refused, or a recorded state has no solution.
    """
    if not len(run.connections):
        raise ResultsError(f"{run.path}: holds no connections of loads; run the scenario again")
    master = run.scenario["feeder"]["master"] or None
    nodes, positions = run.nodes.groupby("tick"), dict(list(run.positions.groupby("tick")))
    base_v = {name: 1e3 * kv for name, kv in run.feeder_map.base_kv.items()}
    connections = dict(list(run.connections.groupby("tick")))
    for tick, measured in nodes:
        fed = measured[measured["v_pu"].notna()]
        if tick not in connections or not len(fed):
            continue
        volts = solve_again(master, _recorded(connections[tick], positions.get(tick)))
        names = fed["node"].tolist()
        again = np.abs(across(volts, names)) / np.array([base_v[name] for name in names])
        off = np.abs(again - fed["v_pu"].to_numpy())
        worst = int(off.argmax())
        yield Difference(int(measured["tick"].iloc[0]), float(off[worst]), names[worst], len(names))


def _recorded(connections: pd.DataFrame, positions: pd.DataFrame | None) -> RecordedState:
    """The record of one interval."""
    pairs: list[tuple[str, str]] = []
    if positions is not None:
        pairs = list(zip(positions["device"], positions["position"], strict=True))
    return RecordedState(
        changes=[position for device, position in pairs if device == "command"],
        positions={device: position for device, position in pairs if device != "command"},
        at=connections["at"].tolist(),
        kw=connections["metered_kw"].to_numpy(),
        kvar=connections["metered_kvar"].to_numpy(),
    )
