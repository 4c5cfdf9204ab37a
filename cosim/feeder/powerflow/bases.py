"""Base voltages of nodes: OpenDSS gives each bus one, and is mended where windings say otherwise.

OpenDSS takes the nearest of the listed bases to what a bus's first node has to ground without load. Where
nothing ties a zone to ground that is anything, and a bus may hold nodes of several levels, as that of an
autotransformer does. There the rated voltage of a winding decides.
"""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError, Floats
from cosim.feeder.powerflow.engine import command
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.topology import Element, bus_of, couplings, is_series

_ROOT_3 = float(np.sqrt(3.0))
# A base this far from what windings in its zone are rated for is wrong; a listed base this near is theirs.
_FAR, _NEAR = 0.25, 0.1


def node_bases(
    dss: OpenDss, elements: Sequence[Element], node_names: Sequence[str]
) -> tuple[Floats, tuple[str, ...]]:
    """Base voltages to ground of all nodes, ground's being 1 ``(N,)`` [kV], and what is said of them.

    Parameters
    ----------
    dss
        Context with a circuit, solved at least once.
    elements, node_names
        The circuit's elements and nodes, ground first.

    Raises
    ------
    FeederError
        A bus has no base voltage.
    """
    of_bus = _bases_of_buses(dss, {bus_of(name) for name in node_names[1:]})
    base = np.array([1.0, *(of_bus[bus_of(name)] for name in node_names[1:])])
    zone = zones(elements, len(node_names))
    listed = np.array(_listed_bases(dss))
    levels: dict[int, set[float]] = {}
    for element in elements:
        for node, kv in rated_kv_to_ground(dss, element, base):
            levels.setdefault(int(zone[node]), set()).add(_level(kv, listed))
    found: dict[str, str] = {}
    for number, level in levels.items():
        if len(level) != 1:
            continue  # several levels: what is there can only be taken as it is
        kv = level.pop()
        for node in np.flatnonzero((zone == number) & (np.abs(kv / base - 1.0) > _FAR)).tolist():
            bus = bus_of(node_names[node])
            found.setdefault(bus, f"{bus} {_ROOT_3 * kv:.4g} kV, not {_ROOT_3 * base[node]:.4g} kV")
            base[node] = kv
    if not found:
        return base, ()
    buses = ", ".join(list(found.values())[:5]) + (", ..." if len(found) > 5 else "")
    return base, (f"base voltages between phases by the windings there, not by calcvoltagebases: {buses}",)


def off_by_root_3(
    dss: OpenDss, elements: Sequence[Element], node_names: Sequence[str], base_kv: Floats
) -> NDArray[np.bool_]:
    """Which nodes have a base that is off by the square root of 3 ``(N,)``, by what is rated in their zones.

    Sources and transformers' windings are held against bases ``(N,)`` [kV]: a voltage may be off by as much
    for many reasons.
    """
    zone = zones(elements, len(node_names))
    wrong: set[int] = set()
    for element in elements:
        rated = [*rated_kv_to_ground(dss, element, base_kv), *_source_kv_to_ground(dss, element)]
        for node, kv in rated:
            off = kv / base_kv[node]
            if min(abs(off / _ROOT_3 - 1.0), abs(off * _ROOT_3 - 1.0)) < _NEAR:
                wrong.add(int(zone[node]))
    return np.isin(zone, sorted(wrong)) & (np.arange(len(zone)) > 0)


def rated_at(
    dss: OpenDss, elements: Sequence[Element], node_names: Sequence[str], base_kv: Floats, node: int
) -> list[tuple[str, float]]:
    """Sources and transformers in the zone of a node, and what they are rated for to ground there [kV]."""
    zone = zones(elements, len(node_names))
    found: dict[str, float] = {}
    for element in elements:
        for at, kv in [*rated_kv_to_ground(dss, element, base_kv), *_source_kv_to_ground(dss, element)]:
            if zone[at] == zone[node]:
                found.setdefault(element.name, kv)
    return list(found.items())


def _source_kv_to_ground(dss: OpenDss, element: Element) -> list[tuple[int, float]]:
    """Nodes at a voltage source to ground, and its rated voltage there [kV]; none for anything else."""
    live = element.nodes[: len(element.phases)]
    if element.kind != "vsource" or len(element.phases) == 2 or (element.nodes[len(live) :] > 0).any():
        return []
    dss.Vsources.Name(element.name.partition(".")[2])
    kv = dss.Vsources.BasekV() / (_ROOT_3 if len(live) > 1 else 1.0)
    return [(node, kv) for node in live[live > 0].tolist()]


