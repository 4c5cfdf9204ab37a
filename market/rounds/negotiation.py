"""Rounds of bidding, LAM level inside WAM level, until what parties answer is what was cleared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.case import Case
from market.model.curves import Curves
from market.rounds.answers import Response
from market.rounds.driver import drive
from market.rounds.estimates import Form, estimate_for
from market.rounds.lam_level import LAM_ROUNDS, SAME_KW, Answers, LamLevel, Question
from market.rounds.rest import share_rest
from market.rounds.tally import Tally
from market.rounds.wam_level import WAM_ROUNDS, WamLevel
from market.solver.wam import LimitPrices, WamClearing, clear_wam

Loop = Literal["nested", "single"]


@dataclass(frozen=True)
class Round:
    """State after members were asked once more.

    Attributes
    ----------
    wam, lam
        Numbers of the WAM's round and of the members' rounds so far.
    price, wam_price
        Prices asked: local ``(M,)`` and wide-area ``(M,)`` [$/kWh].
    trade_kw, flow_kw
        Members' answers, and what flows to them, which is more where they deal with the utility besides,
        ``(n,)`` each [kW].
    """

    wam: int
    lam: int
    price: Floats
    wam_price: Floats
    trade_kw: Floats
    flow_kw: Floats


@dataclass(frozen=True)
class Negotiation:
    """What the rounds came to: trades ``(n,)`` [kW], local prices ``(M,)`` [$/kWh], and the WAM's outcome."""

    trade_kw: Floats
    price: Floats
    wam: WamClearing
    tally: Tally


def negotiate(
    case: Case,
    form: Form,
    response: Response,
    *,
    loop: Loop = "nested",
    secants: bool = True,
    tolerance_kw: float = SAME_KW,
    lam_rounds: int = LAM_ROUNDS,
    wam_rounds: int = WAM_ROUNDS,
    on_round: Callable[[Round], None] | None = None,
) -> Negotiation:
    """Equilibrium of both layers by plain or slope bids.

    Parameters
    ----------
    case
        The case with n prosumers in M LAMs; of the prosumers only the LAM counts.
    form
        ``"plain"`` or ``"slope"``.
    response
        What the members answer.
    loop
        ``"nested"``: each LAM agrees with its members before it bids into the WAM. ``"single"``: each round
        of the members is a round of the WAM, to which LAMs forward the answers.
    secants
        Whether slopes of plain bids are taken from answers instead of the demand functions.
    tolerance_kw
        Answers this near to what was cleared end the rounds.
    lam_rounds, wam_rounds
        Bounds on rounds within one round of the WAM, and of the WAM.
    on_round
        Called after each round of the members.

    Returns
    -------
    Negotiation

    Raises
    ------
    Infeasible
        The members' ranges cannot meet the balance, a limit or a row; as `market.solver.wam.clear_wam`.
    NotConverged
        A bound on rounds was reached; names the rounds and what was left.
    """
    return _Rounds(case, form, response, loop, secants, tolerance_kw, lam_rounds, wam_rounds, on_round).run()


