"""Conductors whose currents are judged: of lines, and of every winding of transformers."""

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
    ratios = _winding_ratios(dss, element) if element.kind == "transformer" else [1.0]
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
                    row=terminal * width + conductor,
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


def _winding_ratios(dss: OpenDss, element: Element) -> list[float]:
    """Rated current of each winding, as part of the first one's."""
    dss.Transformers.Name(element.name.partition(".")[2])
    rated = []
    for winding in range(len(element.buses)):
        dss.Transformers.Wdg(winding + 1)
        rated.append(dss.Transformers.kVA() / dss.Transformers.kV())
    return [1.0, *(float(each / rated[0]) for each in np.array(rated[1:]))]


def made_up_rating(dss: OpenDss, described: dict[str, Any]) -> bool:
    """Whether OpenDSS made up the normal rating of the active transformer."""
    stated_kva, kva = float(dss.Properties.Value("normhkva")), float(dss.Properties.Value("kva"))
    is_usual = abs(stated_kva / kva - MADE_UP) < 1e-9 if kva else False
    return is_usual and ("NormHkVA" not in described or "XfmrCode" in described)
