"""What a feeder's description holds and what looks wrong in it, before anybody relies on it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError, Floats
from cosim.feeder.powerflow.bases import off_by_root_3, rated_kv_to_ground, zones
from cosim.feeder.powerflow.described import objects
from cosim.feeder.powerflow.engine import command, is_enabled, restless_node, solution_vector, translated
from cosim.feeder.powerflow.generation import KINDS
from cosim.feeder.powerflow.notes import listed
from cosim.feeder.powerflow.opening import OpenCircuit, choose_tolerance, rated_kv
from cosim.feeder.powerflow.primitives import read_primitives
from cosim.feeder.powerflow.survey import bus_coordinates, spot_loads, survey_circuit, tap_positions
from cosim.feeder.powerflow.topology import Survey, bus_of, tied_nodes
from cosim.feeder.powerflow.voltages import judged_voltages

_DEAD_PU = 0.05
_ROOT_3 = float(np.sqrt(3.0))
_NAMED = 5


@dataclass(frozen=True)
class Inspection:
    """What a feeder is, ``{what: how many or how much}``, and sentences on what looks wrong."""

    facts: Mapping[str, str]
    suspicious: tuple[str, ...]


@translated(FeederError, "feeder")
def inspect(opened: OpenCircuit, voltage_min_pu: float, voltage_max_pu: float) -> Inspection:
    """Look at a feeder as its description has it, without LAMs; it stays as it is.

    Parameters
    ----------
    opened
        A circuit that nobody changed yet.
    voltage_min_pu, voltage_max_pu
        Limits that its own solution is held against [pu].

    Raises
    ------
    FeederError
        A bus has no base voltage.
    """
    dss = opened.dss
    command(dss, "set controlmode=off")
    converged = choose_tolerance(dss)
    survey = survey_circuit(dss)
    facts = _facts(dss, survey)
    suspicious = list(_doubts(dss, survey))
    if not opened.is_shipped and not bus_coordinates(dss):
        suspicious.append("no bus has coordinates: the report draws no map")
    if converged:
        names, v_pu, misbased = seen_by_customers(dss, survey)
        alive = v_pu[v_pu > _DEAD_PU]
        extremes = f"{alive.min():.4f} to {alive.max():.4f} pu" if alive.size else "no voltage anywhere"
        source_kw, losses_kw = -dss.Circuit.TotalPower()[0], dss.Circuit.Losses()[0] / 1e3
        facts["its own solution"] = (
            f"{source_kw:,.1f} kW from the source, {losses_kw:,.1f} kW losses, {extremes}"
        )
        suspicious += _sources(dss, voltage_min_pu, voltage_max_pu)
        suspicious += _voltages(names, v_pu, misbased, voltage_min_pu, voltage_max_pu)
        suspicious += _overloads(dss, survey)
    else:
        facts["its own solution"] = "none: the power flow does not converge"
        suspicious.insert(
            0, f"the power flow does not converge at the feeder's own loads: {restless_node(dss)}"
        )
    return Inspection(facts, tuple(suspicious))


def _facts(dss: OpenDss, survey: Survey) -> dict[str, str]:
    kinds = Counter(element.kind for element in survey.elements)
    switches = sum(element.is_switch for element in survey.elements)
    base_kv = Counter(
        f"{_ROOT_3 * kv:.4g}"
        for _, kv in {
            (name.partition(".")[0], kv)
            for name, kv in zip(survey.node_names[1:], survey.base_kv[1:].tolist(), strict=True)
        }
    )
    loads = spot_loads(dss)
    phases = Counter(("delta" if load.is_delta else "wye", len(load.phases)) for load in loads)
    taps = tap_positions(dss)
    controlled = len(set(_controlled(dss)))
    facts = {
        "buses, nodes": f"{dss.Circuit.NumBuses():,}, {dss.Circuit.NumNodes():,}",
        "base voltages": ", ".join(
            f"{kv} kV ({count} bus{'es' if count > 1 else ''})"
            for kv, count in sorted(base_kv.items(), key=lambda item: -float(item[0]))
        ),
        "lines": f"{kinds['line']:,}, {switches} of them switches",
        "transformers": f"{kinds['transformer'] + kinds['autotrans']:,}",
        "regulators": f"{len(taps)}" + (f" at taps {', '.join(map(str, taps.values()))}" if taps else ""),
        "capacitors": f"{kinds['capacitor']}, {controlled} of them switched by a control",
        "loads": f"{len(loads):,} at {len({load.bus for load in loads}):,} buses: "
        f"{sum(load.kw for load in loads):,.1f} kW, {sum(load.kvar for load in loads):,.1f} kvar",
        "connections": ", ".join(
            f"{count:,} in {conn} of {number} phase{'s' if number > 1 else ''}"
            for (conn, number), count in sorted(phases.items())
        ),
    }
    generation = [f"{kinds[kind]} {kind}{'s' if kinds[kind] > 1 else ''}" for kind in KINDS if kinds[kind]]
    if generation:
        facts["generation"] = ", ".join(generation)
    rated = sum(np.isfinite(branch.rating_a) for branch in survey.branches)
    facts["ratings"] = f"{rated:,} of {len(survey.branches):,} conductors of lines and transformers"
    return facts


def _doubts(dss: OpenDss, survey: Survey) -> Iterator[str]:
    base_kv = survey.base_kv
    unrated = [
        element.name for element in survey.elements if element.kind == "line" and np.isinf(element.rating_a)
    ]
    if unrated:
        yield f"{listed('line', unrated)} without rating: the current there is never limited"
    loads = spot_loads(dss)
    odd = {}
    doubtful = off_by_root_3(dss, survey.elements, survey.node_names, base_kv)
    # The base of a bus without voltage means nothing.
    doubtful |= ~(np.abs(solution_vector(dss)) > 1e3 * _DEAD_PU * base_kv)
    for load in loads:
        if doubtful[load.nodes[0]]:
            continue
        dss.Loads.Name(load.name)
        own_kv = dss.Loads.kV()
        bus_kv = rated_kv(load, base_kv, own_kv)
        if abs(own_kv / bus_kv - 1.0) > 0.25:
            drawn = f"draws {_kw(dss, f'load.{load.name}'):,.4g} of {load.kw:,.4g} kW"
            odd[load.name] = f"{load.name}, rated {own_kv:.4g} kV at {bus_kv:.4g} kV, {drawn}"
    if odd:
        yield (
            f"{listed('load', odd)} rated for another voltage than the bus has: in the file's own solution "
            f"{_some(odd.values())}; in the market all of it. Correct kv or bus"
        )
    yield from _odd_generation(dss, base_kv)
    nothing = [load.name for load in loads if load.kw == 0 and load.kvar == 0]
    if nothing:
        yield f"{listed('load', nothing)} drawing nothing"
    models = Counter(str(load.get("Model", 1)) for load in objects(dss, "load"))
    others = sum(count for model, count in models.items() if model not in ("1", "PQ", "Constant PQ"))
    if others:
        yield f"{others} loads that vary with voltage; in the market all draw constant power"
    yield from _misbased(dss, survey)


def _odd_generation(dss: OpenDss, base_kv: Floats) -> Iterator[str]:
    """Generation whose stated or default ``kv`` is far from its bus's, where it is an impedance."""
    for kind in KINDS:
        odd = {}
        for each in objects(dss, kind):
            dss.Circuit.SetActiveElement(f"{kind}.{each['Name']}")
            if not dss.CktElement.Enabled():
                continue
            nodes, rated = dss.CktElement.NodeRef(), float(dss.Properties.Value("kv"))
            meanings = float(base_kv[nodes[0]]) * np.array([1.0, 2.0, _ROOT_3])
            if np.abs(rated / meanings - 1.0).min() > 0.25:
                name = each["Name"].lower()
                delivers = f"delivers {-_kw(dss, f'{kind}.{name}'):,.4g} kW"
                odd[name] = f"{name}, rated {rated:.4g} kV at {meanings[2]:.4g} kV between phases, {delivers}"
        if odd:
            yield (
                f"{listed(kind, odd)} rated for another voltage than the bus has: in the file's own solution "
                f"{_some(odd.values())}, which it keeps in the market. State its kv"
            )


