"""A run's feeder solved again from its tables: how far off the recorded voltages and currents are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cosim.feeder.powerflow.rebuild import RecordedState, across, solve_again
from cosim.results.errors import ResultsError
from cosim.results.reader import Run

if TYPE_CHECKING:
    import pandas as pd


class Difference(NamedTuple):
    """Of an interval: the largest difference of a voltage [pu], at which node, and how many were compared.

    Likewise of the currents that the run recorded, as a part of the rating.
    """

    tick: int
    pu: float
    node: str
    nodes: int
    loading: float = 0.0
    branch: str = ""
    branches: int = 0


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
    currents = dict(list(run.currents.groupby("tick")))
    for tick, measured in nodes:
        fed = measured[measured["v_pu"].notna()]
        if tick not in connections or not len(fed):
            continue
        solved = solve_again(master, _recorded(connections[tick], positions.get(tick)))
        names = fed["node"].tolist()
        again = np.abs(across(solved.volts, names)) / np.array([base_v[name] for name in names])
        off = np.abs(again - fed["v_pu"].to_numpy())
        worst = int(off.argmax())
        found = Difference(int(measured["tick"].iloc[0]), float(off[worst]), names[worst], len(names))
        yield found if tick not in currents else _with_currents(found, currents[tick], solved.current_a)


def _with_currents(found: Difference, recorded: pd.DataFrame, again_a: Mapping[str, float]) -> Difference:
    """With the largest difference of a current, as a part of its rating."""
    names, loading = recorded["branch"].tolist(), recorded["loading"].to_numpy()
    amperes = recorded["current_a"].to_numpy()
    # A current in what is out of service now was none of this circuit.
    again = np.array([again_a.get(name, 0.0) for name in names])
    off = np.abs(again - amperes) * loading / amperes
    worst = int(off.argmax())
    return found._replace(loading=float(off[worst]), branch=names[worst], branches=len(names))


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
