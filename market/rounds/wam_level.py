"""The WAM's part in rounds of bidding: what to ask its LAMs next, given what they answered."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats, Ints
from market.model.curves import Curves
from market.rounds.estimates import Estimate
from market.rounds.lam_level import SAME_KW, Answers
from market.rounds.record import ROUNDING, Record
from market.solver.wam import WamClearing

WAM_ROUNDS = 1000


class WamLevel:
    """The WAM's operator: what it believes of its LAMs, and what they answered.

    Parameters
    ----------
    estimate
        Belief about each LAM, over the wide-area price.
    lams
        Number of LAMs M.

    Attributes
    ----------
    record
        Prices asked last and the LAMs' answers.
    """

    def __init__(self, estimate: Estimate, lams: int) -> None:
        self.estimate = estimate
        self.record = Record(lams)

    @property
    def curves(self) -> Curves:
        """LAMs' estimated net purchases over the wide-area price, M curves."""
        return self.estimate.curves

    def take_answers(self, price: Floats, answers: Answers) -> None:
        """Take in what all LAMs answered to wide-area prices ``(M,)`` [$/kWh]."""
        every = np.arange(price.size)
        self.record.keep(every, price, answers.kw)
        self.estimate.learn(every, price, answers.kw, answers.slope)

    def begin_anew(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Forget what the LAMs ``who`` answered: they range between these now, ``(m,)`` [kW]."""
        self.estimate.forget(who, low_kw, high_kw)
        self.record.forget(who)

    def agree(
        self,
        clear: Callable[[Curves], WamClearing],
        cut_off: Sequence[int] = (),
        tolerance_kw: float = SAME_KW,
        rounds: int = WAM_ROUNDS,
    ) -> Generator[WamClearing, Answers, WamClearing]:
        """Clear and ask the LAMs until each would take what was cleared for it.

        Parameters
        ----------
        clear
            Clears the WAM for its LAMs' curves.
        cut_off
            LAMs that trade nothing whatever they bid, for nothing feeds them.
        tolerance_kw
            Answers this near to what was cleared end the rounds.
        rounds
            Bound on rounds.

        Returns
        -------
        generator
            Yields outcomes, is sent the LAMs' answers to their prices, and returns the one that stands.

        Raises
        ------
        NotConverged
            The bound on rounds was reached; names what was left.
        """
        asked: WamClearing | None = None
        for _ in range(rounds):
            curves = self.curves
            outcome = clear(curves)
            if self._stands(outcome, curves, cut_off, tolerance_kw):
                return outcome
            # Where rows leave some prices open, rounding makes others of them in every clearing.
            if asked is not None and self._stands(asked, curves, cut_off, tolerance_kw):
                return asked
            self.take_answers(outcome.price, (yield outcome))
            asked = outcome
        raise NotConverged(rounds, float(np.abs(self.record.kw - outcome.net_kw).max()))

    def _stands(
        self, outcome: WamClearing, curves: Curves, cut_off: Sequence[int], tolerance_kw: float
    ) -> bool:
        """Whether each LAM would take what was cleared for it, as far as answers tell."""
        near_kw = tolerance_kw * self.estimate.fineness
        price, net_kw = outcome.price, outcome.net_kw
        # Prices are sums over rows that LAMs share: each is rounded as the largest are.
        blur = ROUNDING * float(np.abs(price).max())
        agrees = self.record.agrees(price, net_kw, near_kw, curves, blur)
        agrees |= self.record.leaves_only(price, net_kw, curves.lowest_kw, curves.highest_kw, near_kw)
        agrees[list(cut_off)] = True
        return bool(agrees.all())