def _kw(dss: OpenDss, name: str) -> float:
    """What an element draws in the present solution [kW]."""
    dss.Circuit.SetActiveElement(name)
    return float(sum(dss.CktElement.Powers()[::2]))


def _some(sentences: Iterable[str]) -> str:
    every = list(sentences)
    more = f"; and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return "; ".join(every[:_NAMED]) + more


def _misbased(dss: OpenDss, survey: Survey) -> Iterator[str]:
    """Buses whose base voltage is not that of a transformer winding there, the first few."""
    base_kv, zone = survey.base_kv, zones(survey.elements, len(survey.node_names))
    suits: dict[int, str] = {}
    others: list[tuple[str, int, float]] = []
    for element in survey.elements:
        for node, kv in rated_kv_to_ground(dss, element, base_kv):
            if abs(kv / base_kv[node] - 1.0) > 0.25:
                others.append((element.name, node, kv))
            else:
                suits.setdefault(int(zone[node]), element.name)
    found: dict[str, str] = {}
    for name, node, kv in others:
        bus, right = bus_of(survey.node_names[node]), suits.get(int(zone[node]))
        base = f"bus {bus} has a base of {_ROOT_3 * base_kv[node]:.4g} kV between phases"
        if right is None:
            found[bus] = f"{base}, {name} {_ROOT_3 * kv:.4g} kV there: complete 'set voltagebases'"
        else:
            found[bus] = f"{base}, as {right} has, and {name} {_ROOT_3 * kv:.4g} kV: correct its kv or bus"
    yield from list(found.values())[:_NAMED]


