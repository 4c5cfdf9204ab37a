"""The LAM operators' part in rounds of bidding: what to ask members next, given what they answered.

Nobody here sends anything. An operator's part is a generator: it yields what it asks, is sent the answers,
and returns when they agree with what it wants. In process the answers are computed
(`market.rounds.negotiation`); on the bus they are messages (`market.participants`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, respond, shift
from market.model.inverse import price_range_near
from market.rounds.answers import CurveResponse
from market.rounds.estimates import NOISE_KW, Estimate
from market.rounds.record import Record

SAME_KW = 1e-6
"""Powers this near are the same."""

LAM_ROUNDS = 500


@dataclass(frozen=True)
class Question:
    """A LAM level's price announcement: which LAMs ask their members, and at which local prices.

    Attributes
    ----------
    lam
        Indices of the LAMs that ask, ascending, ``(m,)``.
    price
        Their local prices, ``(m,)`` [$/kWh].
    """

    lam: Ints
    price: Floats


@dataclass(frozen=True)
class Answers:
    """Powers [kW] that senders take at the prices asked, and how steeply they fall, ``(m,)`` each."""

    kw: Floats
    slope: Floats


class LamLevel:
    """Operators of ``M`` LAMs: what to ask their members at a wide-area price, and what members answered.

    Parameters
    ----------
    estimate
        Belief about each LAM's members together, over the local price.
    slope, fee
        Slopes K_i [$/kWh per kW] and WAM fees Delta_i [$/kWh], ``(M,)`` each.

    Attributes
    ----------
    record
        Local prices asked last and the members' summed answers.
    bids
        Wide-area prices that the LAMs answered last, and what they bid.
    """

    def __init__(self, estimate: Estimate, slope: Floats, fee: Floats) -> None:
        self.estimate = estimate
        self.slope = slope
        self.fee = fee
        self.record = Record(fee.size)
        self.bids = Record(fee.size)

    def facing(self, slope: Floats, fee: Floats) -> LamLevel:
        """The same LAMs and members facing other rules of the wide area, such as the utility's tariffs."""
        other = LamLevel(self.estimate, slope, fee)
        other.record = self.record
        return other

    @property
    def seen_by_wam(self) -> Curves:
        """LAMs' estimated net purchases over the wide-area price, M curves."""
        return shift(self.estimate.curves, self.slope, self.fee)

    def target(self, wam_price: Floats) -> tuple[Floats, Floats]:
        """What each LAM would buy at a wide-area price, and the local price to ask, ``(M,)`` each."""
        net_kw = respond(self.seen_by_wam, wam_price)
        return net_kw, self.price_for(net_kw, wam_price)

    def price_for(self, net_kw: Floats, wam_price: Floats, slack: float = NOISE_KW) -> Floats:
        """Local price at which a LAM is believed to take ``net_kw``, nearest its own condition in the WAM.

        A part of its response that is as flat as ``slack`` is a range of prices [kW; of its size below 1 kW].
        """
        curves, slack_kw = self.estimate.curves, slack * self.estimate.fineness
        low, high = price_range_near(curves, net_kw, slack_kw)
        own = wam_price + self.fee * np.sign(net_kw) + self.slope * net_kw
        return np.asarray(np.minimum(np.maximum(own, low), high))

    def take_answers(self, who: Ints, price: Floats, answers: Answers) -> None:
        """Take in the summed answers of the LAMs ``who`` to their local prices."""
        self.record.keep(who, price, answers.kw)
        self.estimate.learn(who, price, answers.kw, answers.slope)

    def begin_anew(self, who: Ints, low_kw: Floats, high_kw: Floats) -> None:
        """Forget answers of members of the LAMs ``who``: they range between these together, ``(m,)`` [kW]."""
        self.estimate.forget(who, low_kw, high_kw)
        self.record.forget(who)
        self.bids.forget(who)

    def find_bids(
        self, wam_price: Floats, tolerance_kw: float = SAME_KW, rounds: int = LAM_ROUNDS
    ) -> Generator[Question, Answers, Answers]:
        """Ask members until each LAM knows what it would buy at a wide-area price.

        Parameters
        ----------
        wam_price
            Price of the wide area, ``(M,)`` [$/kWh].
        tolerance_kw
            Answers this near to what was expected need no further round.
        rounds
            Bound on rounds.

        Returns
        -------
        generator
            Yields questions, is sent the members' summed answers to each, and returns what the LAMs answer to
            the wide-area price, ``(M,)``.

        Raises
        ------
        NotConverged
            The bound on rounds was reached; names what was left.
        """
        nobody = np.zeros(wam_price.size, dtype=bool)
        yield from self._ask_until_agreed(lambda: self.target(wam_price), nobody, tolerance_kw, rounds)
        net_kw, _ = self.target(wam_price)
        self.bids.keep(np.arange(net_kw.size), wam_price, net_kw)
        return Answers(net_kw, CurveResponse(self.seen_by_wam).at(wam_price)[1])

    def find_prices(
        self,
        net_kw: Floats,
        wam_price: Floats,
        tolerance_kw: float = SAME_KW,
        rounds: int = LAM_ROUNDS,
    ) -> Generator[Question, Answers, None]:
        """Ask members until the local prices are known at which they take what was cleared for their LAMs.

        A LAM that was cleared for what it bid knows its price already.

        Parameters
        ----------
        net_kw, wam_price
            What was cleared, ``(M,)`` each [kW, $/kWh].

        Returns
        -------
        generator
            As `find_bids`, but returns nothing.

        Raises
        ------
        NotConverged
            As `find_bids`.
        """
        as_bid = self.bids.agrees(wam_price, net_kw, tolerance_kw * self.estimate.fineness)
        # What was cleared may miss a flat part of the response by the tolerance, and so may the answer there.
        yield from self._ask_until_agreed(
            lambda: (net_kw, self.price_for(net_kw, wam_price, tolerance_kw)),
            as_bid,
            2 * tolerance_kw,
            rounds,
        )

    def _ask_until_agreed(
        self, aim: Callable[[], tuple[Floats, Floats]], known: Bools, tolerance_kw: float, rounds: int
    ) -> Generator[Question, Answers, None]:
        """Ask until answers are what is aimed at: net purchases, and local prices that should bring them.

        LAMs whose prices are ``known``, ``(M,)``, are not asked.
        """
        near_kw = tolerance_kw * self.estimate.fineness
        for _ in range(rounds):
            net_kw, price = aim()
            who = np.flatnonzero(~(known | self.record.agrees(price, net_kw, near_kw, self.estimate.curves)))
            if who.size == 0:
                return
            answers = yield Question(who, price[who])
            self.take_answers(who, price[who], answers)
        raise NotConverged(rounds, float(np.abs(self.record.kw - net_kw).max()))
