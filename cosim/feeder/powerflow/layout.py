"""Gathers the unchanging facts of a feeder from its circuit and its LAMs."""

from collections.abc import Mapping, Sequence

import numpy as np

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.powerflow.lam_circuit import LamCircuit
from cosim.feeder.powerflow.topology import bus_of, segments

_BY_DIFFERENCES = "its derivatives are taken by differences, four power flows for each LAM: slow with many"


def layout_of(
    name: str,
    circuit: LamCircuit,
    regulators: Sequence[str],
    coordinates: Mapping[str, tuple[float, float]],
    *,
    exact_derivatives: bool,
    digest: str,
) -> FeederLayout:
    """Gather a feeder's layout.

    Parameters
    ----------
    name
        Name of the feeder, for people.
    circuit
        The circuit and its LAMs.
    regulators, coordinates
        Names of the regulators and bus coordinates for the map.
    exact_derivatives
        Whether derivatives come from the admittance matrix (or from differences).
    digest
        Hash of all files that describe the feeder.

    Returns
    -------
    FeederLayout
        The facts, with counts for the report.
    """
    survey, voltages = circuit.survey, circuit.voltages
    sites, loads, attachment = circuit.sites, circuit.loads, circuit.attachment
    nodes = voltages.names
    lam_nodes = tuple(
        tuple(sorted({place for k in members for place in voltages.seen_by(loads[k])}))
        for members in attachment.members
    )
    kinds = [branch.element.kind for branch in survey.branches if branch.row == 0]
    return FeederLayout(
        name=name,
        digest=digest,
        lams=tuple(site.name for site in sites),
        lam_bus=tuple(site.bus for site in sites),
        lam_phases=tuple(voltages.phases(mine) for mine in lam_nodes),
        lam_nodes=lam_nodes,
        spot_kw=attachment.spot_kw,
        tan_phi=attachment.tan_phi,
        nodes=nodes,
        node_base_kv=voltages.ground_base_kv,
        branches=tuple(branch.name for branch in survey.branches),
        rating_a=np.array([branch.rating_a for branch in survey.branches]),
        emergency_a=np.array([branch.emergency_a for branch in survey.branches]),
        branch_base_kv=np.array([branch.base_kv for branch in survey.branches]),
        regulators=tuple(regulators),
        coordinates=coordinates,
        notes=circuit.notes + (() if exact_derivatives else (_BY_DIFFERENCES,)),
        segments=segments(survey),
        capacitors=tuple(
            element.name.partition(".")[2] for element in survey.elements if element.kind == "capacitor"
        ),
        switches=tuple(element.name.partition(".")[2] for element in survey.elements if element.is_switch),
        across_kv=voltages.base_kv,
        three_phase=voltages.three_phase(),
        neutrals=tuple(survey.node_names[node] for node in voltages.neutrals),
        generators=tuple(held.name for held in circuit.generation),
        description={
            "feeder": name,
            "buses": len({bus_of(node) for node in nodes}),
            "nodes": len(nodes),
            "lams": len(sites),
            "lines": kinds.count("line"),
            "transformers": len(kinds) - kinds.count("line"),
            "regulators": len(regulators),
            "spot_kw": float(attachment.spot_kw.sum()),
            "derivatives": "admittance" if exact_derivatives else "differences",
        },
    )
