"""The map's facts and its state in one interval: voltages by bus and loading by segment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from broker.messages import FeederMap, FeederState, RunFacts, columns
from cosim.feeder.linear import VOLTAGE_TOLERANCE_PU
from cosim.map.panels import MapLayout, MapPanel, Number, Numbers
from cosim.map.tree import tree_places

Floats = npt.NDArray[np.float64]
_DIGITS = 5


class Drawing:
    """Where the values of a feeder's state belong on its map.

    Parameters
    ----------
    drawing
        Buses, segments, nodes and conductors.
    lams, members
        Names of the LAMs and how many prosumers each has.
    """

    def __init__(self, drawing: FeederMap, lams: list[str], members: list[int]) -> None:
        places = drawing.buses or tree_places(drawing.segments, drawing.source)
        buses = {bus: at for at, bus in enumerate(places)}
        self.nodes = list(drawing.base_kv)
        limits = drawing.limits_pu or [(-np.inf, np.inf)] * len(self.nodes)
        self._lower, self._upper = np.array(limits, dtype=np.float64).reshape(-1, 2).T
        self._node_bus = np.array(
            [buses.get(node.partition(".")[0], -1) for node in self.nodes], dtype=np.intp
        )
        shown = [at for at, (a, b) in enumerate(drawing.segments) if a in buses and b in buses]
        elements = drawing.elements or [""] * len(drawing.segments)
        place = {elements[at]: number for number, at in enumerate(shown)}
        self.branches = drawing.branches
        self._branch_segment = np.array([_segment_of(each, place) for each in self.branches], dtype=np.intp)
        self.layout = MapLayout(
            bus=list(buses),
            x=[x for x, _ in places.values()],
            y=[y for _, y in places.values()],
            segments=[(buses[a], buses[b]) for a, b in (drawing.segments[at] for at in shown)],
            elements=[elements[at] for at in shown],
            source=buses.get(drawing.source, -1),
            lam=lams,
            lam_bus=[buses.get(bus, -1) for bus in drawing.lams],
            members=members,
            nodes=self.nodes,
            node_bus=self._node_bus.tolist(),
        )

    @property
    def limits_pu(self) -> tuple[Number, Number]:
        """Widest voltage limits of all nodes."""
        finite = np.isfinite(self._lower)
        if not finite.any():
            return None, None
        return float(self._lower[finite].min()), float(self._upper[finite].max())

    def voltages(self, v_pu: Floats) -> tuple[Numbers, list[int]]:
        """Of each bus the voltage nearest to its limits or furthest beyond [pu], and on which side it is.

        Parameters
        ----------
        v_pu
            Voltages of the nodes ``(n,)``; 0 or NaN where no source feeds one.
        """
        worst: Numbers = [None] * len(self.layout.bus)
        side = [0] * len(worst)
        if v_pu.size != len(self.nodes):
            return worst, side
        fed = np.flatnonzero((v_pu > 0) & (self._node_bus >= 0))
        low, high = self._lower - v_pu, v_pu - self._upper
        excess = np.maximum(low, high)
        for at in fed[np.argsort(excess[fed], kind="stable")]:
            bus = int(self._node_bus[at])
            worst[bus] = round(float(v_pu[at]), _DIGITS)
            is_out = excess[at] > VOLTAGE_TOLERANCE_PU
            side[bus] = (1 if high[at] > low[at] else -1) if is_out else 0
        return worst, side

    def loadings(self, loading: Floats) -> Numbers:
        """Highest loading of each segment's conductors; ``None`` where none is known."""
        highest: Numbers = [None] * len(self.layout.segments)
        if loading.size != len(self.branches):
            return highest
        for segment, value in zip(self._branch_segment.tolist(), loading.tolist(), strict=True):
            if segment >= 0 and np.isfinite(value):
                before = highest[segment]
                highest[segment] = round(value, 4) if before is None else max(before, round(value, 4))
        return highest


def drawing_of(facts: RunFacts) -> Drawing:
    """Drawing of a run's feeder."""
    return Drawing(facts.map, facts.lams, facts.members)


def feeder_panel(drawing: Drawing, state: FeederState) -> MapPanel:
    """The map in the state that a feeder tells."""
    known: dict[str, Any] = {
        "tick": state.tick,
        "violations": state.violations,
        "unnamed": state.unnamed,
        "unserved": state.unserved,
        "limits_pu": drawing.limits_pu,
        "losses_kw": state.losses_kw,
        "source_kw": state.source_kw,
    }
    if state.record is not None:
        known["positions"] = dict(zip(state.record.device, state.record.position, strict=True))
    if not state.solved:
        return MapPanel(**known)
    return MapPanel(
        **known, **state_fields(drawing, columns.unpack(state.v_pu), columns.unpack(state.loading))
    )


def state_fields(drawing: Drawing, v_pu: Floats, loading: Floats) -> dict[str, Any]:
    """What the map shows of voltages ``(n,)`` [pu] and loadings ``(b,)``, and their extremes."""
    worst, side = drawing.voltages(v_pu)
    fed = v_pu[v_pu > 0]
    known = loading[np.isfinite(loading)]
    return {
        "v_pu": worst,
        "side": side,
        "node_v_pu": [round(v, _DIGITS) if v > 0 else None for v in v_pu.tolist()],
        "loading": drawing.loadings(loading),
        "v_min_pu": float(fed.min()) if fed.size else None,
        "v_max_pu": float(fed.max()) if fed.size else None,
        "max_loading": float(known.max()) if known.size else None,
    }


def _segment_of(branch: str, place: dict[str, int]) -> int:
    """Segment of a conductor such as ``line.l115.1``; -1 where the map has none."""
    while "." in branch:
        branch = branch.rpartition(".")[0]
        if branch in place:
            return place[branch]
    return -1
