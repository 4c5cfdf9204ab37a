"""LAM operators on the bus: they gather bids, bid into the WAM, and divide what it cleared among members.

One ``LamHost`` may operate many LAMs over one connection. Each LAM is computed by itself, so that any number
of hosts gives the same bits.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import (
    Award,
    AwardBatch,
    LamOutcome,
    Message,
    MeteredBatch,
    Step,
    Telemetry,
    WamOutcome,
    columns,
)
from broker.messages.batches import read_metered
from broker.participant.node import Node
from broker.participant.others import Heard
from broker.snapshot import Values
from market.model.arrays import Floats
from market.participants.gates import late_gate, skip_step
from market.participants.lam.bidding import LamAllocation, LamBidding, without_unserved
from market.participants.lam.curve_bidding import LamCurveBidding
from market.participants.lam.participants import Participants
from market.participants.lam.pool_rounds import LamPoolRounds
from market.participants.lam.round_bidding import LamRoundBidding
from market.participants.roster import Roster, Rules


class LamHost:
    """Service: operator of the LAMs that the roster gives to this node's name."""

    def __init__(self, node: Node, roster: Roster, rules: Rules) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.participants = Participants.of(roster, node.name)
        in_rounds = LamPoolRounds if rules.case.rule.has_utility else LamRoundBidding
        by_form = LamCurveBidding if rules.bidding == "curve" else in_rounds
        self.bidding: LamBidding = by_form(node, roster, rules, self.participants)
        topics = node.topics
        self.outcomes: Collector[WamOutcome] = node.collector({"wam": topics.wam_outcome})
        self._interval_h = 0.0
        self._bid_tick = -1
        self._metered = Heard(node, [*self.participants.live, *roster.hosts])
        metered = topics.telemetry("meter", "+")
        for name, place in self.participants.live.items():
            take = partial(self._take_telemetry, name, place)
            node.on(topics.telemetry("meter", name), take, through=metered)
        for host in roster.hosts:
            node.on(topics.metered(host), partial(self._take_metered, host))
        node.on(topics.wam_outcome, self._take_outcome)

    async def on_step(self, step: Step) -> None:
        """Gather bids, bid into the WAM, allocate what it clears; an interval ends with what was metered."""
        self._interval_h = step.interval_s / 3600.0
        if step.step == "bid":
            self._bid_tick = step.tick
            await self.bidding.gather_bids(step)
        elif step.step == "clear" and self._bid_tick != step.tick:
            await skip_step(self.node, step)
        elif step.step == "clear":
            await self._clear(step)
        elif step.step == "settle":
            await self._metered.wait(step)

    async def snapshot(self) -> Values:
        """What was metered last, and what the form of bidding remembers."""
        return {**self.participants.snapshot(), **self.bidding.snapshot()}

    async def restore(self, values: Values) -> None:
        """See `broker.snapshot.Stateful`."""
        self.participants.restore(values)
        self.bidding.restore(values)
        self.bidding.refused[:] = []
        self._bid_tick = -1

    async def _clear(self, step: Step) -> None:
        outcome = await self._outcome(step)
        if outcome is None:
            self.node.flag(f"the WAM was silent: {self.node.name} clears its LAMs against the tariffs")
        participants = self.participants
        allocation = await self.bidding.allocate(step, outcome)
        if outcome is not None:
            unserved = np.isin(participants.lams, outcome.unserved)
            allocation = without_unserved(allocation, participants, unserved)
        fee = self.rules.case.fee[participants.lams][participants.group]
        trade_price = allocation.price[participants.group] + fee * np.sign(allocation.trade_kw)
        await self._award(step.tick, allocation, trade_price)
        refused, self.bidding.refused[:] = list(self.bidding.refused), []
        await self.node.publish(
            self.node.topics.lam_outcome(self.node.name),
            LamOutcome,
            step.tick,
            lam=columns.pack_index(participants.lams),
            price=columns.pack(allocation.price),
            net_kw=columns.pack(allocation.net_kw),
            wam_price=columns.pack(allocation.wam_price),
            prosumer=columns.pack_index(participants.members),
            trade_kw=columns.pack(allocation.trade_kw),
            trade_price=columns.pack(trade_price),
            alone=outcome is None,
            refused=refused,
            missing=self.bidding.missing,
            exchange=self.bidding.exchange(),
            utility_kw=_unless_none(allocation.utility_kw),
            charge=_unless_none(allocation.charge),
        )
        await self.node.done(step.step, step.tick)

    async def _outcome(self, step: Step) -> WamOutcome | None:
        """Answer the WAM until its outcome comes; ``None`` where there is none when the gate closes."""
        answering = asyncio.create_task(self.bidding.answer_wam(step), name=f"{self.node.name} rounds")
        try:
            outcomes = await self.outcomes.wait(step.tick, late_gate(step))
        finally:
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering
        return outcomes.get("wam")

    async def _award(self, tick: int, allocation: LamAllocation, trade_price: Floats) -> None:
        trade_kw, utility_kw = allocation.trade_kw, allocation.utility_kw
        topics, participants = self.node.topics, self.participants
        outgoing: list[tuple[str, Message]] = []
        for name, place in participants.live.items():
            topic = topics.award(self.roster.lams[participants.lams[participants.group[place]]], name)
            award = self.node.stamp(
                topic,
                Award,
                tick,
                trade_kw=float(trade_kw[place]),
                price=float(trade_price[place]),
                utility_kw=float(utility_kw[place]),
            )
            outgoing.append((topic, award))
        await self.node.publish_all(outgoing)
        for host, members in self.roster.hosts.items():
            mine = np.isin(participants.members, members)
            topic = topics.award_batch(self.node.name, host)
            batch = self.node.stamp(
                topic,
                AwardBatch,
                tick,
                prosumer=columns.pack_index(participants.members[mine]),
                trade_kw=columns.pack(trade_kw[mine]),
                price=columns.pack(trade_price[mine]),
                utility_kw=_unless_none(utility_kw[mine]),
            )
            # By itself: its one receiver listens to no neighbouring topics, as it must to hear bundles.
            await self.node.publish_message(topic, batch)

    def _take_outcome(self, outcome: WamOutcome) -> None:
        if not len(outcome.net_kw) == len(outcome.price) == len(self.roster.lams):
            raise ValueError(f"an outcome must hold {len(self.roster.lams)} nets and prices")
        self.outcomes.add("wam", outcome.tick, outcome)

    def _take_telemetry(self, name: str, place: int, telemetry: Telemetry) -> None:
        if telemetry.phase == "meter" and telemetry.quality == "good" and telemetry.p_kw is not None:
            self.participants.last_kw[place] = telemetry.p_kw
            if telemetry.q_kvar is not None:
                self.participants.last_kvar[place] = telemetry.q_kvar
        self._metered.note(name, telemetry)

    def _take_metered(self, host: str, metered: MeteredBatch) -> None:
        prosumer = self.roster.hosts[host]
        energy_kwh, reactive_kvarh = read_metered(metered, prosumer)
        self._metered.note(host, metered)
        if self._interval_h == 0.0:
            return  # Started anew behind the last step: the interval's length is not known yet.
        mine, places = self.participants.places_of(prosumer)
        self.participants.last_kw[places] = energy_kwh[mine] / self._interval_h
        self.participants.last_kvar[places] = reactive_kvarh[mine] / self._interval_h


def _unless_none(values: Floats) -> bytes:
    """A column that is left empty where all of its values are zero."""
    return columns.pack(values) if values.any() else b""
