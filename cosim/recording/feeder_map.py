"""The drawing of a world's feeder, for the report and for observers."""

from __future__ import annotations

import numpy as np

from broker.messages import FeederMap
from cosim.world.world import World


def feeder_map(world: World) -> FeederMap:
    """Drawing of the world's feeder, for the report and for observers."""
    layout, limits = world.layout, world.limits
    lower, upper = (
        np.broadcast_to(each, len(layout.nodes)).tolist()
        for each in (limits.voltage_min_pu, limits.voltage_max_pu)
    )
    return FeederMap(
        buses=dict(layout.coordinates),
        segments=[(segment.from_bus, segment.to_bus) for segment in layout.segments],
        lams=list(layout.lam_bus),
        base_kv=dict(zip(layout.nodes, layout.across_kv.tolist(), strict=True)),
        name=layout.name,
        elements=[segment.element for segment in layout.segments],
        # OpenDSS numbers nodes from the source on.
        source=layout.nodes[0].partition(".")[0] if layout.nodes else "",
        limits_pu=list(zip(lower, upper, strict=True)),
        branches=list(layout.branches),
    )
