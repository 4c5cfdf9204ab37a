"""Rounds of bidding in a closed pool over a feeder: prices and charges, until flows are what was cleared.

The WAM announces a price of shared energy and charges, LAMs their local prices; members answer, and the LAMs
pass on what they believe of each of them (market.md, section 7). With whole beliefs in place of sums, limits
and losses are those of the exact clearing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from market.errors import NotConverged
from market.model.case import Case
from market.model.curves import shift
from market.rounds.estimates import Form
from market.rounds.flows import FlowBeliefs, FlowResponse, aside_of
from market.rounds.lam_level import SAME_KW
from market.rounds.negotiation import Round
from market.rounds.tally import Tally
from market.rounds.wam_level import WAM_ROUNDS
from market.solver.pool import clear_pool
from market.solver.pool_members import Divided, PoolMembers
from market.solver.wam import LimitPrices, WamClearing


@dataclass(frozen=True)
class PoolNegotiation:
    """What the rounds came to: the WAM's outcome, and what it leaves to members of the LAMs."""

    wam: WamClearing
    local: Divided
    tally: Tally


def negotiate_pool(
    case: Case,
    form: Form,
    response: FlowResponse,
    *,
    tolerance_kw: float = SAME_KW,
    rounds: int = WAM_ROUNDS,
    on_round: Callable[[Round], None] | None = None,
) -> PoolNegotiation:
    """Equilibrium of the closed pool by plain or slope bids.

    Parameters
    ----------
    case
        The case; of the prosumers only the LAM counts.
    form
        ``"plain"`` or ``"slope"``.
    response
        What the members answer.
    tolerance_kw
        Answers this near to what was cleared end the rounds.
    rounds
        Bound on rounds.
    on_round
        Called after each round, with the flows that members answered as its trades.

    Raises
    ------
    Infeasible, NotConverged
        As `market.solver.pool.clear_pool`; the bound on rounds was reached.
    """
    tariff, lam_of, lams = case.tariff, case.lam_of, len(case.lam_id)
    slope, every = case.slope[lam_of], np.arange(lam_of.size)
    start = np.full(lam_of.size, tariff.middle)
    beliefs = FlowBeliefs(form, slope, response.lowest_kw, response.highest_kw, start)
    # Ranges come once, with the first bid of each sender.
    tally, numbers = Tally(numbers=2 * lam_of.size), {"plain": 1, "slope": 2}[form]
    near: LimitPrices | None = None
    aside, last_charge = np.zeros(lam_of.size), np.full(lam_of.size, np.nan)
    for _ in range(rounds):
        curves = beliefs.curves
        believed = PoolMembers(shift(curves, -slope), lam_of, case.slope, case.wam_slope, tariff)
        found = clear_pool(believed, case.network, case.grid, case.balance, case.offset_kw, near)
        wam, local = found.wam, found.local
        near = wam.limit_prices
        price, charge = local.price[lam_of], wam.charge[lam_of]
        aside, last_charge = aside_of(aside, charge - last_charge), charge
        answered_kw, slopes = response.at(price, charge + aside, tariff)
        tally.wam, tally.lam = tally.wam + 1, tally.lam + 1
        # What members are believed to do, prices of shared energy with charges, local prices, and answers.
        tally.messages, tally.numbers = tally.messages + lams, tally.numbers + 2 * curves.price.size
        tally.count(1, 2 * lams)
        tally.count(lams, 2)
        tally.count(lam_of.size, numbers)
        if on_round is not None:
            low, high = tariff.with_charge(charge)
            shared_kw = np.clip(answered_kw, (low - price) / slope, (high - price) / slope)
            on_round(Round(tally.wam, tally.lam, local.price, wam.price, shared_kw, answered_kw))
        beliefs.learn(every, price, charge + aside, answered_kw, slopes, tariff)
        agree = beliefs.agree(local.flow_kw, price, charge, tariff, tolerance_kw)
        if agree.all():
            tally.count(lam_of.size, 2)
            return PoolNegotiation(wam, local, tally)
    raise NotConverged(rounds, float(np.abs(local.flow_kw - answered_kw)[~agree].max()))