def seen_by_customers(dss: OpenDss, survey: Survey) -> tuple[NDArray[np.str_], Floats, NDArray[np.bool_]]:
    """Names and values [pu] of the voltages that are judged in the loop, dead ones among them.

    The last tells which have a base that is off by the square root of 3.
    """
    anything = np.arange(len(survey.node_names)) > 0
    tied, volts = tied_nodes(survey, read_primitives(dss, survey.elements)), solution_vector(dss)
    judged = judged_voltages(survey, anything, tied, spot_loads(dss), volts)
    wrong = off_by_root_3(dss, survey.elements, survey.node_names, survey.base_kv)
    v_pu = np.abs(judged.of(volts)) / (1e3 * judged.base_kv)
    return np.array(judged.names), v_pu, np.asarray(wrong[judged.ends].any(axis=1))


def _sources(dss: OpenDss, lower: float, upper: float) -> Iterator[str]:
    """Sources that stand outside the limits by their own setting."""
    for name in dss.Vsources.AllNames():
        dss.Vsources.Name(name)
        if is_enabled(dss, f"vsource.{name}") and not lower <= dss.Vsources.PU() <= upper:
            yield f"vsource.{name} is set to {dss.Vsources.PU():g} pu of its basekv"


def _voltages(
    names: NDArray[np.str_], v_pu: Floats, misbased: NDArray[np.bool_], lower: float, upper: float
) -> list[str]:
    found = []
    dead = np.flatnonzero(~(v_pu > _DEAD_PU))
    if dead.size:
        found.append(f"{listed('node', names[dead], whole=True)} without voltage")
    is_off = (np.abs(v_pu / _ROOT_3 - 1) < 0.1) | (np.abs(v_pu * _ROOT_3 - 1) < 0.1)
    base = np.flatnonzero(is_off & misbased)
    if base.size:
        found.append(
            f"{listed('node', names[base], whole=True)} off by the square root of 3: give 'set voltagebases' "
            "voltages between phases, also where there is one phase"
        )
    outside = np.flatnonzero((v_pu > _DEAD_PU) & ((v_pu < lower) | (v_pu > upper)))
    if outside.size:
        worst = outside[np.argmax(np.maximum(lower - v_pu[outside], v_pu[outside] - upper))]
        found.append(
            f"{outside.size:,} of {v_pu.size:,} node voltages outside {lower:g} to {upper:g} pu in its own "
            f"solution, worst {v_pu[worst]:.4f} pu at {names[worst]}"
        )
    return found


def _overloads(dss: OpenDss, survey: Survey) -> list[str]:
    amps = np.abs(np.array(dss.PDElements.AllCurrents()).view(np.complex128))
    loading = np.array([amps[branch.current_at] / branch.rating_a for branch in survey.branches])
    over = np.flatnonzero(loading > 1.0)
    if not over.size:
        return []
    worst = over[np.argmax(loading[over])]
    where = f"{survey.branches[worst].name} at {100 * loading[worst]:.0f} %"
    return [
        f"{over.size} of {loading.size:,} conductors above their rating in its own solution, worst {where}"
    ]


def _controlled(dss: OpenDss) -> Iterator[str]:
    for name in dss.CapControls.AllNames():
        dss.CapControls.Name(name)
        yield dss.CapControls.Capacitor().lower()
