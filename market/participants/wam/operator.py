"""The WAM operator on the bus: clears over the feeder's linear model until AC power flow confirms.

It owns steps 3 and 4 of an interval (architecture: clear, confirm): clear, have the feeder solve AC power
flow at the dispatch and judge it, re-linearise there and clear again, within a bound on rounds. What no
round could confirm goes out flagged, as the least violating candidate; holding is a candidate too.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from broker.messages import FeederReply, FeederRequest, FeederState, NetworkModel, Step, WamOutcome, columns
from broker.node import Node
from market.errors import Infeasible, NotConverged
from market.model.arrays import Floats
from market.model.curves import price_range
from market.participants.gates import halfway, sit_out
from market.participants.network import (
    cleared_body,
    inverters_of,
    is_final,
    middle_price,
    network_of,
    unreachable,
)
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.curve_lams import CurveLams
from market.participants.wam.lams import Lams, Standby
from market.participants.wam.round_lams import RoundLams
from market.solver.wam import WamClearing


class FeederSilent(Exception):
    """The feeder did not answer within the step."""


@dataclass(frozen=True)
class Candidate:
    """A dispatch that AC power flow has solved, and the clearing that led to it; ``None`` when held."""

    net_kw: Floats
    inverter_kvar: Floats
    outcome: WamClearing | None
    row_name: list[str]
    reply: FeederReply

    @property
    def rank(self) -> tuple[bool, float, bool, float]:
        """Sorts confirmed clearings first, then by how far AC is beyond its limits; holding behind equals.

        Among equals the one whose linear model was truest comes first.
        """
        held, reply = self.outcome is None, self.reply
        severity = np.inf if reply.severity is None else reply.severity
        error_pu = np.inf if reply.linear_error_pu is None else reply.linear_error_pu
        return (held or not reply.confirmed, severity, held, error_pu)


@dataclass
class Negotiation:
    """What came of one interval's rounds between market and feeder."""

    candidates: list[Candidate] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    rounds: int = 0
    clear_s: float = 0.0
    confirm_s: float = 0.0
    unserved: list[int] = field(default_factory=list)


