"""What LAMs of a pool answer where a charge rises with what flows, around flows that are given ((7.6a))."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from market.model.arrays import Floats
from market.solver.pool_answers import PoolAnswers

SAME_CHARGE = 4e-16
"""A charge that a step moves by less than this part of it stands."""

STEPS = 60


@dataclass(frozen=True)
class Damping:
    """How charges rise with what flows.

    Attributes
    ----------
    slope
        Rise of each LAM's charge with what flows to it, ``(M,)`` [$/kWh per kW].
    around_kw
        Flows at which the charges are the model's own, ``(M,)`` [kW].
    """

    slope: Floats
    around_kw: Floats

    def rise(self, flow_kw: Floats) -> Floats:
        """What charges rise by at flows ``(M,)``, ``(M,)`` [$/kWh]."""
        return self.slope * (flow_kw - self.around_kw)


class DampedAnswers:
    """`PoolAnswers` over charges before they rise, variable by variable.

    Parameters
    ----------
    answers
        Over the charges that members pay.
    damping
        How these rise.
    """

    def __init__(self, answers: PoolAnswers, damping: Damping) -> None:
        self._answers, self._damping = answers, damping
        self._rise = np.zeros_like(damping.slope)
        self.whole_slope = answers.whole_slope
        self.lowest_kw, self.highest_kw = answers.lowest_kw, answers.highest_kw

    def at(self, price: Floats) -> tuple[Floats, Floats]:
        """See `market.solver.dual_function.Answers.at`."""
        _, kw, slope = self._at(price)
        return kw, slope

    def powers(self, price: Floats) -> Floats:
        """See `market.solver.dual_function.Answers.powers`."""
        return self.at(price)[0]

    def flows(self, price: Floats) -> Floats:
        """Members' flows at these prices, ``(n,)`` [kW]."""
        risen, _, _ = self._at(price)
        return self._answers.flows(risen)

    def _at(self, price: Floats) -> tuple[Floats, Floats, Floats]:
        """Prices with the charges as they rise, and answers and slopes over those before, ``(3 M,)`` each."""
        steepness, lams = self._damping.slope, self._damping.slope.size
        shared, charge = price[lams : 2 * lams], price[2 * lams :]
        risen = charge + self._rise
        low, high = np.full(lams, -np.inf), np.full(lams, np.inf)
        for _ in range(STEPS):
            kw, slope = self._answers.at(np.concatenate([shared + risen, shared, risen]))
            own, traded, drawn = slope[:lams], slope[lams : 2 * lams], slope[2 * lams :]
            off = (risen - charge) - self._damping.rise(kw[:lams] + kw[2 * lams :])
            low, high = np.where(off < 0, risen, low), np.where(off > 0, risen, high)
            falls = 1.0 + steepness * (own + drawn)
            step = -off / falls
            if (np.abs(step) <= SAME_CHARGE * (np.abs(risen) + np.abs(charge))).all():
                break
            next_to = risen + step
            beyond = (next_to <= low) | (next_to >= high)
            is_between = np.isfinite(low) & np.isfinite(high)
            middle = 0.5 * (np.where(is_between, low, risen) + np.where(is_between, high, risen))
            moved = np.where(beyond & is_between, middle, next_to)
            if (moved == risen).all():
                break
            risen = moved
        self._rise = risen - charge
        # The last bit of a charge may be more power than counts: answers follow their slopes from there.
        kw = kw - slope * np.concatenate([step, np.zeros(lams), step])
        mixed = steepness * own * drawn / falls
        damped = np.concatenate([own / falls, traded + mixed, drawn / falls])
        return np.concatenate([shared + risen, shared, risen]), kw, damped
