"""Rounds of bidding, LAM level inside WAM level, until what parties answer is what was cleared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from market.bidding.answers import CurveResponse, Response
from market.bidding.estimates import Estimate, Form, estimate_for
from market.case import Case
from market.curves import Bools, Curves, Floats, Ints, price_range, respond, shift
from market.errors import NotConverged
from market.wam import WamOutcome, clear_wam

Loop = Literal["nested", "single"]

SETTLED_KW = 1e-6
"""Answers this near to what was cleared are the same."""

SETTLED_PRICE = 1e-11
"""A LAM whose price would move by less [$/kWh] has found the jump of its members on which it stands."""

LAM_ROUNDS = 2000
WAM_ROUNDS = 3000

BYTES_PER_NUMBER = 8


@dataclass
class Tally:
    """What a negotiation took.

    Attributes
    ----------
    wam, lam
        Rounds of the WAM, and rounds in which members were asked, of the LAM that asked most often.
    messages
        Bids, price announcements and awards, each once per sender.
    numbers
        Numbers that these carried.
    damped
        Whether damping acted on any sender's plain bids.
    """

    wam: int = 0
    lam: int = 0
    messages: int = 0
    numbers: int = 0
    damped: bool = False

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
    residual_kw
        Largest difference between what LAMs' members answer and what was meant for them [kW].
    damped
        LAMs whose bids are damped, in either layer, ``(M,)``.
    """

    wam: int
    lam: int
    price: Floats
    wam_price: Floats
    trade_kw: Floats
    residual_kw: float
    damped: Bools


@dataclass(frozen=True)
class Negotiation:
    """What the rounds came to: trades ``(n,)`` [kW], local prices ``(M,)`` [$/kWh], and the WAM's outcome."""

    trade_kw: Floats
    price: Floats
    wam: WamOutcome
    tally: Tally


@dataclass
class LamLevel:
    """Operators of ``M`` LAMs: what to ask their members at a wide-area price, and what they heard.

    Attributes
    ----------
    estimate
        Belief about each LAM's members together, over the local price.
    slope, fee
        Conjectured slope K [$/kWh per kW] and WAM fees Delta_i ``(M,)`` [$/kWh].
    asked, heard_kw, heard_slope
        Last local price asked, the members' summed answer and its slope, ``(M,)`` each.
    """

    estimate: Estimate
    slope: float
    fee: Floats
    asked: Floats = field(init=False)
    heard_kw: Floats = field(init=False)
    heard_slope: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.asked = np.full(self.fee.size, np.nan)
        self.heard_kw = np.zeros(self.fee.size)
        self.heard_slope = np.zeros(self.fee.size)

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
        low, high = price_range(self.estimate.curves, net_kw)
        own = wam_price + self.fee * np.sign(net_kw) + self.slope * net_kw
        return np.asarray(np.minimum(np.maximum(own, low), high))

    def hear(self, who: Ints, price: Floats, kw: Floats, slope: Floats) -> None:
        """Take in the summed answers of the LAMs ``who``."""
        self.asked[who], self.heard_kw[who], self.heard_slope[who] = price, kw, slope
        self.estimate.learn(who, price, kw, slope)

    def misses(self, wam_price: Floats, tolerance_kw: float) -> tuple[Floats, Bools]:
        """Difference between answered and wanted power, and which LAMs must ask again, ``(M,)`` each."""
        net_kw, price = self.target(wam_price)
        miss = np.abs(self.heard_kw - net_kw)
        return miss, (miss > tolerance_kw) & (np.abs(price - self.asked) > SETTLED_PRICE)


