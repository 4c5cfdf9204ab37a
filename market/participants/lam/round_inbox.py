"""What a LAM host hears in rounds of bidding: the WAM's prices, its members' ranges, and their bids."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np

from broker.collector import Collector, Late
from broker.messages import Opening, OpeningBatch, RoundBid, RoundBidBatch, WamPrice, columns
from broker.node import Node
from market.participants.lam.bid_book import Seats, numbers
from market.participants.lam.round_bids import AnsweredBids, Asked, Openings, read_opening, read_openings
from market.participants.roster import Roster

UNFIT = "bids were not asked for, are not within their openings, or have a slope below 0"


class RoundInbox:
    """Checks what comes in, and keeps it until it is asked for.

    Attributes
    ----------
    refused
        Members whose word was refused.
    """

    def __init__(self, node: Node, roster: Roster, seats: Seats) -> None:
        self.node = node
        self.roster = roster
        self.seats = seats
        self.refused: list[str] = []
        self._signals: asyncio.Queue[WamPrice] = asyncio.Queue()
        self._openings: Collector[Openings] = Collector(seats.live)
        self._opening_batches: Collector[Openings] = Collector(roster.hosts)
        self._bids: Collector[AnsweredBids] = Collector(seats.live)
        self._batches: Collector[AnsweredBids] = Collector(roster.hosts)
        self._round = (-1, 0)
        self._asked: Asked | None = None
        self._places = {
            host: np.flatnonzero(np.isin(seats.members, members)) for host, members in roster.hosts.items()
        }
        topics = node.topics
        for name, place in seats.live.items():
            lam = roster.lams[seats.lams[seats.group[place]]]
            opening, bid = topics.opening(lam, name), topics.round_bid(lam, name)
            node.on(opening, partial(self._take_opening, name), through=topics.opening("+", "+"))
            node.on(bid, partial(self._take_bid, name), through=topics.round_bid("+", "+"))
        for host in roster.hosts:
            node.on(topics.opening_batch(host), partial(self._take_opening_batch, host))
            node.on(topics.round_bid_batch(node.name, host), partial(self._take_batch, host))
        node.on(topics.wam_price, self._take_signal)

    async def signal(self) -> WamPrice:
        """The newest of the WAM's prices, once there are any that were not taken yet."""
        signal = await self._signals.get()
        while not self._signals.empty():
            signal = self._signals.get_nowait()
        return signal

    async def openings(self, tick: int, gate: float) -> list[Openings]:
        """Members' ranges: all, or what is there at the gate."""
        live = await self._openings.wait(tick, gate)
        batches = await self._opening_batches.wait(tick, gate)
        return [*live.values(), *batches.values()]

    def expect(self, round_: tuple[int, int], asked: Asked) -> None:
        """From now on bids answer this: the round of the tick, and what members are asked in it."""
        self._round, self._asked = round_, asked

    async def answers(self, gate: float) -> list[AnsweredBids]:
        """Bids of those who are asked: all, or what is there at the gate."""
        assert self._asked is not None
        is_asked = np.isfinite(self._asked.price)
        tick, round_ = self._round
        names = [name for name, place in self.seats.live.items() if is_asked[place]]
        hosts = [host for host, places in self._places.items() if is_asked[places].any()]
        live = await self._bids.wait(tick, gate, round_, names)
        batches = await self._batches.wait(tick, gate, round_, hosts)
        return [*live.values(), *batches.values()]

    def _take_signal(self, signal: WamPrice) -> None:
        if len(signal.price) != len(self.roster.lams):
            raise ValueError(f"wide-area prices must be {len(self.roster.lams)}, one for each LAM")
        self._signals.put_nowait(signal)

    def _take_opening(self, name: str, opening: Opening) -> None:
        place = self.seats.live[name]
        try:
            opened = read_opening(opening, int(self.seats.members[place]), self.seats.rating_kw[place])
        except ValueError as error:
            self.refused.append(name)
            raise ValueError(f"opening of {name}: {error}") from error
        self._openings.add(name, opening.tick, opened)

    def _take_opening_batch(self, host: str, batch: OpeningBatch) -> None:
        if batch.sender != host:
            raise ValueError(f"{batch.sender} is not {host}")
        prosumer = self.roster.hosts[host]
        opened = read_openings(batch, prosumer, self.roster.rating_kw[prosumer])
        self._opening_batches.add(host, batch.tick, opened)
        mine = ~opened.valid & np.isin(prosumer, self.seats.members)
        self._refuse(
            [self.roster.prosumers[member] for member in prosumer[mine]],
            "openings are no ranges within their rating",
        )

    def _take_bid(self, name: str, bid: RoundBid) -> None:
        asked = self._asked_in(bid)
        slope = np.zeros(0) if bid.slope is None else np.array([bid.slope])
        place = np.array([self.seats.live[name]])
        answered, valid = asked.read(place, np.array([bid.intercept_kw]), slope)
        self._refuse([] if valid.all() else [name], UNFIT)
        self._bids.add(name, bid.tick, answered, bid.round)

    def _take_batch(self, host: str, batch: RoundBidBatch) -> None:
        if batch.sender != host:
            raise ValueError(f"{batch.sender} is not {host}")
        asked = self._asked_in(batch)
        prosumer = columns.unpack_index(batch.prosumer)
        mine = self._places[host]
        if not np.isin(prosumer, self.seats.members[mine]).all():
            raise ValueError(f"{host} must bid for its own prosumers in LAMs of {self.node.name}")
        place = np.searchsorted(self.seats.members, prosumer)
        intercept_kw = numbers(batch.intercept_kw, place.size)
        slope = numbers(batch.slope, place.size if asked.with_slope else 0)
        answered, valid = asked.read(place, intercept_kw, slope)
        self._batches.add(host, batch.tick, answered, batch.round)
        self._refuse(
            [self.seats.names[one] for one in place[~valid]],
            UNFIT,
        )

    def _asked_in(self, bid: RoundBid | RoundBidBatch) -> Asked:
        """What was asked in a bid's round; refuses a round that was not, and one that is past is late."""
        answers = (bid.tick, bid.round)
        if answers > self._round or self._asked is None:
            raise ValueError(f"round {bid.round} of tick {bid.tick} was not asked")
        if answers < self._round:
            raise Late(f"bid of round {bid.round} came after round {self._round[1]} was asked")
        return self._asked

    def _refuse(self, names: list[str], reason: str) -> None:
        """Note members whose word is not taken, and say so."""
        if names:
            self.refused += names
            raise ValueError(f"{len(names)} {reason}: {', '.join(names[:5])}")
