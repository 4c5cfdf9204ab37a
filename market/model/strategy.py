"""Bidding strategies: how prosumers turn what they know into bids; the built-in one tells the truth.

A strategy is asked once an interval for all of its prosumers together. What it says is checked member by
member, so that one member's failure is no other's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Resources, Tariff
from market.model.curve_checks import find_faults
from market.model.curves import Curves, join, shift, take
from market.model.response import supply_curves


@dataclass(frozen=True)
class View:
    """What ``n`` prosumers see when they bid.

    Attributes
    ----------
    tick
        Number of the interval, from 0.
    prosumer
        Names, ``(n,)``.
    demand_kw, resources
        Inflexible net demand that they expect, ``(n,)`` [kW], and what they can do about it; owners are
        positions in the view.
    value
        Trade over the marginal value of energy, ``n`` curves: the true cost, before fee and market power.
    slope, fee
        Price slope ``k_i`` [$/kWh per kW] and fee ``delta_i`` [$/kWh] of each one's LAM, ``(n,)``.
    last_price, last_kw
        Price [$/kWh] and trade [kW] of the last award, ``(n,)``; NaN before the first.
    tariff
        What the utility asks and pays outside the market.
    """

    tick: int
    prosumer: tuple[str, ...]
    demand_kw: Floats
    resources: Resources
    value: Curves
    slope: Floats
    fee: Floats
    last_price: Floats
    last_kw: Floats
    tariff: Tariff

    def only(self, some: Ints) -> View:
        """What the prosumers at ``some``, ascending positions ``(s,)``, see of it."""
        place = np.full(len(self.prosumer), -1, dtype=np.intp)
        place[some] = np.arange(some.size)
        mine = np.flatnonzero(place[self.resources.owner] >= 0)
        resources = Resources(
            place[self.resources.owner[mine]],
            self.resources.min_kw[mine],
            self.resources.max_kw[mine],
            self.resources.cost_linear[mine],
            self.resources.cost_quadratic[mine],
        )
        return View(
            tick=self.tick,
            prosumer=tuple(self.prosumer[one] for one in some),
            demand_kw=self.demand_kw[some],
            resources=resources,
            value=take(self.value, some),
            slope=self.slope[some],
            fee=self.fee[some],
            last_price=self.last_price[some],
            last_kw=self.last_kw[some],
            tariff=self.tariff,
        )

    def costing(self, resources: Resources) -> Curves:
        """Best responses of members that had these resources instead: the bids of who pretends to."""
        return shift(supply_curves(self.demand_kw, resources).curves, self.slope, self.fee)


class Strategy(Protocol):
    """Turns what prosumers see into what they bid."""

    def bid(self, view: View) -> Curves:
        """Trade over the local price that each member bids, ``n`` curves [kW over $/kWh], + buys.

        Trades must not increase with the price. What a member cannot do it will not do, whatever it bid: it
        pays for the difference as imbalance.
        """
        ...


class Truthful:
    """The best response to every price, by true costs: the built-in strategy (market.md, (2.4))."""

    def bid(self, view: View) -> Curves:
        """See `Strategy.bid`."""
        return shift(view.value, view.slope, view.fee)


@dataclass(frozen=True)
class Conduct:
    """Which strategy is followed, and by whom.

    Attributes
    ----------
    strategy
        That of the prosumers in ``follows``; the others tell the truth.
    follows
        Over all prosumers of the run, ``(N,)``; ``None`` for everyone.
    """

    strategy: Strategy
    follows: Bools | None = None


TRUTHFUL = Conduct(Truthful())
"""Everyone bids its best response."""


@dataclass(frozen=True)
class Bids:
    """Bids of ``n`` members, and who fell back to the truth because the strategy failed it.

    Attributes
    ----------
    curves
        ``n`` curves over the local price.
    failed
        ``(n,)``.
    reason
        Why the first of them failed; empty where nobody did.
    """

    curves: Curves
    failed: Bools
    reason: str


def bids_of(strategy: Strategy, view: View, follows: Bools, rating_kw: Floats) -> Bids:
    """What members bid: the strategy's word for those who follow it, the truth for all others.

    Parameters
    ----------
    follows
        Who follows the strategy, ``(n,)``.
    rating_kw
        The largest trade that each one's connection carries, ``(n,)``.
    """
    truth = Truthful().bid(view)
    failed = np.zeros(len(view.prosumer), dtype=bool)
    if isinstance(strategy, Truthful) or not follows.any():
        return Bids(truth, failed, "")
    some = np.flatnonzero(follows)
    pieces, source, reason = [truth], np.arange(len(truth)), ""
    try:
        said = _said(strategy, view.only(some))
        asked = [(some, said)]
    except Exception as error:  # noqa: BLE001 - a strategy is anybody's code, and the market goes on
        asked, reason = [], _in_words(error)
        for one in np.split(some, some.size):
            try:
                asked.append((one, _said(strategy, view.only(one))))
            except Exception:  # noqa: BLE001 - as above; the first reason is told
                failed[one] = True
    offset = len(truth)
    for members, curves in asked:
        right = find_faults(curves.price, curves.kw, curves.start, rating_kw[members]).none
        if not right.all():
            failed[members[~right]] = True
            reason = (
                reason or "a bid is not finite, rises with the price, or is beyond its connection's rating"
            )
        pieces.append(curves)
        source[members[right]] = offset + np.flatnonzero(right)
        offset += len(curves)
    return Bids(take(join(pieces), source), failed, reason)


def _said(strategy: Strategy, view: View) -> Curves:
    """The strategy's bids, with an error where they are no curves for everyone."""
    curves = strategy.bid(view)
    if not isinstance(curves, Curves):
        raise TypeError(f"bid() gave {type(curves).__name__}, not Curves")
    if len(curves) != len(view.prosumer):
        raise ValueError(f"bid() gave {len(curves)} curves for {len(view.prosumer)} prosumers")
    if (np.diff(curves.start) < 1).any() or not curves.start[-1] == curves.price.size == curves.kw.size:
        raise ValueError("bid() gave a curve without vertices")
    return curves


def _in_words(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())
