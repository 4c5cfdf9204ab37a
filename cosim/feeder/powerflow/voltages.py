"""Which voltages of a circuit are judged: those between the terminals that customers' loads see.

At a bus with a neutral conductor that is phase to neutral, elsewhere phase to ground; a load between two
phases adds the voltage between them. The legs of a split phase count one by one. Where nothing ties a zone to
ground, as behind a delta winding, no customer sees ground: there the voltages between phases count alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

import numpy as np

from cosim.feeder.circuit import Complexes, Floats, ThreePhase
from cosim.feeder.powerflow.attachment import SpotLoad
from cosim.feeder.powerflow.bases import zones
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.topology import Fed, Survey, bus_of, dummy_buses

# Below this part of its base a conductor beyond the third, or one by which loads return, is a neutral.
_NEUTRAL_PU = 0.4
# Beyond this angle two conductors are the legs of a split phase, not two of three phases [degrees].
_SPLIT_DEG = 150.0


@dataclass(frozen=True)
class JudgedVoltages:
    """Voltages that are held against limits, n of them.

    Attributes
    ----------
    ends
        Nodes between which they lie ``(n, 2)``, 0 being ground.
    names
        Such as ``"83.1"`` to ground, ``"83.1-4"`` to the neutral 4, ``"83.1-2"`` between phases.
    base_kv, ground_base_kv
        Base voltages between the ends and of the first end to ground ``(n,)`` [kV].
    neutrals
        Nodes of neutral conductors.
    """

    ends: Ints
    names: tuple[str, ...]
    base_kv: Floats
    ground_base_kv: Floats
    neutrals: Ints

    def of(self, volts: Complexes) -> Complexes:
        """Voltages between the ends ``(n,)`` [V], given those of all nodes to ground ``(N,)`` [V]."""
        volts = volts.copy()
        volts[0] = 0.0
        across: Complexes = volts[self.ends[:, 0]] - volts[self.ends[:, 1]]
        return across

    def where_fed(self, node_names: Sequence[str], survey: Survey, fed: Fed) -> JudgedVoltages:
        """The same voltages in a changed circuit, without those that no source feeds there.

        Parameters
        ----------
        node_names
            The nodes that ``ends`` mean.
        survey, fed
            The changed circuit, and which of its nodes hang on a source.
        """
        place = {name: node for node, name in enumerate(survey.node_names) if fed[node] or not node}
        ends = [tuple(place.get(node_names[node], -1) for node in pair) for pair in self.ends.tolist()]
        kept = [at for at, pair in enumerate(ends) if min(pair) >= 0]
        return JudgedVoltages(
            ends=np.array([ends[at] for at in kept], dtype=np.intp).reshape(-1, 2),
            names=tuple(self.names[at] for at in kept),
            base_kv=self.base_kv[kept],
            ground_base_kv=self.ground_base_kv[kept],
            neutrals=np.array(
                [place[name] for name in (node_names[node] for node in self.neutrals) if name in place],
                dtype=np.intp,
            ),
        )

    def with_more(self, more: JudgedVoltages) -> JudgedVoltages:
        """These voltages, and behind them those of other nodes of the same circuit."""
        known = {0, *self.ends.ravel().tolist(), *self.neutrals.tolist()}
        new = [at for at, pair in enumerate(more.ends.tolist()) if not known.issuperset(pair)]
        return JudgedVoltages(
            ends=np.concatenate([self.ends, more.ends[new]]),
            names=(*self.names, *(more.names[at] for at in new)),
            base_kv=np.concatenate([self.base_kv, more.base_kv[new]]),
            ground_base_kv=np.concatenate([self.ground_base_kv, more.ground_base_kv[new]]),
            neutrals=np.union1d(self.neutrals, more.neutrals),
        )

    def three_phase(self) -> ThreePhase:
        """Buses of which three voltages are judged: to one reference, else between the phases."""
        at_bus: dict[tuple[str, str], dict[int, int]] = {}
        between: dict[str, dict[str, int]] = {}
        for place, name in enumerate(self.names):
            bus, _, ends = name.partition(".")
            one, _, other = ends.partition("-")
            if self.base_kv[place] == self.ground_base_kv[place]:
                at_bus.setdefault((bus, other), {})[int(one)] = place
            else:
                between.setdefault(bus, {})[ends] = place
        found: dict[str, tuple[list[int], list[float]]] = {
            bus: ([mine[phase] for phase in (1, 2, 3)], [1.0, 1.0, 1.0])
            for (bus, _), mine in at_bus.items()
            if {1, 2, 3} <= mine.keys()
        }
        for bus, pairs in between.items():
            if bus not in found and {"1-2", "2-3", "1-3"} <= pairs.keys():
                found[bus] = ([pairs[ends] for ends in ("1-2", "2-3", "1-3")], [1.0, 1.0, -1.0])
        places = [places for places, _ in found.values()]
        signs = [signs for _, signs in found.values()]
        return ThreePhase(
            buses=tuple(found),
            places=np.array(places, dtype=np.intp).reshape(-1, 3),
            signs=np.array(signs).reshape(-1, 3),
        )

    def seen_by(self, load: SpotLoad) -> tuple[int, ...]:
        """Places of the voltages that a load sees, in ascending order."""
        found: set[int] = set()
        for one, other in load.windings():
            between = self._by_ends.get((min(one, other), max(one, other)))
            if between is None:
                ends = (self._to_reference.get(node) for node in (one, other))
                found.update(place for place in ends if place is not None)
            else:
                found.add(between)
        return tuple(sorted(found))

    @cached_property
    def _by_ends(self) -> dict[tuple[int, int], int]:
        return {(one, other): place for place, (one, other) in enumerate(self.ends.tolist())}

    @cached_property
    def _to_reference(self) -> dict[int, int]:
        """Place of the voltage of each node to its reference, the first that begins there."""
        return {one: place for (one, _), place in reversed(self._by_ends.items())}

    def phases(self, places: Iterable[int]) -> tuple[int, ...]:
        """Phases (1, 2, 3) between which some of the voltages lie; conductors 4 to 6 repeat them."""
        numbers: set[int] = set()
        for place in places:
            one, _, other = self.names[place].partition(".")[2].partition("-")
            numbers.add(int(one))
            if self.base_kv[place] != self.ground_base_kv[place]:
                numbers.add(int(other))
        return tuple(sorted({(number - 1) % 3 + 1 for number in numbers}))


class _Voltage(NamedTuple):
    ends: tuple[int, int]
    name: str
    base_kv: float


def judged_voltages(
    survey: Survey, fed: Fed, tied: Fed, loads: Sequence[SpotLoad], volts: Complexes
) -> JudgedVoltages:
    """Voltages of a circuit that count; dummy buses behind open switches have none.

    Parameters
    ----------
    survey, fed, tied
        The circuit, N nodes, which of them hang on a source, and which stand in a zone tied to ground.
    loads
        Its loads.
    volts
        Node voltages of its own solution ``(N,)`` [V], by which neutrals and split phases are known.
    """
    dummies = dummy_buses(survey)
    neutrals = _neutrals(survey, loads, volts)
    neutral_of = _of_buses(survey, neutrals)
    found, floating = [], []
    for node, name in enumerate(survey.node_names):
        bus, _, phase = name.partition(".")
        if not fed[node] or bus in dummies or node in neutrals:
            continue
        if not tied[node]:
            floating.append(node)
            continue
        neutral = neutral_of.get(bus, 0)
        to = f"-{survey.node_names[neutral].partition('.')[2]}" if neutral else ""
        found.append(_Voltage((node, neutral), f"{bus}.{phase}{to}", float(survey.base_kv[node])))
    judged = {each.ends[0] for each in found}
    pairs = [pair for load in loads for pair in load.windings() if judged.issuperset(pair)]
    found += _between(survey, [(min(pair), max(pair)) for pair in pairs], volts)
    found += _between(survey, _pairs_at_buses(survey, floating), volts)
    ends = np.array([each.ends for each in found], dtype=np.intp).reshape(-1, 2)
    return JudgedVoltages(
        ends=ends,
        names=tuple(each.name for each in found),
        base_kv=np.array([each.base_kv for each in found]),
        ground_base_kv=survey.base_kv[ends[:, 0]],
        neutrals=np.array([node for node in sorted(neutrals) if fed[node]], dtype=np.intp),
    )


def neutral_names(survey: Survey, loads: Sequence[SpotLoad], volts: Complexes) -> dict[str, str]:
    """Neutral conductor of each bus that has one, ``{"47": "47.4"}``; arguments as of `judged_voltages`."""
    of_buses = _of_buses(survey, _neutrals(survey, loads, volts))
    return {bus: survey.node_names[node] for bus, node in of_buses.items()}


def _of_buses(survey: Survey, neutrals: Iterable[int]) -> dict[str, int]:
    """Neutral of each bus, the first of several."""
    return {bus_of(survey.node_names[node]): node for node in sorted(neutrals, reverse=True)}


def _neutrals(survey: Survey, loads: Sequence[SpotLoad], volts: Complexes) -> set[int]:
    returns = {other for load in loads if not load.is_delta for _, other in load.windings()}
    low = np.abs(volts) < _NEUTRAL_PU * 1e3 * survey.base_kv
    zone = zones(survey.elements, len(survey.node_names))
    of_returns = {int(zone[node]) for node in returns if node and low[node]}
    return {
        node
        for node, name in enumerate(survey.node_names)
        if node and low[node] and (int(name.partition(".")[2]) > 3 or int(zone[node]) in of_returns)
    }


def _pairs_at_buses(survey: Survey, nodes: Sequence[int]) -> list[tuple[int, int]]:
    """All pairs of nodes that stand at one bus, at one voltage level."""
    at_bus: dict[tuple[str, float], list[int]] = {}
    for node in nodes:
        at_bus.setdefault((bus_of(survey.node_names[node]), float(survey.base_kv[node])), []).append(node)
    return [pair for mine in at_bus.values() for pair in combinations(mine, 2)]


def _between(survey: Survey, pairs: Iterable[tuple[int, int]], volts: Complexes) -> list[_Voltage]:
    """Voltages between two nodes, each once; those of a split phase count leg by leg."""
    found = []
    for one, other in dict.fromkeys(pairs):
        apart_deg = abs(np.degrees(np.angle(volts[one] * np.conj(volts[other]))))
        if apart_deg < _SPLIT_DEG:
            name = f"{survey.node_names[one]}-{survey.node_names[other].partition('.')[2]}"
            found.append(_Voltage((one, other), name, float(np.sqrt(3.0) * survey.base_kv[one])))
    return found
