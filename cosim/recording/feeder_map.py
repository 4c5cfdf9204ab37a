"""The drawing of a world's feeder, for the report."""

from __future__ import annotations

from cosim.results.directory import FeederMap
from cosim.world.world import World


def feeder_map(world: World) -> FeederMap:
    """Drawing of the world's feeder, for the report."""
    layout = world.layout
    return FeederMap(
        buses=dict(layout.coordinates),
        segments=[(segment.from_bus, segment.to_bus) for segment in layout.segments],
        lams=list(layout.lam_bus),
        base_kv=dict(zip(layout.nodes, layout.across_kv.tolist(), strict=True)),
    )
