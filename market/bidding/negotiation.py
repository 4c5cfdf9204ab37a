"""Rounds of bidding, LAM level inside WAM level, until what parties answer is what was cleared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from market.bidding.answers import CurveResponse, Response
from market.bidding.estimates import NOISE_KW, Estimate, Form, Record, estimate_for
from market.case import Case
from market.curves import Bools, Curves, Floats, Ints, price_range, respond, shift
from market.errors import NotConverged
from market.wam import WamOutcome, clear_wam

Loop = Literal["nested", "single"]

SETTLED_KW = 1e-6
"""Powers this near are the same."""

LAM_ROUNDS = 500
WAM_ROUNDS = 1000

BYTES_PER_NUMBER = 8


@dataclass
class Tally:
    """What a negotiation took.

    Attributes
    ----------
    wam, lam
        Rounds of the WAM, and rounds in which members of any LAM were asked.
    messages
        Bids, price announcements and awards, each once per sender.
    numbers
        Numbers that these carried.
    damped, accelerated
        Whether any sender's plain bids cycled and were damped, or crept and were accelerated.
    """

    wam: int = 0
    lam: int = 0
    messages: int = 0
    numbers: int = 0
    damped: bool = False
    accelerated: bool = False

    @property
    def bytes(self) -> int:
        """Payload at eight bytes per number, without headers."""
        return BYTES_PER_NUMBER * self.numbers

    def count(self, messages: int, numbers_each: int) -> None:
        """Add messages of one kind."""
        self.messages += messages
        self.numbers += messages * numbers_each


@dataclass(frozen=True)
class Round:
    """State after members were asked once more.

    Attributes
    ----------
    wam, lam
        Numbers of the WAM's round and of the members' rounds so far.
    price, wam_price
        Prices asked: local ``(M,)`` and wide-area ``(M,)`` [$/kWh].
    trade_kw
        Members' answers, ``(n,)`` [kW].
    """

    wam: int
    lam: int
    price: Floats
    wam_price: Floats
    trade_kw: Floats


@dataclass(frozen=True)
class Negotiation:
    """What the rounds came to: trades ``(n,)`` [kW], local prices ``(M,)`` [$/kWh], and the WAM's outcome."""

    trade_kw: Floats
    price: Floats
    wam: WamOutcome
    tally: Tally


