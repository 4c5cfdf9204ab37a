"""Limits of a feeder as a scenario sets them: voltages by class of node, normal or emergency ratings."""

import numpy as np

from cosim.feeder.circuit import AcState, FeederLayout
from cosim.feeder.exposure import beyond
from cosim.feeder.linear import Limits
from cosim.scenario.sections import FeederSection


def limits_of(section: FeederSection, layout: FeederLayout) -> Limits:
    """Voltage limits of every node and current limits of every branch conductor.

    Parameters
    ----------
    section
        What the scenario says of the feeder.
    layout
        The feeder's nodes and ratings.
    """
    lower = np.full(len(layout.nodes), section.voltage_min_pu)
    upper = np.full(len(layout.nodes), section.voltage_max_pu)
    # The lowest class that holds a node is the last to speak.
    for each in sorted(section.voltage_classes, key=lambda each: -each.up_to_kv):
        mine = layout.node_base_kv <= each.up_to_kv * (1.0 + 1e-9)
        lower[mine], upper[mine] = each.min_pu, each.max_pu
    rating_a = layout.rating_a if section.rating == "normal" else layout.emergency_a
    return Limits(
        voltage_min_pu=lower,
        voltage_max_pu=upper,
        rating_a=rating_a * section.rating_factor
        if section.current_limits
        else np.full_like(layout.rating_a, np.inf),
    )


def beyond_at_start(state: AcState, limits: Limits) -> list[str]:
    """A sentence on voltages that a feeder breaks already at its own loads; none where it keeps them."""
    under, over, _ = beyond(state, limits)
    broken = np.flatnonzero((under > 0) | (over > 0))
    if not broken.size:
        return []
    worst = int(np.argmax(under + over))
    count = f"{broken.size:,} of {len(state.nodes):,}"
    where = f"{state.v_pu[worst]:.4f} pu at {state.nodes[worst]}"
    beyond_them = f"{count} node voltages are beyond their limits, worst {where}"
    return [f"at its own loads {beyond_them}: dispatches may be impossible to confirm"]
