"""Prices where members' answers are too steep to follow, by proximal steps.

Each step is the market in which everybody's trade is held to where the last step left it, by a slope of price
over power that is *added* to its own, ``σ (q - c)² / 2``: answers are as smooth as σ is large, and what σ
adds to a price vanishes as trades come to rest. That is the proximal point method on (8.5): from any centres
and with any slopes > 0 it ends at a solution (Rockafellar, Monotone operators and the proximal point
algorithm, SIAM J. Control Optim. 14, 1976, theorem 1), the faster the smaller they are. So a step that does
not settle is taken with more slope, from the same trades, and nothing that was reached is lost.
"""

from __future__ import annotations

import numpy as np

from market.errors import NotConverged
from market.horizon.case import HorizonCase
from market.horizon.feeder import FeederLimits
from market.horizon.lams import Lams
from market.horizon.members import Members, lam_reach, price_size
from market.horizon.newton import EXACT, FIRST_RIDGE, SETTLED, STEPS, Found, Newton
from market.horizon.step import Point
from market.horizon.unsettled import what_is_flat
from market.model.arrays import Floats

MOST, LEAST = 1.0, 1e-7
"""Slope that is added over a member's mean size, as a part of the prices: where steps begin, and the least.
Over less, the last digits of a price would be more of a trade than the certificate allows."""

FALL, FASTEST, SLOWEST = 0.1, 0.05, 0.6
"""What is left of the added slope from one step to the next: at first, and its bounds."""

EASY, HARD = 4, 25
"""Newton steps up to which a proximal step is easy, and from which it is hard."""

GIVEN_UP = 45
"""Newton steps after which a proximal step is given up; the first may take as many as any search."""

ENOUGH = 1e-8
"""Part of the prices by which anybody's condition may be missed where no less slope can be added: a hundredth
of what the certificate allows. It is no more than what trades make of slopes that are next to none."""

NEAR = 1e-6
"""Part of the prices that trades' last move came to, below which Newton's steps are to end exactly."""

RIDGE = 1e-2
"""Slope added at first in a step that begins from the last one's prices, as `FIRST_RIDGE`."""

TRIES = 60
"""Proximal steps that are tried."""


def is_too_steep(case: HorizonCase, members: Members) -> bool:
    """Whether slopes of members or LAMs are so small that the digits of prices do not tell trades."""
    wide = np.stack([one.wam_slope for one in case.intervals]) * max(float(lam_reach(case).max()), 1e-9)
    least = min(members.flatness, float(wide[wide > 0].min(initial=np.inf)) / price_size(case))
    return least < LEAST


def proximal(
    case: HorizonCase, members: Members, limits: FeederLimits, begin: Point
) -> tuple[Members, Found]:
    """Where proximal steps end, and the members held there: they answer to its prices as without being held.

    Parameters
    ----------
    case, members, limits
        The case, its members and its limits.
    begin
        Prices to begin with.

    Raises
    ------
    NotConverged
        Steps did not settle even with slopes as large as the prices.
    """
    size, T = price_size(case), len(case.intervals)
    point, ridge, fall, steps = begin, FIRST_RIDGE, FALL, 0
    centre_kw, net_kw = np.zeros((case.first.demand_kw.size, T)), np.zeros(begin.price.shape)
    left_kw = np.full_like(centre_kw, np.inf)
    hold, last, moved = MOST, np.inf, np.inf
    for _ in range(TRIES):
        held, lams = _held(case, members, hold, centre_kw, net_kw)
        is_near = members.has_several or moved <= NEAR * size
        try:
            found = Newton(case, held, limits, lams).solve(
                point, None, roughly=None if is_near else EXACT, ridge=ridge,
                most=STEPS if hold >= MOST else GIVEN_UP,
            )  # fmt: skip
        except NotConverged as problem:
            steps += problem.iterations
            if hold >= MOST:
                raise
            fall = min(np.sqrt(fall), SLOWEST)
            # Halfway back to what settled; where that is no way, beyond it.
            hold = min(np.sqrt(hold * last) if hold < SLOWEST * last else 10.0 * hold, MOST)
            continue
        trade_kw = np.stack([held.trades(t, found.answers) for t in range(T)], axis=1)
        left_kw = np.abs(trade_kw - centre_kw)
        moved = max(held.moved(hold, left_kw), lams.recentre(found.answers.kw))
        steps += found.steps
        if is_near and moved <= (SETTLED if hold > LEAST and not members.has_several else ENOUGH) * size:
            return held, Found(found.point, found.answers, steps)
        point, centre_kw, net_kw, ridge = found.point, trade_kw, found.answers.kw, RIDGE
        if found.steps <= EASY:
            fall = max(fall * fall, FASTEST)
        elif found.steps >= HARD:
            fall = min(np.sqrt(fall), SLOWEST)
        last, hold = hold, max(fall * hold, LEAST)
    member, t = np.unravel_index(np.argmax(left_kw), left_kw.shape)
    because = f"{case.first.prosumer_id[int(member)]}'s trade in interval {t} does not come to rest"
    flat = what_is_flat(case) or "check the sizes of its stores and of its LAM's"
    raise NotConverged(steps, float(left_kw.max()), f"{because}; {flat}")


def _held(
    case: HorizonCase, members: Members, hold: float, centre_kw: Floats, net_kw: Floats
) -> tuple[Members, Lams]:
    """Members and LAMs held to their trades."""
    held = members.held(hold, centre_kw)
    lams = Lams(case, held, hold)
    lams.recentre(net_kw)
    return held, lams
