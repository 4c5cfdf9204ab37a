"""Why a voltage that a power flow found cannot be one of operation: what its description has wrong."""

from itertools import combinations

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes
from cosim.feeder.powerflow.bases import off_by_root_3, rated_at
from cosim.feeder.powerflow.factors import Ints
from cosim.feeder.powerflow.topology import Survey, bus_of

_ROOT_3_WITHIN, _FAR = 0.1, 0.25
# Three phases whose voltages to ground differ by more, and those between them by less, have no grounded star.
_TO_GROUND, _BETWEEN = 1.3, 1.15


def base_of_another_level(dss: OpenDss, survey: Survey, ends: Ints, v_pu: float) -> str | None:
    """What is wrong with the base of a voltage between two nodes, if sources and windings there show it."""
    if min(abs(v_pu * np.sqrt(3.0) - 1.0), abs(v_pu / np.sqrt(3.0) - 1.0)) < _ROOT_3_WITHIN:
        wrong = off_by_root_3(dss, survey.elements, survey.node_names, survey.base_kv)
        if wrong[ends].any():
            return (
                "its base voltage is off by the square root of 3: give 'set voltagebases' voltages "
                "between phases, also where there is one phase"
            )
    base_kv = float(survey.base_kv[ends[0]])
    for name, kv in rated_at(dss, survey.elements, survey.node_names, survey.base_kv, int(ends[0])):
        if abs(kv / base_kv - 1.0) > _FAR and abs(v_pu * base_kv / kv - 1.0) < _FAR:
            is_kv, rated_kv = np.sqrt(3.0) * base_kv, np.sqrt(3.0) * kv
            return (
                f"its base voltage is {is_kv:.4g} kV between phases, and {name} is rated for {rated_kv:.4g} "
                "kV there: complete 'set voltagebases'"
            )
    return None


def lopsided(survey: Survey, ends: Ints, volts: Complexes) -> str | None:
    """Whether three phases stand about no grounded star, given node voltages ``(N,)`` [V]; in words."""
    bus = bus_of(survey.node_names[ends[0]])
    phases = {f"{bus}.{phase}" for phase in (1, 2, 3)}
    nodes = [node for node, name in enumerate(survey.node_names) if name in phases]
    # Of a delta with a grounded corner two phases are left, and ground is the third.
    corners = nodes if len(nodes) > 2 else [*nodes, 0]
    between = np.array([abs(volts[one] - volts[other]) for one, other in combinations(corners, 2)])
    ground = np.abs(volts[corners])
    if len(corners) < 3 or not 0.0 < between.max() < _BETWEEN * between.min():
        return None
    if ground.max() < _TO_GROUND * ground.min():
        return None
    return (
        f"the phases of bus {bus} are alike between each other and not to ground: a delta that is grounded "
        "at a corner or at the middle of a side, or a star whose neutral nothing grounds; ground a star's "
        "neutral there, or leave the side without ground"
    )
