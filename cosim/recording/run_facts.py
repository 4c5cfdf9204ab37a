"""What observers of a run are told of it: its facts at the beginning, and each interval as it was booked."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from broker.messages import FeederMap, LiveDevice, LiveProsumerFacts, MoneyFlow, RunFacts
from cosim.recording.feeder_map import feeder_map
from cosim.results.entries import COMMON_ACCOUNTS, KINDS, Booking
from cosim.world.world import World
from devices.kinds import DeviceKind

_MOST_BYTES = 480 * 2**10
"""A message that a broker keeps is one packet; what is left of this is for its header."""

_OF_INTERVAL = (
    "import_price",
    "export_price",
    "retail_price",
    "feed_in_price",
    "bought_kwh",
    "traded_lam_kwh",
    "traded_wam_kwh",
    "imbalance_kwh",
    "grid_scheduled_kw",
    "grid_actual_kw",
    "made_kwh",
    "saving_usd",
    "cost_market",
    "cost_no_sharing",
    "cost_optimum",
    "efficiency",
    "certified",
    "entries",
)


def run_facts(world: World) -> RunFacts:
    """Facts of a run."""
    timeline, roster = world.timeline, world.roster
    return RunFacts(
        start=timeline.start_utc.timestamp(),
        time_zone=str(timeline.zone),
        interval_s=timeline.interval_h * 3600.0,
        intervals=timeline.intervals,
        prosumers=world.population.size,
        lams=list(roster.lams),
        members=np.bincount(roster.lam, minlength=len(roster.lams)).tolist(),
        map=feeder_map(world),
        live=[_live(world, int(member)) for member in roster.live_members],
    )


def facts_content(facts: RunFacts) -> bytes:
    """Content of the message that tells them; a run too large for it is told without its devices or map."""
    content = facts.packed()
    less: list[dict[str, Any]] = [
        {"live": []},
        {"live": [], "map": FeederMap(buses={}, segments=[], lams=[])},
    ]
    for left_out in less:
        if 4 * len(content) <= 3 * _MOST_BYTES:
            break
        content = msgspec.structs.replace(facts, **left_out).packed()
    return content


def settled_fields(row: dict[str, Any], booking: Booking, prosumers: int, lams: int) -> dict[str, Any]:
    """Fields of the message that tells what was booked of an interval.

    Parameters
    ----------
    row
        The interval's row of the table.
    booking
        Its entries.
    prosumers, lams
        How many there are.
    """
    return {name: row.get(name) for name in _OF_INTERVAL} | {"money": money_flows(booking, prosumers, lams)}


def money_flows(booking: Booking, prosumers: int, lams: int) -> list[MoneyFlow]:
    """Sums of an interval's entries by kind and group of accounts."""
    first = prosumers + lams
    # Prosumers, LAMs, then each account that all share.
    group = np.searchsorted(
        [prosumers, *range(first, first + len(COMMON_ACCOUNTS))], booking.account, "right"
    )
    groups = ("prosumers", "lams", *COMMON_ACCOUNTS)
    sums = np.zeros((len(KINDS), len(groups)), dtype=np.int64)
    np.add.at(sums, (booking.kind, group), booking.micro)
    return [
        MoneyFlow(kind=kind, **dict(zip(groups, sums[at].tolist(), strict=True)))
        for at, kind in enumerate(KINDS)
    ]


def _live(world: World, member: int) -> LiveProsumerFacts:
    people, external = world.population, world.placement.external.get(world.population.id[member], {})
    owned: dict[DeviceKind, bool] = {
        "pv": bool(people.pv_kwp[member] > 0.0),
        "battery": bool(people.has_battery[member]),
    }
    kinds = [kind for kind, has in owned.items() if has and kind not in external]
    return LiveProsumerFacts(
        prosumer=people.id[member],
        name=people.name[member],
        lam=int(people.lam[member]),
        devices=[
            *(LiveDevice(device=kind) for kind in kinds),
            *(
                LiveDevice(
                    device=kind,
                    real=each.is_real,
                    armed=each.obeys and (each.entry.armed or not each.is_real),
                )
                for kind, each in external.items()
                if kind != "meter"
            ),
        ],
    )
