"""Loads of three phases in zones that nothing else ties to ground: they draw between the phases.

Behind a delta winding no current returns through ground. Where constant power is drawn from each phase to
ground there, nothing holds the voltages to ground, and one of them collapses, however small the power is.
"""

from collections.abc import Sequence
from dataclasses import replace

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes
from cosim.feeder.powerflow.attachment import SpotLoad
from cosim.feeder.powerflow.engine import command
from cosim.feeder.powerflow.notes import listed
from cosim.feeder.powerflow.topology import Survey, tied_nodes

_PHASES = 3


def draw_between_phases(
    dss: OpenDss, survey: Survey, primitives: Sequence[Complexes], loads: Sequence[SpotLoad]
) -> tuple[str, ...]:
    """Connect loads of three phases in delta where nothing but loads ties their zone to ground.

    Parameters
    ----------
    dss
        Context with a circuit.
    survey, primitives
        The circuit, and the admittances of its elements.
    loads
        Its loads.

    Returns
    -------
    tuple of str
        A sentence that names them, where there are any.
    """
    others = [at for at, element in enumerate(survey.elements) if element.kind != "load"]
    tied = tied_nodes(
        replace(survey, elements=tuple(survey.elements[at] for at in others)),
        [primitives[at] for at in others],
    )
    found = [
        load.name
        for load in loads
        if not load.is_delta
        and len(load.phases) == _PHASES
        and not load.nodes[-1]
        and not tied[load.nodes[:-1]].any()
    ]
    for name in found:
        command(dss, f"edit load.{name} conn=delta")
    if not found:
        return ()
    where = "in wye where nothing ties the zone to ground"
    return (f"{listed('load', found)} {where}: in delta, for no current returns through ground there",)
