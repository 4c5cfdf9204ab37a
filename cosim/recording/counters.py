"""Energy of live prosumers from the counters of their meters, so that quantisation never adds up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from broker.messages import Telemetry
from cosim.scenario.arrays import Floats
from market.model.arrays import Bools
from market.participants.roster import Roster


@dataclass(frozen=True)
class Counters:
    """Where the counters of live prosumers stand; NaN before the first reading.

    Attributes
    ----------
    booked_kwh
        Net counter up to which energy is booked, ``(n,)`` [kWh].
    seen_kwh
        Import and export as last read, ``(2, n)`` [kWh].
    """

    booked_kwh: Floats
    seen_kwh: Floats

    @classmethod
    def unread(cls, prosumers: int) -> Counters:
        """Counters of ``prosumers`` before anything was read."""
        return cls(np.full(prosumers, np.nan), np.full((2, prosumers), np.nan))


def read_counters(
    roster: Roster,
    before: Counters,
    at_start: Mapping[str, Telemetry],
    at_end: Mapping[str, Telemetry],
    allocated_kwh: Floats,
) -> tuple[Counters, Floats, list[str]]:
    """Energy of live prosumers in an interval: what their counters show beyond what is booked.

    Where a meter is silent the allocation stands in, and the next reading sets that right.

    Parameters
    ----------
    roster
        Who is live.
    before
        Where counters stood before the interval.
    at_start, at_end
        Readings at the start and at the end of the interval, by prosumer.
    allocated_kwh
        What everybody was allocated, ``(n,)`` [kWh].

    Returns
    -------
    tuple
        Counters after the interval; metered net import, ``(n,)`` [kWh], in which all who are not live keep
        their allocation; and what went wrong, in words.
    """
    members = np.array(roster.live_members, dtype=np.intp)
    names = [roster.prosumers[member] for member in members]
    first, last = _readings(names, at_start), _readings(names, at_end)
    booked_kwh, seen_kwh = before.booked_kwh[members], before.seen_kwh[:, members]
    # A counter only rises; one that fell belongs to a meter that was restarted or exchanged.
    restarted = (last < first).any(axis=0)
    began_anew: Bools = np.any((first < seen_kwh) | (last < seen_kwh), axis=0)
    booked_kwh[began_anew] = np.nan
    booked_kwh = np.where(np.isnan(booked_kwh) & ~restarted, first[0] - first[1], booked_kwh)
    net_kwh = last[0] - last[1]
    flowed_kwh = net_kwh - booked_kwh
    unread = np.isnan(flowed_kwh)
    flowed_kwh[unread] = allocated_kwh[members[unread]]
    latest = np.where(np.isnan(last), first, last)
    after = Counters(before.booked_kwh.copy(), before.seen_kwh.copy())
    after.booked_kwh[members] = np.where(restarted, net_kwh, booked_kwh + flowed_kwh)
    after.seen_kwh[:, members] = np.where(np.isnan(latest), seen_kwh, latest)
    metered_kwh = allocated_kwh.copy()
    metered_kwh[members] = flowed_kwh
    return after, metered_kwh, _flags(names, began_anew, unread)


def _flags(names: Sequence[str], began_anew: Bools, unread: Bools) -> list[str]:
    flags = []
    for place in np.flatnonzero(began_anew | unread):
        name = names[int(place)]
        if began_anew[place]:
            flags.append(f"the counters of {name} began anew: what flowed in between is not settled")
        if unread[place]:
            flags.append(f"no reading of {name}: its allocation stands in until its meter is read again")
    return flags


def _readings(names: Sequence[str], at: Mapping[str, Telemetry]) -> Floats:
    """Import and export of each good reading, ``(2, m)`` [kWh]; NaN where there is none."""
    pairs = [_reading(at.get(name)) for name in names]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2).T


def _reading(reading: Telemetry | None) -> tuple[float, float]:
    if reading is None or reading.quality != "good":
        return np.nan, np.nan
    if reading.import_kwh is None or reading.export_kwh is None:
        return np.nan, np.nan
    return reading.import_kwh, reading.export_kwh
