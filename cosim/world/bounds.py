"""What a run's messages are held against at the door: its roster, its sizes, and what is plausible in it."""

from __future__ import annotations

from broker.door.bounds import Bounds
from broker.messages import Role
from cosim.world.names import AUDITOR, CLOCK, FEEDER, GATEWAY, LIVE_HOST, RECORDER, WAM
from cosim.world.world import World

# A faulty meter may be wrong by a factor of a hundred and is dealt with as a device; this is for nonsense.
_BEYOND = 1000.0
_LEAST_FEEDER_KW = 1e6
_MOST_PRICE = 1e5


def bounds_of(world: World) -> Bounds:
    """Bounds of the messages of a run."""
    roster, layout = world.roster, world.layout
    live = {LIVE_HOST} if world.has_live else set()
    services: dict[Role, frozenset[str]] = {
        "clock": frozenset({CLOCK}),
        "recorder": frozenset({RECORDER}),
        "population host": frozenset(roster.hosts),
        "live host": frozenset(live),
        "LAM host": frozenset(roster.lam_hosts),
        "WAM": frozenset({WAM}),
        "auditor": frozenset({AUDITOR}),
        "feeder": frozenset({FEEDER}),
        "device host": frozenset(world.device_hosts),
        "gateway": frozenset({GATEWAY} if world.has_live else ()),
    }
    return Bounds(
        services=services,
        prosumers=roster.prosumers,
        lams=roster.lams,
        lam=roster.lam,
        live=frozenset(roster.prosumers[member] for member in roster.live_members),
        members={**roster.hosts, **dict.fromkeys(live, roster.live_members)},
        operated=roster.lam_hosts,
        ticks=world.timeline.intervals,
        nodes=len(layout.nodes),
        branches=len(layout.branches),
        interval_h=world.timeline.interval_h,
        member_kw=_BEYOND * float(roster.rating_kw.max(initial=1.0)),
        feeder_kw=_LEAST_FEEDER_KW + _BEYOND * float(roster.rating_kw.sum()),
        price=_MOST_PRICE,
    )
