"""LAM operators on the bus: they gather bids, bid into the WAM, and share out what it cleared.

One ``LamHost`` may operate many LAMs over one connection; each LAM's arithmetic is its own, so that
any number of hosts gives the same bits.
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
from broker.node import Node
from market.model.arrays import Floats
from market.participants.gates import sit_out, three_quarters
from market.participants.lam.bid_book import Seats, read_metered
from market.participants.lam.curve_members import CurveMembers
from market.participants.lam.outage import without_source
from market.participants.lam.round_members import RoundMembers
from market.participants.lam.sharing import Members
from market.participants.roster import Roster, Rules


class LamHost:
    """Service: operator of the LAMs that the roster gives to this node's name."""

    def __init__(self, node: Node, roster: Roster, rules: Rules) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.seats = Seats.of(roster, node.name)
        by_form = CurveMembers if rules.bidding == "curve" else RoundMembers
        self.members: Members = by_form(node, roster, rules, self.seats)
        self.outcomes: Collector[WamOutcome] = Collector(["wam"])
        self._interval_h = 0.0
        self._bid_tick = -1
        topics = node.topics
        metered = topics.telemetry("meter", "+")
        for name, place in self.seats.live.items():
            node.on(topics.telemetry("meter", name), partial(self._take_telemetry, place), through=metered)
        for host in roster.hosts:
            node.on(topics.metered(host), partial(self._take_metered, host))
        node.on(topics.wam_outcome, self._take_outcome)

    async def on_step(self, step: Step) -> None:
        """Gather and forward in the bid step, share out in the clear step."""
        self._interval_h = step.interval_s / 3600.0
        if step.step == "bid":
            self._bid_tick = step.tick
            await self.members.open(step)
        elif step.step == "clear" and self._bid_tick != step.tick:
            await sit_out(self.node, step)
        elif step.step == "clear":
            await self._clear(step)

    async def _clear(self, step: Step) -> None:
        outcome = await self._outcome(step)
        if outcome is None:
            self.node.flag(f"the WAM was silent: {self.node.name} clears its LAMs against the tariffs")
        seats = self.seats
        shares = await self.members.share(step, outcome)
        if outcome is not None:
            shares = without_source(shares, seats, np.isin(seats.lams, outcome.unserved))
        fee = self.rules.case.fee[seats.lams][seats.group]
        trade_price = shares.price[seats.group] + fee * np.sign(shares.trade_kw)
        await self._award(step.tick, shares.trade_kw, trade_price)
        refused, self.members.refused[:] = list(self.members.refused), []
        await self.node.publish(
            self.node.topics.lam_outcome(self.node.name),
            LamOutcome,
            step.tick,
            lam=columns.pack_index(seats.lams),
            price=columns.pack(shares.price),
            net_kw=columns.pack(shares.net_kw),
            wam_price=columns.pack(shares.wam_price),
            prosumer=columns.pack_index(seats.members),
            trade_kw=columns.pack(shares.trade_kw),
            trade_price=columns.pack(trade_price),
            alone=outcome is None,
            refused=refused,
            missing=self.members.missing,
            talks=self.members.talks(),
        )
        await self.node.done(step.step, step.tick)

    async def _outcome(self, step: Step) -> WamOutcome | None:
        """Answer the WAM until it says what was cleared; nothing where it stays silent until the gate."""
        talking = asyncio.create_task(self.members.talk(step), name=f"{self.node.name} rounds")
        try:
            outcomes = await self.outcomes.wait(step.tick, three_quarters(step))
        finally:
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking
        return outcomes.get("wam")

    async def _award(self, tick: int, trade_kw: Floats, trade_price: Floats) -> None:
        topics, seats = self.node.topics, self.seats
        outgoing: list[tuple[str, Message]] = []
        for name, place in seats.live.items():
            topic = topics.award(self.roster.lams[seats.lams[seats.group[place]]], name)
            award = self.node.stamp(
                topic, Award, tick, trade_kw=float(trade_kw[place]), price=float(trade_price[place])
            )
            outgoing.append((topic, award))
        for host, members in self.roster.hosts.items():
            mine = np.isin(seats.members, members)
            topic = topics.award_batch(self.node.name, host)
            batch = self.node.stamp(
                topic,
                AwardBatch,
                tick,
                prosumer=columns.pack_index(seats.members[mine]),
                trade_kw=columns.pack(trade_kw[mine]),
                price=columns.pack(trade_price[mine]),
            )
            outgoing.append((topic, batch))
        await self.node.publish_all(outgoing)

    def _take_outcome(self, outcome: WamOutcome) -> None:
        if not len(outcome.net_kw) == len(outcome.price) == len(self.roster.lams):
            raise ValueError(f"an outcome must hold {len(self.roster.lams)} nets and prices")
        self.outcomes.add("wam", outcome.tick, outcome)

    def _take_telemetry(self, place: int, telemetry: Telemetry) -> None:
        if telemetry.phase == "meter" and telemetry.quality == "good" and telemetry.p_kw is not None:
            self.seats.last_kw[place] = telemetry.p_kw
            self.seats.last_kvar[place] = telemetry.q_kvar or 0.0

    def _take_metered(self, host: str, metered: MeteredBatch) -> None:
        prosumer = self.roster.hosts[host]
        energy_kwh, reactive_kvarh = read_metered(metered, prosumer)
        if self._interval_h == 0.0:
            return  # Started anew behind the last step: the interval's length is not known yet.
        mine = np.flatnonzero(np.isin(prosumer, self.seats.members))
        places = np.searchsorted(self.seats.members, prosumer[mine])
        self.seats.last_kw[places] = energy_kwh[mine] / self._interval_h
        self.seats.last_kvar[places] = reactive_kvarh[mine] / self._interval_h