def _level(kv: float, listed: Floats) -> float:
    """The listed base that a rated voltage stands for, else the rated voltage itself [kV]."""
    off = np.abs(kv / listed - 1.0)
    return float(listed[off.argmin()]) if off.min(initial=np.inf) < _NEAR else round(kv, 9)


def rated_kv_to_ground(dss: OpenDss, element: Element, base_kv: Floats) -> list[tuple[int, float]]:
    """Nodes at each winding of a transformer, and what its rated voltage means to ground [kV]; else none.

    A winding of one phase between two conductors may stand between two of three phases, a phase and its
    neutral or the legs of a split phase; it means what suits the present bases ``(N,)`` [kV].
    """
    found = []
    width = len(element.nodes) // len(element.buses)
    for winding, (kv, is_delta) in enumerate(_windings(dss, element)):
        nodes = element.nodes[winding * width :][:width]
        if element.kind == "autotrans":
            nodes = nodes[: len(element.phases)]  # its series winding ends at the nodes of the next one
        live = nodes[nodes > 0].tolist()
        if len(element.phases) > 1:
            meanings = [kv / _ROOT_3]
        elif len(live) < 2:
            meanings = [kv]
        elif is_delta:
            meanings = [kv / _ROOT_3, kv, kv / 2]
        else:
            continue  # a series winding is rated for the difference of two levels
        found += [(node, _meant(meanings, float(base_kv[node]))) for node in live]
    return found


def _meant(meanings: list[float], base_kv: float) -> float:
    """The first meaning that suits a base, else the first of all."""
    return next((kv for kv in meanings if abs(kv / base_kv - 1.0) <= _FAR), meanings[0])


def _windings(dss: OpenDss, element: Element) -> list[tuple[float, bool]]:
    """Rated voltage of each winding [kV], and whether it is in delta."""
    if element.kind == "transformer":
        dss.Transformers.Name(element.name.partition(".")[2])
        found = []
        for number in range(len(element.buses)):
            dss.Transformers.Wdg(number + 1)
            found.append((dss.Transformers.kV(), dss.Transformers.IsDelta()))
        return found
    if element.kind == "autotrans":
        dss.Circuit.SetActiveElement(element.name)
        rated = re.findall(r"[\d.eE+-]+", dss.Properties.Value("kvs"))
        return [(float(kv), False) for kv in rated[: len(element.buses)]]
    return []


def zones(elements: Sequence[Element], size: int) -> Ints:
    """Number of the zone of each node ``(N,)``: what conductors join, without transformers."""
    pairs = [np.zeros((2, 0), dtype=np.intp)]
    pairs += [element.nodes[np.array(couplings(element))] for element in elements if is_series(element)]
    joined = np.concatenate(pairs, axis=1)
    joined = joined[:, (joined > 0).all(axis=0)]
    graph = sparse.coo_array((np.ones(joined.shape[1]), joined), shape=(size, size))
    return np.asarray(sparse.csgraph.connected_components(graph, directed=False)[1], dtype=np.intp)


def _listed_bases(dss: OpenDss) -> list[float]:
    """Base voltages to ground that the circuit's description lists [kV]."""
    command(dss, "get voltagebases")
    return [float(each) / _ROOT_3 for each in re.findall(r"[\d.eE+-]+", dss.Text.Result()) if float(each) > 0]


def _bases_of_buses(dss: OpenDss, buses: set[str]) -> dict[str, float]:
    base_kv = {}
    for bus in sorted(buses):
        dss.Circuit.SetActiveBus(bus)
        base_kv[bus] = dss.Bus.kVBase()
        if not base_kv[bus] > 0:
            if not np.isfinite(dss.Bus.Voltages()).all():
                raise FeederError(
                    f"bus '{bus}' has no voltage that is a number in the file's own solution, and so no base "
                    "voltage; look for a value that is no number, and for what nothing ties to a source"
                )
            raise FeederError(
                f"bus '{bus}' has no base voltage; "
                "end the feeder's file with 'set voltagebases=[...]' and 'calcvoltagebases'"
            )
    return base_kv