def negotiate(
    case: Case,
    form: Form,
    response: Response,
    *,
    loop: Loop = "nested",
    damping: bool = True,
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
    damping
        Whether plain bids that cycle are damped.
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
    return _Rounds(case, form, response, loop, damping, tolerance_kw, lam_rounds, wam_rounds, on_round).run()


class _Rounds:
    """One negotiation in process: every party's part, in turn."""

    def __init__(
        self,
        case: Case,
        form: Form,
        response: Response,
        loop: Loop,
        damping: bool,
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
        local = estimate_for(form, case.sensitivity * self.members, low, high, damping=damping)
        self.lams = LamLevel(local, case.wam_slope, case.wam_fee)
        wide = np.full(len(case.lam_id), case.wam_sensitivity)
        self.wide = estimate_for(form, wide, low, high, damping=damping)
        self.trade_kw = np.zeros(case.demand_kw.size)
        self.tally = Tally()
        # Ranges are told once, with the first bid of each sender.
        self.tally.numbers += 2 * (case.demand_kw.size + len(case.lam_id))

    def run(self) -> Negotiation:
        grid, lams = self.case.grid, self.lams
        every = np.arange(len(self.case.lam_id))
        wam_price = np.full(every.size, 0.5 * (grid.import_price + grid.export_price))
        wam: WamOutcome | None = None
        residual = np.inf
        for _ in range(self.wam_rounds):
            net_kw = self._lam_level(wam_price, wam)
            if wam is not None:
                residual = float(self._residual(net_kw, wam).max(initial=0.0))
                if residual <= self.tolerance_kw:
                    return self._award(wam)
            if self.loop == "nested":
                slope = CurveResponse(lams.seen_by_wam).at(wam_price)[1]
                self.wide.learn(every, wam_price, net_kw, slope)
                bids = self.wide.curves
            else:
                bids = lams.seen_by_wam
            self.tally.count(every.size, self.numbers)
            wam = clear_wam(bids, self.case.network, grid, self.case.balance, self.case.offset_kw)
            wam_price = wam.price
            self.tally.wam += 1
            self.tally.count(1, 2 * every.size)
        raise NotConverged(self.tally.wam, residual)

    def _residual(self, net_kw: Floats, wam: WamOutcome) -> Floats:
        """Difference between LAMs' answers and what the WAM cleared; none where a LAM stands on a jump."""
        miss = np.abs(net_kw - wam.net_kw)
        if self.loop == "single":
            price = self.lams.price_for(wam.net_kw, wam.price)
            miss = np.where(np.abs(price - self.lams.asked) <= SETTLED_PRICE, 0.0, miss)
        return miss

    def _lam_level(self, wam_price: Floats, wam: WamOutcome | None) -> Floats:
        """Members' rounds at a wide-area price; returns what LAMs answer to it, ``(M,)`` [kW]."""
        lams = self.lams
        again = np.ones(len(self.case.lam_id), dtype=bool)
        miss = np.zeros(again.size)
        for _ in range(self.lam_rounds):
            if self.loop == "single" and wam is not None:
                price = lams.price_for(wam.net_kw, wam_price)
            else:
                price = lams.target(wam_price)[1]
            who = np.flatnonzero(again & (price != lams.asked))
            if who.size == 0:
                break
            self._ask(who, price)
            miss, again = lams.misses(wam_price, self.tolerance_kw)
            self._tell(wam_price, float(miss.max()))
            if not again.any():
                break
        if self.loop == "single":
            return lams.heard_kw.copy()
        if again.any() and float(miss.max()) > self.tolerance_kw:
            raise NotConverged(self.tally.lam, float(miss.max()))
        return lams.target(wam_price)[0]

    def _ask(self, who: Ints, price: Floats) -> None:
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

    def _tell(self, wam_price: Floats, residual_kw: float) -> None:
        if self.on_round is not None:
            damped = self.lams.estimate.damped | self.wide.damped
            self.on_round(
                Round(
                    self.tally.wam,
                    self.tally.lam,
                    self.lams.asked.copy(),
                    wam_price,
                    self.trade_kw,
                    residual_kw,
                    damped,
                )
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
        self.tally.damped = bool((self.lams.estimate.damped | self.wide.damped).any())
        self.tally.count(trade_kw.size, 2)
        return Negotiation(trade_kw, self.lams.asked.copy(), wam, self.tally)