class _Rounds:
    """One negotiation in process: every party's part, in turn."""

    def __init__(
        self,
        case: Case,
        form: Form,
        response: Response,
        loop: Loop,
        secants: bool,
        tolerance_kw: float,
        lam_rounds: int,
        wam_rounds: int,
        on_round: Callable[[Round], None] | None,
    ) -> None:
        self.case, self.response, self.loop = case, response, loop
        self.members = case.members
        self.tolerance_kw = tolerance_kw
        self.lam_rounds, self.wam_rounds = lam_rounds, wam_rounds
        self.on_round = on_round
        self.form, self.numbers = form, {"plain": 1, "slope": 2}[form]
        self.every = np.arange(len(case.lam_id))
        low, high = case.net_kw(response.lowest_kw), case.net_kw(response.highest_kw)
        self.start = np.full(self.every.size, 0.5 * (case.grid.import_price + case.grid.export_price))
        local = estimate_for(form, case.sensitivity * self.members, low, high, self.start, secants=secants)
        self.lams = LamLevel(local, case.wam_slope, case.wam_fee)
        wide = np.full(self.every.size, case.wam_sensitivity)
        believed = estimate_for(form, wide, low, high, self.start, secants=secants)
        self.wam = WamLevel(believed, self.every.size)
        self.trade_kw, self.steepness = np.zeros((2, case.demand_kw.size))
        self.is_heard = np.zeros(case.demand_kw.size, dtype=bool)
        self.limit_prices: LimitPrices | None = None
        self.tally = Tally()
        # Ranges come once, with the first bid of each sender.
        self.tally.numbers += 2 * (case.demand_kw.size + self.every.size)

    def run(self) -> Negotiation:
        outcome = self._nested(self.start) if self.loop == "nested" else self._single(self.start)
        return self._award(outcome)

    def _nested(self, wam_price: Floats) -> WamClearing:
        """LAMs agree with their members at each wide-area price before they bid."""
        self.wam.take_answers(wam_price, self._bids(wam_price))
        part = self.wam.agree(self._clear, tolerance_kw=self.tolerance_kw, rounds=self.wam_rounds)
        wam = drive(part, lambda outcome: self._bids(outcome.price))
        prices = self.lams.find_prices(wam.net_kw, wam.price, self.tolerance_kw, self.lam_rounds)
        drive(prices, lambda question: self._ask(question, wam.price))
        return wam

    def _bids(self, wam_price: Floats) -> Answers:
        """What LAMs bid at a wide-area price, once they agree with their members."""
        part = self.lams.find_bids(wam_price, self.tolerance_kw, self.lam_rounds)
        answers = drive(part, lambda question: self._ask(question, wam_price))
        self.tally.count(self.every.size, self.numbers)
        return answers

    def _single(self, wam_price: Floats) -> WamClearing:
        """Members are asked once in each round, and LAMs forward what they say."""
        lams, near_kw = self.lams, self.tolerance_kw * self.lams.estimate.fineness
        local = lams.target(wam_price)[1]
        for _ in range(self.wam_rounds):
            lams.take_answers(self.every, local, self._ask(Question(self.every, local), wam_price))
            self.tally.count(self.every.size, self.numbers)
            wam = self._clear(lams.seen_by_wam)
            wam_price, local = wam.price, lams.price_for(wam.net_kw, wam.price)
            if lams.record.agrees(local, wam.net_kw, near_kw).all():
                return wam
        raise NotConverged(self.tally.wam, float(np.abs(lams.record.kw - wam.net_kw).max()))

    def _clear(self, curves: Curves) -> WamClearing:
        case = self.case
        outcome = clear_wam(curves, case.network, case.grid, case.balance, case.offset_kw, self.limit_prices)
        self.limit_prices = outcome.limit_prices
        self.tally.wam += 1
        self.tally.count(1, 2 * self.every.size)
        return outcome

    def _ask(self, question: Question, wam_price: Floats) -> Answers:
        """The members of some LAMs answer their local prices."""
        case, group = self.case, self.case.lam_of
        asked = np.zeros(self.every.size, dtype=bool)
        asked[question.lam] = True
        price = np.where(asked, 0.0, np.nan_to_num(self.lams.record.price))
        price[question.lam] = question.price
        kw, slope = self.response.at(price[group])
        seen = slope if self.form == "slope" else np.where(self.is_heard, np.abs(kw - self.trade_kw), 0.0)
        self.steepness = np.where(asked[group], seen, self.steepness)
        self.trade_kw = np.where(asked[group], kw, self.trade_kw)
        self.is_heard |= asked[group]
        self.tally.lam += 1
        self.tally.count(question.lam.size, 1)
        self.tally.count(int(self.members[question.lam].sum()), self.numbers)
        if self.on_round is not None:
            self.on_round(
                Round(self.tally.wam, self.tally.lam, price, wam_price, self.trade_kw, self.trade_kw)
            )
        return Answers(case.net_kw(kw)[question.lam], case.net_kw(slope)[question.lam])

    def _award(self, wam: WamClearing) -> Negotiation:
        """Members' last answers, what is left shared among them; awards to all."""
        response = self.response
        low_kw, high_kw = response.lowest_kw, response.highest_kw
        trade_kw = share_rest(self.trade_kw, self.steepness, low_kw, high_kw, self.case.lam_of, wam.net_kw)
        self.tally.count(trade_kw.size, 2)
        return Negotiation(trade_kw, self.lams.record.price.copy(), wam, self.tally)
