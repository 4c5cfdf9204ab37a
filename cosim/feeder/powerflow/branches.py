"""Conductors whose currents are judged: of lines, and of every winding of transformers."""

import math
import re
from typing import Any

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Floats
from cosim.feeder.powerflow.topology import BRANCH_KINDS, Branch, Element

MADE_UP = 1.1
"""Normal rating, over the rated power, that OpenDSS gives a transformer whose description has none."""


def branches_of(dss: OpenDss, element: Element, base_kv: Floats) -> list[Branch]:
    """Branches of one element, at its first terminal and at each further winding.

    Parameters
    ----------
    dss, element
        The context and an element of its circuit.
    base_kv
        Base voltages of the nodes to ground ``(N,)`` [kV].
    """
    if element.kind not in BRANCH_KINDS:
        return []
    width = len(element.nodes) // len(element.buses)
    ratios = _ratios(dss, element)
    found = []
    for terminal, ratio in enumerate(ratios):
        nodes = element.nodes[terminal * width :][:width]
        live = nodes[nodes > 0]
        kv = float(base_kv[live].max(initial=0.0)) or 1.0
        winding = f".wdg{terminal + 1}" if terminal else ""
        for conductor, label in enumerate(_labels(element, terminal)):
            found.append(
                Branch(
                    name=f"{element.name}{winding}.{label}",
                    element=element,
                    row=terminal * width + conductor + _neutral_end(element, terminal),
                    base_kv=kv,
                    rating_a=element.rating_a * ratio,
                    emergency_a=element.emergency_a * ratio,
                )
            )
    return found


def _labels(element: Element, terminal: int) -> list[int]:
    """Unique numbers of the conductors: their phases there, else those at the far end, else 1, 2, ..."""
    count = len(element.phases)
    width = len(element.nodes) // len(element.buses)
    numbers = [
        element.numbers[at * width :][:width] for at in (terminal, (terminal + 1) % len(element.buses))
    ]
    if count == 1:
        return [next((number for number in numbers[0] if number), 1)]
    for each in numbers:
        own = list(each[:count])
        if all(own) and len(set(own)) == count:
            return own
    return list(range(1, count + 1))


def _ratios(dss: OpenDss, element: Element) -> list[float]:
    """Rated current at each winding, as part of the first one's."""
    match element.kind:
        case "transformer":
            return _winding_ratios(dss, element)
        case "autotrans":
            return _autotransformer_ratios(dss, element)
        case _:
            return [1.0]


def _neutral_end(element: Element, terminal: int) -> int:
    """Offset of the conductors that carry a winding's current alone.

    At the second terminal of an autotransformer the current of its series winding leaves, too; only at the
    neutral end is that of the common winding.
    """
    return len(element.phases) if element.kind == "autotrans" and terminal == 1 else 0


def _autotransformer_ratios(dss: OpenDss, element: Element) -> list[float]:
    """The common winding, second, carries the difference of the currents at both voltages."""
    dss.Circuit.SetActiveElement(element.name)
    rated = np.array(_numbers(dss, "kvas")) / np.array(_numbers(dss, "kvs"))
    common = abs(rated[1] - rated[0])
    return [1.0, float(common / rated[0]) if common else np.inf, *(rated[2:] / rated[0]).tolist()]


def series_winding_rating_a(dss: OpenDss, described: dict[str, Any]) -> float:
    """Normal rating of the active autotransformer at its first terminal [A].

    Its power is that from the first to the second terminal, at the voltage of the first. OpenDSS's own figure
    divides it by the difference of both voltages.
    """
    kv, kva = _numbers(dss, "kvs")[0], _numbers(dss, "kvas")[0]
    if not made_up_rating(dss, described):
        kva = _numbers(dss, "normhkva")[0]
    return kva / kv / (math.sqrt(3.0) if dss.CktElement.NumPhases() > 1 else 1.0)


def _numbers(dss: OpenDss, key: str) -> list[float]:
    """Numbers of a property of the active element."""
    return [float(each) for each in re.findall(r"[\d.eE+-]+", dss.Properties.Value(key))]


def _winding_ratios(dss: OpenDss, element: Element) -> list[float]:
    dss.Transformers.Name(element.name.partition(".")[2])
    rated = []
    for winding in range(len(element.buses)):
        dss.Transformers.Wdg(winding + 1)
        rated.append(dss.Transformers.kVA() / dss.Transformers.kV())
    return [1.0, *(float(each / rated[0]) for each in np.array(rated[1:]))]


def made_up_rating(dss: OpenDss, described: dict[str, Any]) -> bool:
    """Whether OpenDSS made up the normal rating of the active transformer."""
    # Property kva is that of the winding which the description named last.
    stated_kva, kva = _numbers(dss, "normhkva")[0], _numbers(dss, "kvas")[0]
    is_usual = abs(stated_kva / kva - MADE_UP) < 1e-9 if kva else False
    return is_usual and ("NormHkVA" not in described or "XfmrCode" in described)
