"""Bidding in the WAM of a pool by rounds: LAM hosts tell what they believe of their members, and learn more.

A LAM host that does not answer in a round counts as inflexible from then on in this interval, with all of its
LAMs. Where the time for bids ends before all agree, what was cleared last stands, and is flagged.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import Exchange, LamBeliefs, NetworkModel, Step, columns
from broker.participant.node import Node
from broker.snapshot import Values, optional_array
from market.errors import NotConverged
from market.model.arrays import Floats
from market.model.curve_checks import find_faults
from market.model.curves import Curves, join, starts
from market.participants.gates import GateClosed
from market.participants.roster import Roster, Rules, Terms
from market.participants.wam.bidding import LastMetered
from market.participants.wam.clear_model import clear_model
from market.participants.wam.host_rounds import HostRounds
from market.rounds import Tally
from market.rounds.wam_level import WAM_ROUNDS
from market.solver.lam_bids import LamBids, lam_bids
from market.solver.wam import WamClearing


class WamPoolRounds:
    """`market.participants.wam.bidding.WamBidding` of a pool, by bids in rounds."""

    bids: LamBids
    reactive_kvar: Floats

    def __init__(self, node: Node, roster: Roster, rules: Rules, last_metered: LastMetered) -> None:
        self.node = node
        self.roster = roster
        self.rules = rules
        self.last_metered = last_metered
        self._members = {
            host: np.flatnonzero(np.isin(roster.lam, lams)) for host, lams in roster.lam_hosts.items()
        }
        self._charge: Floats | None = None
        topics = {host: node.topics.lam_beliefs(host) for host in roster.lam_hosts}
        self.openings: Collector[LamBeliefs] = node.collector(topics)
        self.rounds = HostRounds[LamBeliefs](node, roster, topics)
        for host, topic in topics.items():
            node.on(topic, partial(self._take, host))

    @property
    def fallbacks(self) -> list[str]:
        """Names of members and LAMs that are taken as inflexible."""
        return self.rounds.fallbacks

    async def gather_bids(self, step: Step) -> None:
        """Gather members' ranges from all hosts; a silent one's LAMs are fixed at their last metered load."""
        self.rounds.begin(step.tick, Tally())
        have = await self.openings.wait(step.tick, step.deadline)
        self.rounds.answering = set(have)
        self.reactive_kvar = self.last_metered.kvar.copy()
        for host, told in have.items():
            lams = self.roster.lam_hosts[host]
            self.reactive_kvar[lams] = columns.unpack(told.reactive_kvar, lams.size)
        for host in self.roster.lam_hosts:
            if host not in have:
                self.rounds.fall_back(host)
        self._believe(step, have)

    async def net_purchases(self, step: Step, price: Floats) -> Floats:
        """What would flow, ``(M,)`` [kW], once members were asked at the last prices and charges."""
        charge = np.zeros(price.size) if self._charge is None else self._charge
        with suppress(GateClosed):  # Then what is believed so far has to do.
            await self._ask(step, price, charge, self.last_metered.kw)
        return self.bids.flows(price)

    async def clear(
        self, step: Step, model: NetworkModel, terms: Terms, last: WamClearing | None
    ) -> WamClearing:
        """Clear and ask in turn until all members would take what was cleared for them."""
        start, around_kw = (None, None) if last is None else (last.limit_prices, last.flow_kw)
        for _ in range(WAM_ROUNDS):
            found = clear_model(self.bids, model, terms, start, around_kw)
            start, self._charge = found.limit_prices, found.charge
            try:
                at_odds = await self._ask(step, found.price, found.charge, found.flow_kw)
            except GateClosed:
                self.node.flag(
                    f"the gate closed after {self.rounds.number} rounds of bids, before members agreed"
                )
                return found
            if not at_odds - set(model.unserved):
                return found
        raise NotConverged(WAM_ROUNDS, float("nan"), "members do not agree with what is cleared")

    async def _ask(self, step: Step, price: Floats, charge: Floats, flow_kw: Floats) -> set[int]:
        """Announce what was cleared and wait for what is believed then; LAMs that are at odds with it."""
        have, _ = await self.rounds.ask(
            step,
            price,
            charge=columns.column_list(charge),
            flow_kw=columns.column_list(flow_kw),
        )
        self.rounds.tally.count(1, 3 * price.size)
        self._believe(step, have)
        return {int(lam) for told in have.values() for lam in columns.unpack_index(told.at_odds)}

    def _believe(self, step: Step, have: dict[str, LamBeliefs]) -> None:
        """Put together what hosts believe of their members; LAMs of silent ones flow as last metered."""
        pieces, group, silent_kw = [], [], {}
        for host, lams in self.roster.lam_hosts.items():
            if host not in have:
                silent_kw.update({int(lam): float(self.last_metered.kw[lam]) for lam in lams})
                continue
            pieces.append(_curves_of(have[host]))
            group.append(self.roster.lam[self._members[host]])
            self.rounds.fallbacks += have[host].fallbacks
            self.rounds.tally.messages += 1
            self.rounds.tally.numbers += 2 * pieces[-1].price.size
        curves = join(pieces) if pieces else Curves(np.zeros(0), np.zeros(0), np.zeros(1, dtype=np.intp))
        of_curve = np.concatenate([np.zeros(0, dtype=np.intp), *group])
        self.bids = lam_bids(self.rules.case, curves, of_curve, silent_kw, self.rules.terms(step.tick).tariff)

    def snapshot(self) -> Values:
        """Charges, at which the next interval's rounds begin."""
        return {"round_charge": self._charge}

    def restore(self, values: Values) -> None:
        """Let the next rounds begin at these charges; raises ``ValueError`` where they are another's."""
        self._charge = optional_array(values, "round_charge", np.zeros(len(self.roster.lams)))
        self.rounds.begin_anew()

    def exchange(self) -> Exchange:
        """Rounds with the LAMs and what they carried."""
        return self.rounds.exchange()

    def _take(self, host: str, told: LamBeliefs) -> None:
        if told.sender != host:
            raise ValueError(f"{told.sender} must not tell of the members of {host}")
        if not np.array_equal(columns.unpack_index(told.prosumer), self._members[host]):
            raise ValueError(f"{host} must tell of all members of its LAMs, in order")
        if told.round:
            self.rounds.check(told, "beliefs")
        curves = _curves_of(told)
        if not find_faults(curves.price, curves.kw, curves.start, np.full(len(curves), np.inf)).none.all():
            raise ValueError("curves must be finite, with ascending prices, and must not rise")
        (self.rounds.inbox if told.round else self.openings).add(host, told.tick, told, told.round)


def _curves_of(told: LamBeliefs) -> Curves:
    count = columns.unpack_index(told.count)
    price = columns.unpack(told.price, int(count.sum()))
    return Curves(price, columns.unpack(told.kw, price.size), starts(count))
