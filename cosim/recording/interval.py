"""An interval as arrays, from the messages that arrived: allocations, prices and metered energy of everyone.

Pure: the recorder collects messages, ``read_interval`` turns them into arrays, ``cosim.recording.payments``
those into entries of the ledger. Whoever stayed silent is stood in for as documented, and is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from broker.messages import MeteredBatch, WamOutcome
from broker.messages.batches import read_metered
from cosim.recording.counters import Counters, read_counters
from cosim.recording.interval_messages import IntervalMessages
from cosim.scenario.arrays import Floats
from market.participants.lam_outcomes import Allocations, read_lam_outcomes
from market.participants.roster import Roster, Terms


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
    loss_charge
        What flows pay for losses where a utility buys these, ``(M,)`` [$/kWh].
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
    allocation: Allocations
    metered_kwh: Floats
    loss_charge: Floats
    grid_scheduled_kw: float
    grid_actual_kw: float
    counters: Counters
    flags: list[str]

    @property
    def deviation_kwh(self) -> Floats:
        """What was metered beyond the allocation, ``(n,)`` [kWh]."""
        return self.metered_kwh - self.allocation.drawn_kw * self.dt_h


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
    unallocated = [
        f"no outcome from {host}: its prosumers have no allocation"
        for host in roster.lam_hosts
        if host not in messages.lam_outcomes
    ]
    allocation = read_lam_outcomes(roster, terms.tariff, messages.lam_outcomes.values())
    counters, metered_kwh, unread = read_counters(
        roster, counters, messages.measured, messages.metered_live, allocation.drawn_kw * dt_h
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
        loss_charge=_loss_charge(outcome, allocation, terms),
        grid_scheduled_kw=float(np.sum(allocation.net_kw)) if outcome is None else outcome.grid_kw,
        grid_actual_kw=float(np.sum(metered_kwh)) / dt_h if source_kw is None else source_kw,
        counters=counters,
        flags=[*unallocated, *unmetered, *unread, *([no_power_flow] if source_kw is None else [])],
    )


def _loss_charge(outcome: WamOutcome | None, allocation: Allocations, terms: Terms) -> Floats:
    """Part of the charges that pays for losses, ``(M,)`` [$/kWh]; zero where nothing is charged.

    Losses pay the energy price. What of it is beyond the grid's own prices at a limit of the feeder head is
    that limit's rent.
    """
    if outcome is None or not outcome.charge or outcome.energy_price == 0.0:
        return np.zeros(allocation.price.size)
    own = 1.0 - terms.grid.limit_price(outcome.energy_price) / outcome.energy_price
    return np.where(allocation.alone, 0.0, own * np.array(outcome.loss))


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
