"""The WAM operator on the bus: clears over the feeder's linear model until AC power flow confirms.

In the clear step it clears, has the feeder solve AC power flow at the dispatch and judge it, and clears again
over the feeder's new model, within a bound on rounds.
Where no round is confirmed, the dispatch that violates limits least goes out, flagged; keeping the last
prices is one of the candidates.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from broker.messages import FeederReply, FeederState, NetworkModel, Step, WamOutcome, columns
from broker.participant.node import Node
from broker.participant.others import Heard
from broker.snapshot import Values, array_of, optional_array
from market.errors import Infeasible, NotConverged
from market.model.arrays import Floats
from market.model.dlmp import DlmpParts
from market.participants.gates import skip_step
from market.participants.network_model import dlmp_fields
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.bidding import LastMetered, WamBidding
from market.participants.wam.clear_model import outcome_fields, relaxation_flags
from market.participants.wam.curve_bidding import WamCurveBidding
from market.participants.wam.feeder_requests import FEEDER, Dispatch, FeederRequests, FeederSilent
from market.participants.wam.least_violation import Swinging, is_least_violation
from market.participants.wam.pool_rounds import WamPoolRounds
from market.participants.wam.round_bidding import WamRoundBidding
from market.solver.wam import WamClearing

if TYPE_CHECKING:
    # It needs numba, which only runs with a horizon have to have.
    from market.participants.wam.horizon_market import HorizonMarket

MOST_ROUNDS = 200
"""Rounds of an interval in all, those in which the feeder only adds limits to its model included."""


@dataclass(frozen=True)
class Candidate:
    """A dispatch that AC power flow has solved, and what the feeder says of it."""

    dispatch: Dispatch
    reply: FeederReply

    @property
    def rank(self) -> tuple[bool, bool, float, bool, float]:
        """Sort key, the best first.

        Confirmed clearings come first, those that kept all limits of their model before the others, then
        those that are not by how far AC power flow is beyond its limits. Among equals keeping the last prices
        comes last, and the truest linear model first.
        """
        held, reply = self.dispatch.clearing is None, self.reply
        severity = np.inf if reply.severity is None else reply.severity
        error_pu = np.inf if reply.linear_error_pu is None else reply.linear_error_pu
        clearing = self.dispatch.clearing
        gave_way = reply.confirmed and clearing is not None and bool(clearing.relaxed)
        return (held or not reply.confirmed, gave_way, severity, held, error_pu)


@dataclass
class ConfirmRounds:
    """What came of an interval's rounds of clearing and confirming."""

    candidates: list[Candidate] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    rounds: int = 0
    clear_s: float = 0.0
    confirm_s: float = 0.0
    unserved: list[int] = field(default_factory=list)
    last: WamClearing | None = None