class LamLevel:
    """Operators of ``M`` LAMs: what to ask their members at a wide-area price, and what they heard.

    Parameters
    ----------
    estimate
        Belief about each LAM's members together, over the local price.
    slope, fee
        Conjectured slope K [$/kWh per kW] and WAM fees Delta_i ``(M,)`` [$/kWh].

    Attributes
    ----------
    record
        Local prices asked last and the members' summed answers.
    """

    def __init__(self, estimate: Estimate, slope: float, fee: Floats) -> None:
        self.estimate = estimate
        self.slope = slope
        self.fee = fee
        self.record = Record(fee.size)

    @property
    def seen_by_wam(self) -> Curves:
        """LAMs' estimated net purchases over the wide-area price, M curves."""
        return shift(self.estimate.curves, self.slope, self.fee)

    def target(self, wam_price: Floats) -> tuple[Floats, Floats]:
        """What each LAM would buy at a wide-area price, and the local price to ask, ``(M,)`` each."""
        net_kw = respond(self.seen_by_wam, wam_price)
        return net_kw, self.price_for(net_kw, wam_price)

    def price_for(self, net_kw: Floats, wam_price: Floats) -> Floats:
        """Local price at which a LAM is believed to take ``net_kw``, nearest its own condition in the WAM."""
        curves = self.estimate.curves
        # A flat part is as wide as rounding lets it be.
        low, _ = price_range(curves, net_kw + NOISE_KW)
        _, high = price_range(curves, net_kw - NOISE_KW)
        own = wam_price + self.fee * np.sign(net_kw) + self.slope * net_kw
        return np.asarray(np.minimum(np.maximum(own, low), high))

    def hear(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:
        """Take in the summed answers of the LAMs ``who``."""
        self.record.keep(who, price, kw)
        self.estimate.learn(who, price, kw, slope)


def negotiate(
    case: Case,
    form: Form,
    response: Response,
    *,
    loop: Loop = "nested",
    adapt: bool = True,
    tolerance_kw: float = SETTLED_KW,
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
        ``"nested"``: each LAM settles with its members before it bids into the WAM. ``"single"``: each round
        of the members is a round of the WAM, to which LAMs forward what they heard.
    adapt
        Whether plain bids are damped where they cycle and accelerated where they creep.
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
        The members' ranges cannot meet the balance, a limit or a row; as `market.wam.clear_wam`.
    NotConverged
        A bound on rounds was reached; names the rounds and what was left.
    """
    return _Rounds(case, form, response, loop, adapt, tolerance_kw, lam_rounds, wam_rounds, on_round).run()


class _Rounds:
    """One negotiation in process: every party's part, in turn."""

    def __init__(
        self,
        case: Case,
        form: Form,
        response: Response,
        loop: Loop,
        adapt: bool,
        tolerance_kw: float,
        lam_rounds: int,
        wam_rounds: int,
        on_round: Callable[[Round], None] | None,
    ) -> None:
        self.case, self.response, self.loop = case, response, loop
        self.members = case.members
        self.tolerance_kw = tolerance_kw
        self.lam_rounds = 1 if loop == "single" else lam_rounds
        self.wam_rounds = wam_rounds
        self.on_round = on_round
        self.numbers = {"plain": 1, "slope": 2}[form]
        low, high = case.net_kw(response.lowest_kw), case.net_kw(response.highest_kw)
        local = estimate_for(form, case.sensitivity * self.members, low, high, adapt=adapt)
        self.lams = LamLevel(local, case.wam_slope, case.wam_fee)
        wide = np.full(len(case.lam_id), case.wam_sensitivity)
        self.wide = estimate_for(form, wide, low, high, adapt=adapt)
        self.record = Record(wide.size) if loop == "nested" else self.lams.record
        self.trade_kw = np.zeros(case.demand_kw.size)
        self.tally = Tally()
        # Ranges are told once, with the first bid of each sender.
        self.tally.numbers += 2 * (case.demand_kw.size + len(case.lam_id))

    def run(self) -> Negotiation:
        grid, case = self.case.grid, self.case
        every = np.arange(len(case.lam_id))
        wam_price = np.full(every.size, 0.5 * (grid.import_price + grid.export_price))
        wam: WamOutcome | None = None
        for _ in range(self.wam_rounds):
            bids = self._nested(wam_price) if self.loop == "nested" else self._single(wam_price, wam)
            if wam is not None and self._agrees(wam).all():
                return self._award(wam)
            self.tally.count(every.size, self.numbers)
            wam = clear_wam(bids, case.network, grid, case.balance, case.offset_kw)
            wam_price = wam.price
            self.tally.wam += 1
            self.tally.count(1, 2 * every.size)
        assert wam is not None
        raise NotConverged(self.tally.wam, float(np.abs(self.record.kw - wam.net_kw).max()))

    def _agrees(self, wam: WamOutcome) -> Bools:
        """LAMs that would take what the WAM cleared for them, as far as their last answers tell, ``(M,)``."""
        price = wam.price if self.loop == "nested" else self.lams.price_for(wam.net_kw, wam.price)
        return self.record.agrees(price, wam.net_kw, self.tolerance_kw)

    def _nested(self, wam_price: Floats) -> Curves:
        """LAMs settle with their members at a wide-area price and bid; what the WAM then believes."""
        lams = self.lams
        for _ in range(self.lam_rounds):
            net_kw, price = lams.target(wam_price)
            who = np.flatnonzero(~lams.record.agrees(price, net_kw, self.tolerance_kw))
            if who.size == 0:
                break
            self._ask(who, price, wam_price)
        else:
            raise NotConverged(self.tally.lam, float(np.abs(lams.record.kw - net_kw).max()))
        every = np.arange(net_kw.size)
        self.record.keep(every, wam_price, net_kw)
        self.wide.learn(every, wam_price, net_kw, CurveResponse(lams.seen_by_wam).at(wam_price)[1])
        return self.wide.curves

    def _single(self, wam_price: Floats, wam: WamOutcome | None) -> Curves:
        """Members are asked once, and LAMs forward what they say; what the WAM then believes."""
        lams = self.lams
        price = lams.target(wam_price)[1] if wam is None else lams.price_for(wam.net_kw, wam_price)
        self._ask(np.arange(price.size), price, wam_price)
        return lams.seen_by_wam

    def _ask(self, who: Ints, price: Floats, wam_price: Floats) -> None:
        """The members of some LAMs answer their local prices."""
        group = self.case.lam_of
        asked = np.zeros(price.size, dtype=bool)
        asked[who] = True
        kw, slope = self.response.at(price[group])
        self.trade_kw = np.where(asked[group], kw, self.trade_kw)
        self.lams.hear(who, price[who], self.case.net_kw(kw)[who], self.case.net_kw(slope)[who])
        self.tally.lam += 1
        self.tally.count(who.size, 1)
        self.tally.count(int(self.members[who].sum()), self.numbers)
        if self.on_round is not None:
            self.on_round(
                Round(self.tally.wam, self.tally.lam, self.lams.record.price.copy(), wam_price, self.trade_kw)
            )

    def _award(self, wam: WamOutcome) -> Negotiation:
        """Members' last answers, what is left shared by the room that each has; awards to all."""
        group = self.case.lam_of
        missing = (wam.net_kw - self.case.net_kw(self.trade_kw))[group]
        end = np.where(missing > 0, self.response.highest_kw, self.response.lowest_kw)
        room = end - self.trade_kw
        whole = self.case.net_kw(np.abs(room))[group]
        part = np.divide(np.abs(missing), whole, out=np.zeros_like(whole), where=whole > 0)
        trade_kw = self.trade_kw + np.minimum(part, 1.0) * room
        beliefs = (self.lams.estimate, self.wide)
        self.tally.damped = any(bool(belief.damped.any()) for belief in beliefs)
        self.tally.accelerated = any(bool(belief.accelerated.any()) for belief in beliefs)
        self.tally.count(trade_kw.size, 2)
        return Negotiation(trade_kw, self.lams.record.price.copy(), wam, self.tally)
