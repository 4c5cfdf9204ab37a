"""Bidding strategies: how prosumers turn what they know into bids; the built-in one bids truthfully.

A strategy is asked once an interval for all of its prosumers together. Its bids are checked member by member,
so that a wrong bid of one member does no harm to the others.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from market.model.arrays import Bools, Floats, Ints
from market.model.case import Resources, Tariff
from market.model.curve_checks import find_faults
from market.model.curves import Curves, join, shift, take
from market.model.response import supply_curves
from sharegrid.text import in_one_line


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
        Inflexible net demand that they expect, ``(n,)`` [kW], and their resources; owners are indices into
        the view's prosumers.
    value
        Trade over the marginal value of energy, ``n`` curves: the true cost, before fee and market power.
    slope, fee
        Price slope ``k_i`` [$/kWh per kW] and fee ``delta_i`` [$/kWh] in each one's LAM, ``(n,)``.
    last_price, last_kw
        Price [$/kWh] and trade [kW] of the last award, ``(n,)``; NaN before the first.
    tariff
        The utility's prices outside the market.
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
        """The part of the view that some of its prosumers see; ``some`` are ascending indices, ``(s,)``."""
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
        """Best responses of members as if they had these resources: the bids of who pretends to."""
        return shift(supply_curves(self.demand_kw, resources).curves, self.slope, self.fee)


class Strategy(Protocol):
    """Turns what prosumers see into their bids."""

    def bid(self, view: View) -> Curves:
        """Trade over the local price that each member bids, ``n`` curves [kW over $/kWh], + buys.

        Trades must not increase with the price. A member that bids more than it can do pays for the
        difference as imbalance.
        """
        ...


class Truthful:
    """The built-in strategy: the best response to every price, by true costs (market.md, (2.4))."""

    def bid(self, view: View) -> Curves:
        """See `Strategy.bid`."""
        return shift(view.value, view.slope, view.fee)


@dataclass(frozen=True)
class StrategyChoice:
    """Which strategy is followed, and by whom.

    Attributes
    ----------
    strategy
        Strategy of the prosumers in ``follows``; the others bid truthfully.
    follows
        Over all prosumers of the run, ``(N,)``; ``None`` for everyone.
    """

    strategy: Strategy
    follows: Bools | None = None


TRUTHFUL = StrategyChoice(Truthful())
"""Everyone bids its best response."""


@dataclass(frozen=True)
class Bids:
    """Bids of ``n`` members.

    Attributes
    ----------
    curves
        ``n`` curves over the local price.
    failed
        Members who bid truthfully because the strategy gave them no valid bid, ``(n,)``.
    reason
        Why the first of them failed; empty where none did.
    """

    curves: Curves
    failed: Bools
    reason: str


def bids_of(strategy: Strategy, view: View, follows: Bools, rating_kw: Floats) -> Bids:
    """Bids of all members: by the strategy for those who follow it, truthful for the others.

    Parameters
    ----------
    follows
        Who follows the strategy, ``(n,)``.
    rating_kw
        The largest trade that each one's connection carries, ``(n,)``.
    """
    truth = Truthful().bid(view)
    if isinstance(strategy, Truthful) or not follows.any():
        return Bids(truth, np.zeros(len(truth), dtype=bool), "")
    answers, reason = _ask(strategy, view, np.flatnonzero(follows))
    failed, source, pieces, offset = follows.copy(), np.arange(len(truth)), [truth], len(truth)
    for members, curves in answers:
        valid = find_faults(curves.price, curves.kw, curves.start, rating_kw[members]).none
        if not valid.all():
            reason = (
                reason or "a bid is not finite, rises with the price, or is beyond its connection's rating"
            )
        failed[members[valid]] = False
        source[members[valid]] = offset + np.flatnonzero(valid)
        pieces.append(curves)
        offset += len(curves)
    return Bids(take(join(pieces), source), failed, reason)


def _ask(strategy: Strategy, view: View, followers: Ints) -> tuple[list[tuple[Ints, Curves]], str]:
    """Curves of the followers that a strategy gives, and the first error in words.

    The strategy is asked for all of them together, and after an error for one at a time, so that one member's
    failure is no other's.
    """
    try:
        return [(followers, _bid(strategy, view.only(followers)))], ""
    except Exception as error:  # noqa: BLE001 - a strategy is anybody's code, and the market goes on
        reason = in_one_line(error)
    answers = []
    for one in np.split(followers, followers.size):
        with suppress(Exception):  # As above; the first reason is reported, and the member bids truthfully.
            answers.append((one, _bid(strategy, view.only(one))))
    return answers, reason


def _bid(strategy: Strategy, view: View) -> Curves:
    """The strategy's bids; raises where they are not one curve for each prosumer of the view."""
    curves = strategy.bid(view)
    if not isinstance(curves, Curves):
        raise TypeError(f"bid() gave {type(curves).__name__}, not Curves")
    if len(curves) != len(view.prosumer):
        raise ValueError(f"bid() gave {len(curves)} curves for {len(view.prosumer)} prosumers")
    if (np.diff(curves.start) < 1).any() or not curves.start[-1] == curves.price.size == curves.kw.size:
        raise ValueError("bid() gave a curve without vertices")
    return curves