class WamOperator:
    """Service: the wide-area market and its confirmation by the feeder.

    Parameters
    ----------
    rounds
        Bound on clear-confirm rounds per interval.
    horizon
        Clears the intervals to come before members bid for the present one, where the rules say so.
    """

    def __init__(
        self,
        node: Node,
        roster: Roster,
        rules: Rules,
        *,
        rounds: int,
        horizon: HorizonMarket | None = None,
    ) -> None:
        self.node = node
        self.rules = rules
        self.rounds = rounds
        self.count = len(roster.lams)
        self.last_metered = LastMetered.unknown(self.count)
        in_rounds = WamPoolRounds if rules.case.rule.has_utility else WamRoundBidding
        by_form = WamCurveBidding if rules.bidding == "curve" else in_rounds
        self.bidding: WamBidding = by_form(node, roster, rules, self.last_metered)
        self.feeder = FeederRequests(node, self.count)
        self.horizon = horizon
        self.price: Floats | None = None
        self.inverter_kvar = np.zeros(0)
        self._bid_tick = -1
        self._states = Heard(node, [FEEDER])
        node.on(node.topics.feeder_state, self._take_state)

    async def on_step(self, step: Step) -> None:
        """Gather LAM bids, then clear and confirm; the interval ends with what was metered."""
        if step.step == "bid":
            if self.horizon is not None:
                await self.horizon.clear(step)
            await self.bidding.gather_bids(step)
            if self.horizon is not None:
                self.horizon.take_reactive(self.bidding.reactive_kvar)
            self._bid_tick = step.tick
            await self.node.done(step.step, step.tick)
        elif step.step == "clear" and self._bid_tick != step.tick:
            await skip_step(self.node, step)
        elif step.step == "clear":
            await self._clear(step)
        elif step.step == "settle":
            await self._states.wait(step)

    async def snapshot(self) -> Values:
        """Last prices, reactive set-points and metered loads."""
        if self.horizon is not None:
            await self.horizon.proved()
        return {
            "price": self.price,
            "inverter_kvar": self.inverter_kvar if self.inverter_kvar.size else None,
            "metered_kw": self.last_metered.kw,
            "metered_kvar": self.last_metered.kvar,
            **self.bidding.snapshot(),
            **({} if self.horizon is None else self.horizon.snapshot()),
        }

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`."""
        lams = np.zeros(self.count)
        self.price = optional_array(values, "price", lams)
        inverter_kvar = optional_array(values, "inverter_kvar", lams)
        self.inverter_kvar = np.zeros(0) if inverter_kvar is None else inverter_kvar
        self.last_metered.kw[:] = array_of(values, "metered_kw", lams)
        self.last_metered.kvar[:] = array_of(values, "metered_kvar", lams)
        self.bidding.restore(values)
        if self.horizon is not None:
            self.horizon.restore(values)
        self._bid_tick = -1

    async def _clear(self, step: Step) -> None:
        terms = self.rules.terms(step.tick)
        found = await self._clear_and_confirm(step, terms)
        best = min(found.candidates, key=lambda candidate: candidate.rank, default=None)
        status, body = await self._chosen(step, terms, best, found.flags)
        for flag in found.flags:
            self.node.flag(flag)
        await self.node.publish(
            self.node.topics.wam_outcome,
            WamOutcome,
            step.tick,
            status=status,
            round=0 if best is None else best.reply.round,
            rounds=found.rounds,
            linear_error_pu=None if best is None else best.reply.linear_error_pu,
            violations=[] if best is None else best.reply.violations,
            unnamed=0 if best is None else best.reply.unnamed,
            flags=found.flags,
            fallbacks=self.bidding.fallbacks,
            clear_s=found.clear_s,
            confirm_s=found.confirm_s,
            unserved=found.unserved,
            exchange=self.bidding.exchange(),
            **body,
        )
        await self.node.done(step.step, step.tick)

    async def _clear_and_confirm(self, step: Step, terms: Terms) -> ConfirmRounds:
        """Clear and ask the feeder in turn until AC power flow confirms, within the bound on rounds."""
        found, swinging, most = ConfirmRounds(), Swinging(), self.rounds
        net_kw = await self.bidding.net_purchases(step, self._last_prices(terms))
        dispatch = Dispatch(net_kw, self.inverter_kvar)
        for round_ in count():
            found.rounds = round_
            reply = await self._judged(step, round_, dispatch, found)
            if reply is None or reply.model is None or _is_final(dispatch, reply):
                break
            if reply.confirmed:
                # Limits that stood in the way are gone: rounds begin anew.
                most = len(found.candidates) + self.rounds
            if len(found.candidates) > most or round_ == MOST_ROUNDS:
                break
            clearing = await self._cleared(step, terms, reply.model, found)
            if clearing is None:
                break
            swinging.judged(reply.linear_error_pu)
            if not reply.unwatched and swinging.gains_nothing(
                dispatch.net_kw, clearing, reply.model, terms.grid
            ):
                found.flags.append(f"rounds end at {round_}: the next would violate limits hardly less")
                break
            dispatch = Dispatch(clearing.flow_kw, clearing.inverter_kvar, clearing, reply.model)
        return found

    async def _judged(
        self, step: Step, round_: int, dispatch: Dispatch, found: ConfirmRounds
    ) -> FeederReply | None:
        """What the feeder says of a dispatch, which becomes a candidate; ``None`` where it stays silent."""
        began = time.perf_counter()
        try:
            reply = await self.feeder.ask(step, round_, dispatch, self.bidding)
        except FeederSilent as silent:
            found.flags.append(str(silent))
            return None
        found.confirm_s += time.perf_counter() - began
        if self.horizon is not None:
            self.horizon.take_model(reply.model)
        if reply.solved:
            found.candidates.append(Candidate(dispatch, reply))
        elif not reply.unwatched:
            found.flags.append(f"AC power flow of round {round_} has no solution")
        return reply

    async def _cleared(
        self, step: Step, terms: Terms, model: NetworkModel, found: ConfirmRounds
    ) -> WamClearing | None:
        """Clearing of the next round over a linear model; ``None`` where there is none, with a flag."""
        round_ = found.rounds + 1
        found.unserved = model.unserved
        began = time.perf_counter()
        try:
            clearing = await self.bidding.clear(step, model, terms, found.last)
        except (Infeasible, NotConverged) as problem:
            found.flags.append(f"clearing of round {round_}: {problem}")
            return None
        finally:
            found.clear_s += time.perf_counter() - began
        found.flags += relaxation_flags(clearing.relaxed, round_)
        found.last = clearing
        return clearing

    async def _chosen(
        self, step: Step, terms: Terms, best: Candidate | None, flags: list[str]
    ) -> tuple[str, dict[str, Any]]:
        """Status and fields of the outcome that the best candidate makes; appends to ``flags``."""
        if best is not None and best.dispatch.clearing is not None:
            clearing = best.dispatch.clearing
            self.price, self.inverter_kvar = clearing.price, clearing.inverter_kvar
            if not best.reply.confirmed:
                flags.append(f"unconfirmed: the least violating dispatch, of round {best.reply.round}")
            status = "confirmed" if best.reply.confirmed else "unconfirmed"
            return status, outcome_fields(clearing, best.dispatch.model)
        if best is None:
            flags.append("no power flow at all: the last prices are held")
        elif not flags:
            flags.append("the last prices are held: no clearing violates the network's limits less")
        return "held", await self._held(step, terms, best)

    def _last_prices(self, terms: Terms) -> Floats:
        """Prices at which the feeder first linearises, and which stay where they are held, ``(M,)``.

        A run begins at those of its first horizon: at any other price all stores may charge at once, and
        regulators stand where no trade keeps the limits.
        """
        if self.price is not None:
            return self.price
        ahead = None if self.horizon is None else self.horizon.price
        return np.full(self.count, terms.grid.middle_price) if ahead is None else ahead

    async def _held(self, step: Step, terms: Terms, best: Candidate | None) -> dict[str, Any]:
        """Fields of an outcome in which the last prices stay, as near as each LAM's curve allows.

        All of such a price counts as energy.
        """
        last = self._last_prices(terms)
        flow_kw = await self.bidding.net_purchases(step, last) if best is None else best.dispatch.net_kw
        net_kw, price = self.bidding.bids.held(last, flow_kw)
        source_kw = None if best is None else best.reply.source_kw
        inverter_kvar = self.inverter_kvar if best is None else best.dispatch.inverter_kvar
        zero = np.zeros(self.count)
        return {
            "net_kw": columns.column_list(net_kw),
            "flow_kw": [] if np.array_equal(net_kw, flow_kw) else columns.column_list(flow_kw),
            "price": columns.column_list(price),
            **dlmp_fields(DlmpParts(price, zero, zero, zero)),
            "energy_price": terms.grid.middle_price,
            "grid_kw": float(np.sum(flow_kw)) if source_kw is None else source_kw,
            "row_name": [],
            "row_dual": [],
            "inverter_kvar": columns.column_list(inverter_kvar),
        }

    def _take_state(self, state: FeederState) -> None:
        self.last_metered.kw[:] = columns.unpack(state.lam_kw, self.count)
        self.last_metered.kvar[:] = columns.unpack(state.lam_kvar, self.count)
        self._states.note(FEEDER, state)


def _is_final(dispatch: Dispatch, reply: FeederReply) -> bool:
    """Whether a clearing is confirmed, or known to violate limits as little as any.

    One that is confirmed with another model gave way to limits that it did not meet.
    """
    clearing = dispatch.clearing
    if clearing is None:
        return False
    if reply.unwatched:
        return False
    if reply.confirmed:
        return reply.model is None
    return is_least_violation(clearing.relaxed, reply.linear_error_pu)
