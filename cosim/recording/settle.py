"""What an interval's messages say, as arrays: allocations, prices and metered energy of everyone.

Pure: the recorder gathers messages, ``gather_interval`` turns them into arrays, ``book_interval``
(cosim.results.booking) turns those into entries. Who stayed silent gets the documented stand-in and is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from broker.messages import FeederState, LamOutcome, MeteredBatch, Telemetry, WamOutcome
from cosim.results.booking import book_interval
from cosim.results.entries import Booking
from market.analysis.settlement import imbalance_prices
from market.participants.batches import read_metered
from market.participants.lam_outcomes import read_lam_outcomes
from market.participants.roster import Roster, Rules, Terms

Floats = npt.NDArray[np.float64]


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


@dataclass(frozen=True)
class Interval:
    """One interval as arrays over the ``n`` prosumers and ``M`` LAMs.

    Attributes
    ----------
    trade_kw, trade_price
        Allocation [kW, + buys] and what a buyer pays or a seller gets [$/kWh], ``(n,)``.
    metered_kwh
        Net import of the interval, ``(n,)``.
    net_kw, price, wam_price
        Net purchase [kW], local price and DLMP [$/kWh] of each LAM, ``(M,)``.
    alone
        LAMs that cleared without the WAM, ``(M,)``.
    grid_scheduled_kw, grid_actual_kw
        Power at the feeder head as cleared and by AC power flow of what was metered.
    counters
        Where live prosumers' counters stand after this interval.
    flags
        What had to be stood in for.
    """

    tick: int
    dt_h: float
    terms: Terms
    trade_kw: Floats
    trade_price: Floats
    metered_kwh: Floats
    net_kw: Floats
    price: Floats
    wam_price: Floats
    alone: npt.NDArray[np.bool_]
    grid_scheduled_kw: float
    grid_actual_kw: float
    counters: Counters
    flags: list[str]


def gather_interval(
    roster: Roster,
    terms: Terms,
    tick: int,
    dt_h: float,
    *,
    outcome: WamOutcome | None,
    lam_outcomes: Mapping[str, LamOutcome],
    metered: Mapping[str, MeteredBatch],
    telemetry: Mapping[str, Telemetry],
    state: FeederState | None,
    measured: Mapping[str, Telemetry],
    counters: Counters,
) -> Interval:
    """Arrays of one interval from the messages that arrived.

    A LAM host that stayed silent leaves its members without allocation: all they drew is imbalance.
    A live prosumer's energy is what its counter shows beyond what is booked, so that quantisation telescopes;
    where the meter is silent its allocation is booked, and the next reading sets that right. Without a
    solved power flow the grid is taken at the sum of the metered nets.
    """
    counters = replace(counters, booked_kwh=counters.booked_kwh.copy(), seen_kwh=counters.seen_kwh.copy())
    flags = [
        f"no outcome from {host}: its prosumers have no allocation"
        for host in roster.lam_hosts
        if host not in lam_outcomes
    ]
    allocated = read_lam_outcomes(roster, terms.tariff, lam_outcomes.values())

    metered_kwh = allocated.trade_kw * dt_h
    for host, members in roster.hosts.items():
        batch = metered.get(host)
        if batch is None:
            flags.append(f"no metered energy from {host}: its allocation stands in")
            continue
        try:
            metered_kwh[members], _ = read_metered(batch, members)
        except ValueError as error:
            flags.append(f"metered energy of {host} cannot be used, its allocation stands in: {error}")
    for member in roster.live_members:
        name = roster.prosumers[member]
        opened, closed = _counters(measured.get(name)), _counters(telemetry.get(name))
        # A counter only rises; one that fell belongs to a meter that was restarted or exchanged.
        if (opened < counters.seen_kwh[:, member]).any() or (closed < counters.seen_kwh[:, member]).any():
            flags.append(f"the counters of {name} began anew: what flowed in between is not settled")
            counters.booked_kwh[member] = np.nan
        if np.isnan(counters.booked_kwh[member]) and not (closed < opened).any():
            counters.booked_kwh[member] = opened[0] - opened[1]
        net_kwh = closed[0] - closed[1]
        if np.isnan(net_kwh - counters.booked_kwh[member]):
            flags.append(f"no reading of {name}: its allocation stands in until its meter is read again")
        else:
            metered_kwh[member] = net_kwh - counters.booked_kwh[member]
        counters.booked_kwh[member] += metered_kwh[member]
        if (closed < opened).any():
            counters.booked_kwh[member] = net_kwh
        latest = np.where(np.isnan(closed), opened, closed)
        counters.seen_kwh[:, member] = np.where(np.isnan(latest), counters.seen_kwh[:, member], latest)

    by_meter = float(np.sum(metered_kwh)) / dt_h
    scheduled = float(np.sum(allocated.net_kw)) if outcome is None else outcome.grid_kw
    if state is None or state.source_kw is None:
        flags.append("no power flow of the metered state: losses are left out of the grid's energy")
    return Interval(
        tick=tick,
        dt_h=dt_h,
        terms=terms,
        trade_kw=allocated.trade_kw,
        trade_price=allocated.trade_price,
        metered_kwh=metered_kwh,
        net_kw=allocated.net_kw,
        price=allocated.price,
        wam_price=allocated.wam_price,
        alone=allocated.alone,
        grid_scheduled_kw=scheduled,
        grid_actual_kw=by_meter if state is None or state.source_kw is None else state.source_kw,
        counters=counters,
        flags=flags,
    )


def _counters(reading: Telemetry | None) -> Floats:
    """Import and export of a good reading, ``(2,)`` [kWh]; NaN where there is none."""
    if reading is None or reading.quality != "good" or None in (reading.import_kwh, reading.export_kwh):
        return np.full(2, np.nan)
    return np.array([reading.import_kwh, reading.export_kwh], dtype=np.float64)


def book(interval: Interval, roster: Roster, rules: Rules) -> Booking:
    """Ledger entries of an interval: market payments, and imbalance at the worse of market and tariff.

    Energy short of the allocation costs max(lambda + delta, retail), energy long of it earns
    min(lambda - delta, feed-in) (market.md, section 4).
    """
    terms = interval.terms
    short_price, long_price = imbalance_prices(
        interval.price[roster.lam], rules.case.fee[roster.lam], terms.tariff
    )
    delta = np.where(interval.alone, 0.0, rules.case.wam_fee)
    return book_interval(
        dt_h=interval.dt_h,
        lam=roster.lam,
        trade_kw=interval.trade_kw,
        trade_price=interval.trade_price,
        metered_kwh=interval.metered_kwh,
        short_price=short_price,
        long_price=long_price,
        net_kw=interval.net_kw,
        wam_price=interval.wam_price + delta * np.sign(interval.net_kw),
        alone=interval.alone,
        grid_scheduled_kw=interval.grid_scheduled_kw,
        grid_actual_kw=interval.grid_actual_kw,
        import_price=terms.grid.import_price,
        export_price=terms.grid.export_price,
    )
