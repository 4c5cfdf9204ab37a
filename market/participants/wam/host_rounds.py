"""LAM hosts in rounds of bidding: asked again and again, and taken as inflexible where they fall silent.

A LAM host that does not answer in a round counts as inflexible from then on in this interval, with all of its
LAMs.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np

from broker.collector import Collector
from broker.messages import Exchange, LamBeliefs, LamRoundBid, Step, WamPrice, columns
from broker.participant.node import Node
from market.model.arrays import Floats
from market.participants.exchange import exchange_of
from market.participants.gates import LAMS_ROUND, GateClosed, bidding_gate, check_round, round_gate
from market.participants.roster import Roster
from market.participants.wam.bidding import flag_silence
from market.rounds import Tally

Answer = TypeVar("Answer")


class HostRounds(Generic[Answer]):
    """Asks LAM hosts, and keeps who of them still answers.

    Parameters
    ----------
    topics
        Topic of each host's answers.

    Attributes
    ----------
    inbox
        Answers of the hosts.
    answering
        Hosts that are asked.
    fallbacks
        Names of members and LAMs that are taken as inflexible.
    number
        The round that was asked last; 0 before the first of an interval.
    price
        What was announced in it, ``(M,)`` [$/kWh].
    tally
        What the interval's rounds took.
    """

    def __init__(self, node: Node, roster: Roster, topics: dict[str, str]) -> None:
        self.node = node
        self.roster = roster
        self.inbox: Collector[Answer] = node.collector(topics, node.topics.wam_price)
        self.answering: set[str] = set()
        self.fallbacks: list[str] = []
        self.number = 0
        self.price = np.zeros(len(roster.lams))
        self.tally = Tally()
        self._tick = -1

    def begin(self, tick: int, tally: Tally) -> None:
        """Begin an interval."""
        self._tick, self.number, self.tally, self.fallbacks = tick, 0, tally, []

    def begin_anew(self) -> None:
        """Forget what was asked: an interval begins again."""
        self._tick, self.number = -1, 0

    async def ask(
        self, step: Step, price: Floats, **others: list[float]
    ) -> tuple[dict[str, Answer], list[str]]:
        """Announce prices, and wait for the hosts' answers: these, and hosts that fell silent.

        Parameters
        ----------
        price
            Of each LAM, ``(M,)`` [$/kWh].
        others
            Further fields of `broker.messages.WamPrice`.

        Raises
        ------
        GateClosed
            There is no time for an answer.
        """
        gate, is_full = round_gate(step, LAMS_ROUND, bidding_gate(step))
        self.number += 1
        self.price = price
        await self.node.publish(
            self.node.topics.wam_price,
            WamPrice,
            step.tick,
            round=self.number,
            price=columns.column_list(price),
            **others,
        )
        have = await self.inbox.wait(step.tick, gate, self.number, self.answering)
        silent = sorted(self.answering - set(have))
        if silent and not is_full:
            raise GateClosed
        for host in silent:
            self.answering.discard(host)
            self.fall_back(host)
        return have, silent

    def fall_back(self, host: str) -> None:
        """Flag that a host's LAMs are taken as inflexible."""
        names = [self.roster.lams[lam] for lam in self.roster.lam_hosts[host]]
        flag_silence(self.node, names)
        self.fallbacks += names

    def check(self, answer: LamRoundBid | LamBeliefs, what: str = "bid") -> None:
        """Hold an answer against the round that was asked last; raises as `check_round`."""
        check_round(answer, (self._tick, self.number), what)

    def exchange(self) -> Exchange:
        """Rounds with the LAMs and what they carried."""
        return exchange_of(self.tally, self.number)
