"""An interval as arrays, from the messages that arrived: allocations, prices and metered energy of everyone.

Pure: the recorder collects messages, ``read_interval`` turns them into arrays, ``cosim.recording.payments``
those into entries of the ledger. Whoever stayed silent is stood in for as documented, and is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from broker.messages import LamOutcome, MeteredBatch, columns
from cosim.recording.counters import Counters, read_counters
from cosim.recording.interval_messages import IntervalMessages
from cosim.scenario.arrays import Floats
from market.participants.lam.bid_book import read_metered
from market.participants.roster import Roster, Terms


@dataclass(frozen=True)
class Allocation:
    """What an interval's clearing gave the ``n`` prosumers and the ``M`` LAMs, and at which prices.

    Attributes
    ----------
    trade_kw, trade_price
        Allocation [kW, + buys] and what a buyer pays or a seller gets, fee included [$/kWh], ``(n,)``.
    net_kw, price, wam_price
        Net purchase [kW], local price and DLMP [$/kWh] of each LAM, ``(M,)``.
    alone
        LAMs that cleared without the WAM, ``(M,)``.
    """

    trade_kw: Floats
    trade_price: Floats
    net_kw: Floats
    price: Floats
    wam_price: Floats
    alone: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Interval:
    """One interval as arrays over the ``n`` prosumers and ``M`` LAMs.

    Attributes
    ----------
    tick, dt_h
        Its number, and its length [h].
    allocation
        What was cleared.
    metered_kwh
        Net import of the interval, ``(n,)``.
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
    allocation: Allocation
    metered_kwh: Floats
    grid_scheduled_kw: float
    grid_actual_kw: float
    counters: Counters
    flags: list[str]

    @property
    def deviation_kwh(self) -> Floats:
        """What was metered beyond the allocation, ``(n,)`` [kWh]."""
        return self.metered_kwh - self.allocation.trade_kw * self.dt_h


def read_interval(
    messages: IntervalMessages, roster: Roster, terms: Terms, dt_h: float, counters: Counters
) -> Interval:
    """Arrays of one interval from the messages that arrived.

    A LAM host that stayed silent leaves its members without allocation: all they drew is imbalance.
    A live prosumer's energy is what its counter shows beyond what is booked, so that quantisation telescopes;
    where the meter is silent its allocation is booked, and the next reading sets that right. Without a
    solved power flow the grid is taken at the sum of the metered nets.

    Parameters
    ----------
    messages
        What arrived.
    roster, terms
        Who takes part, and the interval's tariffs and grid prices.
    dt_h
        Length of the interval [h].
    counters
        Where live prosumers' counters stood before.
    """
    allocation, unallocated = _allocation(messages.lam_outcomes, roster, terms)
    counters, metered_kwh, unread = read_counters(
        roster, counters, messages.measured, messages.metered_live, allocation.trade_kw * dt_h
    )
    unmetered = _take_batches(metered_kwh, messages.metered, roster)
    outcome, state = messages.outcome, messages.state
    source_kw = None if state is None else state.source_kw
    no_power_flow = "no power flow of the metered state: losses are left out of the grid's energy"
    return Interval(
        tick=messages.tick,
        dt_h=dt_h,
        terms=terms,
        allocation=allocation,
        metered_kwh=metered_kwh,
        grid_scheduled_kw=float(np.sum(allocation.net_kw)) if outcome is None else outcome.grid_kw,
        grid_actual_kw=float(np.sum(metered_kwh)) / dt_h if source_kw is None else source_kw,
        counters=counters,
        flags=[*unallocated, *unmetered, *unread, *([no_power_flow] if source_kw is None else [])],
    )


def _allocation(
    lam_outcomes: Mapping[str, LamOutcome], roster: Roster, terms: Terms
) -> tuple[Allocation, list[str]]:
    """Allocations and prices of all, and which LAM hosts gave none; who has none pays the tariffs."""
    n, m = len(roster.prosumers), len(roster.lams)
    # No fee lifts the middle of the tariffs beyond them: who has no local price settles at the tariffs.
    middle = 0.5 * (terms.tariff.retail + terms.tariff.feed_in)
    allocation = Allocation(
        trade_kw=np.zeros(n),
        trade_price=np.full(n, terms.tariff.retail),
        net_kw=np.zeros(m),
        price=np.full(m, middle),
        wam_price=np.full(m, terms.tariff.retail),
        alone=np.ones(m, dtype=np.bool_),
    )
    flags = []
    for host in roster.lam_hosts:
        outcome = lam_outcomes.get(host)
        if outcome is None:
            flags.append(f"no outcome from {host}: its prosumers have no allocation")
            continue
        lam, prosumer = columns.unpack_index(outcome.lam), columns.unpack_index(outcome.prosumer)
        allocation.net_kw[lam] = columns.unpack(outcome.net_kw, lam.size)
        allocation.price[lam] = columns.unpack(outcome.price, lam.size)
        allocation.wam_price[lam] = columns.unpack(outcome.wam_price, lam.size)
        allocation.alone[lam] = outcome.alone
        allocation.trade_kw[prosumer] = columns.unpack(outcome.trade_kw, prosumer.size)
        allocation.trade_price[prosumer] = columns.unpack(outcome.trade_price, prosumer.size)
    return allocation, flags


def _take_batches(metered_kwh: Floats, batches: Mapping[str, MeteredBatch], roster: Roster) -> list[str]:
    """Put what hosts of virtual prosumers metered into ``metered_kwh``; which of them sent nothing useful."""
    flags = []
    for host, members in roster.hosts.items():
        batch = batches.get(host)
        if batch is None:
            flags.append(f"no metered energy from {host}: its allocation stands in")
            continue
        try:
            metered_kwh[members], _ = read_metered(batch, members)
        except ValueError as error:
            flags.append(f"metered energy of {host} cannot be used, its allocation stands in: {error}")
    return flags