class WamOperator:
    """Service: the wide-area market and its confirmation by the feeder.

    Parameters
    ----------
    rounds
        Bound on clear-confirm rounds per interval.
    """

    def __init__(self, node: Node, roster: Roster, rules: Rules, *, rounds: int) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.rounds = rounds
        self.count = len(roster.lams)
        self.standby = Standby.of(self.count)
        by_form = CurveLams if rules.bidding == "curve" else RoundLams
        self.lams: Lams = by_form(node, roster, rules, self.standby)
        self.price: Floats | None = None
        self.inverter_kvar = np.zeros(0)
        self._awaited = -1
        self._bid_tick = -1
        self._reply: asyncio.Future[FeederReply] | None = None
        node.on(node.topics.feeder_reply, self._take_reply)
        node.on(node.topics.feeder_state, self._take_state)

    async def on_step(self, step: Step) -> None:
        """Gather LAM bids, then clear and confirm."""
        if step.step == "bid":
            await self.lams.gather(step)
            self._bid_tick = step.tick
            await self.node.done(step.step, step.tick)
        elif step.step == "clear" and self._bid_tick != step.tick:
            await sit_out(self.node, step)
        elif step.step == "clear":
            await self._clear(step)

    async def _clear(self, step: Step) -> None:
        terms = self.rules.terms(step.tick)
        talks = await self._negotiate(step, terms)
        best = min(talks.candidates, key=lambda candidate: candidate.rank, default=None)
        if best is None:
            talks.flags.append("no power flow at all: the last prices are held")
        if best is None or best.outcome is None:
            status = "held"
            if best is not None and not talks.flags:
                talks.flags.append("the last prices are held: no clearing violates the network's limits less")
            body = await self._held(step, terms, best)
        else:
            status = "confirmed" if best.reply.confirmed else "unconfirmed"
            if status == "unconfirmed":
                talks.flags.append(f"unconfirmed: the least violating dispatch, of round {best.reply.round}")
            body = cleared_body(best.outcome, best.row_name)
            self.price, self.inverter_kvar = best.outcome.price, best.outcome.inverter_kvar
        for flag in talks.flags:
            self.node.flag(flag)
        await self.node.publish(
            self.node.topics.wam_outcome,
            WamOutcome,
            step.tick,
            status=status,
            round=0 if best is None else best.reply.round,
            rounds=talks.rounds,
            linear_error_pu=None if best is None else best.reply.linear_error_pu,
            violations=[] if best is None else best.reply.violations,
            flags=talks.flags,
            fallbacks=self.lams.fallbacks,
            clear_s=talks.clear_s,
            confirm_s=talks.confirm_s,
            unserved=talks.unserved,
            talks=self.lams.talks(),
            **body,
        )
        await self.node.done(step.step, step.tick)

    async def _negotiate(self, step: Step, terms: Terms) -> Negotiation:
        """Clear and ask the feeder in turn until AC power flow confirms, within the bound on rounds."""
        talks = Negotiation()
        net_kw = await self.lams.nets(step, self._last_prices(terms))
        inverter_kvar = self.inverter_kvar
        outcome: WamClearing | None = None
        row_name: list[str] = []
        for round_ in range(self.rounds + 1):
            talks.rounds = round_
            asked = time.perf_counter()
            try:
                reply = await self._ask(step, round_, net_kw, inverter_kvar)
            except FeederSilent as silent:
                talks.flags.append(str(silent))
                break
            talks.confirm_s += time.perf_counter() - asked
            if reply.solved:
                talks.candidates.append(Candidate(net_kw, inverter_kvar, outcome, row_name, reply))
            else:
                talks.flags.append(f"AC power flow of round {round_} has no solution")
            if (outcome is not None and reply.confirmed) or reply.model is None or round_ == self.rounds:
                break
            if outcome is not None and is_final(outcome.relaxed, reply.linear_error_pu):
                break
            talks.unserved = reply.model.unserved
            began = time.perf_counter()
            try:
                outcome = await self.lams.clear(step, reply.model, terms)
            except (Infeasible, NotConverged) as problem:
                talks.flags.append(f"clearing of round {round_ + 1}: {problem}")
                break
            finally:
                talks.clear_s += time.perf_counter() - began
            talks.flags += unreachable(outcome.relaxed, round_ + 1)
            net_kw, inverter_kvar, row_name = outcome.net_kw, outcome.inverter_kvar, reply.model.name
        return talks

    def _last_prices(self, terms: Terms) -> Floats:
        """Prices at which to linearise first, and which holding means, ``(M,)``."""
        return np.full(self.count, middle_price(terms)) if self.price is None else self.price

    async def _held(self, step: Step, terms: Terms, best: Candidate | None) -> dict[str, Any]:
        """Outcome in which the last prices stay: each LAM's own shadow price, all of it energy."""
        last = self._last_prices(terms)
        net_kw = await self.lams.nets(step, last) if best is None else best.net_kw
        price = np.clip(last, *price_range(self.lams.curves, net_kw))
        source_kw = None if best is None else best.reply.source_kw
        zero = [0.0] * self.count
        return {
            "net_kw": columns.column_list(net_kw),
            "price": columns.column_list(price),
            "energy": columns.column_list(price),
            "loss": zero,
            "voltage": zero,
            "congestion": zero,
            "energy_price": middle_price(terms),
            "grid_kw": float(np.sum(net_kw)) if source_kw is None else source_kw,
            "row_name": [],
            "row_dual": [],
            "inverter_kvar": columns.column_list(self.inverter_kvar if best is None else best.inverter_kvar),
        }

    async def _ask(self, step: Step, round_: int, net_kw: Floats, inverter_kvar: Floats) -> FeederReply:
        curves = self.lams.curves
        self._awaited = round_
        self._reply = asyncio.get_running_loop().create_future()
        await self.node.publish(
            self.node.topics.feeder_request,
            FeederRequest,
            step.tick,
            round=round_,
            net_kw=columns.column_list(net_kw),
            reactive_kvar=columns.column_list(self.lams.reactive_kvar),
            low_kw=columns.column_list(curves.lowest_kw),
            high_kw=columns.column_list(curves.highest_kw),
            inverter_kvar=columns.column_list(inverter_kvar),
        )
        try:
            async with asyncio.timeout(max(0.0, halfway(step) - time.time())):
                return await self._reply
        except TimeoutError:
            raise FeederSilent(f"the feeder did not answer round {round_} in time") from None
        finally:
            self._reply = None

    def _take_reply(self, reply: FeederReply) -> None:
        if self._reply is not None and not self._reply.done() and reply.round == self._awaited:
            if reply.model is not None:
                self._check_model(reply.model)
            self._reply.set_result(reply)

    def _check_model(self, model: NetworkModel) -> None:
        if len(model.balance) != self.count:
            raise ValueError(f"the model has {len(model.balance)} LAMs where there are {self.count}")
        network_of(model)
        inverters_of(model)

    def _take_state(self, state: FeederState) -> None:
        self.standby.kw[:] = columns.unpack(state.lam_kw, self.count)
        self.standby.kvar[:] = columns.unpack(state.lam_kvar, self.count)
