"""Reads an OpenDSS circuit: its elements, loads, taps and coordinates.

Functions take an OpenDSS context and leave nothing behind but its active element, which no caller relies on.
"""

from typing import Any

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.attachment import SpotLoad
from cosim.feeder.powerflow.bases import node_bases
from cosim.feeder.powerflow.branches import MADE_UP, branches_of, made_up_rating, series_winding_rating_a
from cosim.feeder.powerflow.described import objects
from cosim.feeder.powerflow.engine import is_enabled
from cosim.feeder.powerflow.growth import growth_of_loads
from cosim.feeder.powerflow.primitives import primitive_of
from cosim.feeder.powerflow.topology import Element, Survey, bus_of

# OpenDSS's placeholder for a line whose description says nothing about its ampacity [A].
_PLACEHOLDER_A = 400.0


def survey_circuit(dss: OpenDss) -> Survey:
    """Read the elements, nodes and base voltages of a circuit.

    Parameters
    ----------
    dss
        An OpenDSS context that holds a circuit, solved at least once.

    Returns
    -------
    Survey
        What the circuit consists of.

    Raises
    ------
    FeederError
        A bus has no base voltage.
    """
    unrated = _lines_without_ampacity(dss)
    emergencies = _emergency_ratings(dss)
    offsets = _current_offsets(dss)
    transformers = {
        f"{kind}.{each['Name'].lower()}": each
        for kind in ("transformer", "autotrans")
        for each in objects(dss, kind)
    }
    elements = []
    for full_name in dss.Circuit.AllElementNames():
        name = full_name.lower()
        kind = name.partition(".")[0]
        if kind.endswith("control") or not is_enabled(dss, full_name) or primitive_of(dss, full_name) is None:
            continue
        rating_a = dss.CktElement.NormalAmps()
        rating_a = rating_a if rating_a > 0 and name not in unrated else np.inf
        if kind == "transformer" and made_up_rating(dss, transformers[name]):
            rating_a /= MADE_UP
        if kind == "autotrans":
            rating_a = series_winding_rating_a(dss, transformers[name])
        emergency_a = dss.CktElement.EmergAmps() if name in emergencies else rating_a
        if kind == "line":
            dss.Lines.Name(name.partition(".")[2])
        elements.append(
            Element(
                name=name,
                kind=kind,
                buses=tuple(bus_of(bus) for bus in dss.CktElement.BusNames()),
                nodes=np.array(dss.CktElement.NodeRef(), dtype=np.intp),
                phases=tuple(dss.CktElement.NodeOrder()[: dss.CktElement.NumPhases()]),
                numbers=tuple(dss.CktElement.NodeOrder()),
                rating_a=rating_a,
                is_switch=kind == "line" and dss.Lines.IsSwitch(),
                current_at=offsets.get(name, -1),
                emergency_a=max(emergency_a, rating_a),
            )
        )
    names = ("ground", *(name.lower() for name in dss.Circuit.YNodeOrder()))
    base, notes = node_bases(dss, elements, names)
    return Survey(
        elements=tuple(elements),
        node_names=names,
        base_kv=base,
        branches=tuple(branch for element in elements for branch in branches_of(dss, element, base)),
        notes=notes,
    )


def spot_loads(dss: OpenDss) -> tuple[SpotLoad, ...]:
    """Enabled loads of a circuit, at the load multiplier and in the year in force.

    Raises
    ------
    FeederError
        Two loads have one name: commands would reach the first of them alone.
    """
    growth = growth_of_loads(dss)
    loads = []
    names = dss.Loads.AllNames()
    if len(set(names)) < len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise FeederError(f"two loads are named '{double.lower()}'; give each load its own name")
    for name in names:
        dss.Loads.Name(name)
        if not dss.CktElement.Enabled():
            continue
        # Fixed and exempt loads grow from year to year, and know no multiplier.
        multiplier = dss.Solution.LoadMult() if dss.Loads.Status() == 0 else 1.0
        multiplier *= growth.get(name.lower(), 1.0)
        loads.append(
            SpotLoad(
                name=name.lower(),
                bus=bus_of(dss.CktElement.BusNames()[0]),
                nodes=np.array(dss.CktElement.NodeRef(), dtype=np.intp),
                phases=tuple(dss.CktElement.NodeOrder()[: dss.CktElement.NumPhases()]),
                is_delta=dss.Loads.IsDelta(),
                kw=multiplier * dss.Loads.kW(),
                kvar=multiplier * dss.Loads.kvar(),
            )
        )
    return tuple(loads)


def tap_positions(dss: OpenDss) -> dict[str, int]:
    """Present positions of the regulators, ``{regulator: steps}``."""
    found = {}
    for name in dss.RegControls.AllNames():
        dss.RegControls.Name(name)
        found[name.lower()] = int(dss.RegControls.TapNumber())
    return found


def bus_coordinates(dss: OpenDss) -> dict[str, tuple[float, float]]:
    """Coordinates that the circuit defines, ``{bus: (x, y)}``."""
    found = {}
    for bus in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(bus)
        if dss.Bus.Coorddefined():
            found[bus.lower()] = (dss.Bus.X(), dss.Bus.Y())
    return found


def _current_offsets(dss: OpenDss) -> dict[str, int]:
    if not dss.PDElements.Count():
        raise FeederError("the feeder has no line or transformer; check its master file")
    widths = np.multiply(dss.PDElements.AllNumConductors(), dss.PDElements.AllNumTerminals())
    starts = np.concatenate(([0], np.cumsum(widths)[:-1]))
    return {name.lower(): int(start) for name, start in zip(dss.PDElements.AllNames(), starts, strict=True)}


def _lines_without_ampacity(dss: OpenDss) -> set[str]:
    # A line repeats the placeholder as if it were its own when it names a code, so the code decides.
    rated = {code["Name"].lower() for code in objects(dss, "linecode") if "NormAmps" in code}
    unrated = set()
    for line in objects(dss, "line"):
        said = _states_ampacity(line) or ("LineCode" in line and line["LineCode"].lower() in rated)
        if line.get("NormAmps", _PLACEHOLDER_A) == _PLACEHOLDER_A and not said:
            unrated.add(f"line.{line['Name'].lower()}")
    return unrated


def _states_ampacity(line: dict[str, Any]) -> bool:
    # Properties come in the order in which they were set last; a code sets both ratings, the emergency last.
    order = list(line)
    if "LineCode" not in line or "EmergAmps" not in line:
        return "NormAmps" in line
    return "NormAmps" in line and order.index("NormAmps") > order.index("EmergAmps")


def _emergency_ratings(dss: OpenDss) -> set[str]:
    # OpenDSS makes up an emergency rating (600 A, 150 % of a transformer) where the description has none.
    codes = {code["Name"].lower() for code in objects(dss, "linecode") if "EmergAmps" in code}
    lines = {
        f"line.{line['Name'].lower()}"
        for line in objects(dss, "line")
        if (line["LineCode"].lower() in codes if "LineCode" in line else "EmergAmps" in line)
    }
    return lines | {
        f"transformer.{each['Name'].lower()}" for each in objects(dss, "transformer") if "EmergHkVA" in each
    }
