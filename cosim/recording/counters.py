"""Energy of live prosumers from the counters of their meters, so that quantisation never adds up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from broker.messages import Telemetry
from cosim.scenario.arrays import Floats
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
    booked_kwh, seen_kwh = before.booked_kwh.copy(), before.seen_kwh.copy()
    metered_kwh, flags = allocated_kwh.copy(), []
    for member in roster.live_members:
        name = roster.prosumers[member]
        first, last = _reading(at_start.get(name)), _reading(at_end.get(name))
        # A counter only rises; one that fell belongs to a meter that was restarted or exchanged.
        restarted = bool((last < first).any())
        if (first < seen_kwh[:, member]).any() or (last < seen_kwh[:, member]).any():
            flags.append(f"the counters of {name} began anew: what flowed in between is not settled")
            booked_kwh[member] = np.nan
        if np.isnan(booked_kwh[member]) and not restarted:
            booked_kwh[member] = first[0] - first[1]
        net_kwh = last[0] - last[1]
        if np.isnan(net_kwh - booked_kwh[member]):
            flags.append(f"no reading of {name}: its allocation stands in until its meter is read again")
        else:
            metered_kwh[member] = net_kwh - booked_kwh[member]
        booked_kwh[member] = net_kwh if restarted else booked_kwh[member] + metered_kwh[member]
        latest = np.where(np.isnan(last), first, last)
        seen_kwh[:, member] = np.where(np.isnan(latest), seen_kwh[:, member], latest)
    return Counters(booked_kwh, seen_kwh), metered_kwh, flags


def _reading(reading: Telemetry | None) -> Floats:
    """Import and export of a good reading, ``(2,)`` [kWh]; NaN where there is none."""
    if reading is None or reading.quality != "good" or None in (reading.import_kwh, reading.export_kwh):
        return np.full(2, np.nan)
    return np.array([reading.import_kwh, reading.export_kwh], dtype=np.float64)
