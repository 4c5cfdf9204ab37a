"""What a LAM host receives in rounds of bidding: the WAM's prices, its members' ranges, and their bids."""

from __future__ import annotations

import asyncio
from functools import partial

import numpy as np

from broker.collector import Collector
from broker.messages import Opening, OpeningBatch, RoundBid, RoundBidBatch, WamPrice, columns
from broker.participant.node import Node
from market.participants.batches import read_values
from market.participants.gates import check_round
from market.participants.lam.participants import Participants
from market.participants.lam.round_bids import BidRanges, RoundAnswers, RoundRequest, read_range, read_ranges
from market.participants.roster import Roster, first_of

UNFIT = "bids were not asked for, are not within their openings, or have a slope below 0"


class RoundInbox:
    """Checks these messages, and keeps them until the host waits for them.

    Attributes
    ----------
    refused
        Members whose range or bid was refused.
    """

    def __init__(self, node: Node, roster: Roster, participants: Participants) -> None:
        self.node = node
        self.roster = roster
        self.participants = participants
        self.refused: list[str] = []
        self._wam_prices: asyncio.Queue[WamPrice] = asyncio.Queue()
        self._round = (-1, 0)
        self._request: RoundRequest | None = None
        self._places = {
            host: np.flatnonzero(np.isin(participants.members, members))
            for host, members in roster.hosts.items()
        }
        topics, asked = node.topics, node.topics.lam_price(node.name)
        lam_of = {
            name: roster.lams[participants.lams[participants.group[place]]]
            for name, place in participants.live.items()
        }
        openings = {name: topics.opening(lam, name) for name, lam in lam_of.items()}
        bids = {name: topics.round_bid(lam, name) for name, lam in lam_of.items()}
        batches = {host: topics.round_bid_batch(node.name, host) for host in roster.hosts}
        self._ranges: Collector[BidRanges] = node.collector(openings)
        self._range_batches: Collector[BidRanges] = node.collector(
            {host: topics.opening_batch(host) for host in roster.hosts}
        )
        self._bids: Collector[RoundAnswers] = node.collector(bids, asked)
        self._batches: Collector[RoundAnswers] = node.collector(batches, asked)
        for name in lam_of:
            node.on(openings[name], partial(self._take_opening, name), through=topics.opening("+", "+"))
            node.on(bids[name], partial(self._take_bid, name), through=topics.round_bid("+", "+"))
        for host in roster.hosts:
            node.on(topics.opening_batch(host), partial(self._take_opening_batch, host))
            node.on(batches[host], partial(self._take_batch, host))
        node.on(topics.wam_price, self._take_wam_price)

    def begin_anew(self) -> None:
        """Forget what was announced and asked: an interval begins again."""
        self._wam_prices = asyncio.Queue()
        self._round, self._request = (-1, 0), None
        self.refused.clear()

    async def wam_price(self) -> WamPrice:
        """Wait for prices that the WAM announces; only the newest of several counts."""
        announced = await self._wam_prices.get()
        while not self._wam_prices.empty():
            announced = self._wam_prices.get_nowait()
        return announced

    async def ranges(self, tick: int, gate: float) -> list[BidRanges]:
        """Members' ranges: of all, or of those who have sent theirs when the gate closes."""
        live = await self._ranges.wait(tick, gate)
        batches = await self._range_batches.wait(tick, gate)
        return [*live.values(), *batches.values()]

    def expect(self, tick: int, round_: int, request: RoundRequest) -> None:
        """Take bids from now on as answers to ``request``, in a round of a tick."""
        self._round, self._request = (tick, round_), request

    async def answers(self, gate: float) -> list[RoundAnswers]:
        """Bids of the members who are asked: of all, or of those who have bid when the gate closes."""
        assert self._request is not None
        is_asked = np.isfinite(self._request.price)
        tick, round_ = self._round
        names = [name for name, place in self.participants.live.items() if is_asked[place]]
        hosts = [host for host, places in self._places.items() if is_asked[places].any()]
        live = await self._bids.wait(tick, gate, round_, names)
        batches = await self._batches.wait(tick, gate, round_, hosts)
        return [*live.values(), *batches.values()]

    def _take_wam_price(self, announced: WamPrice) -> None:
        if len(announced.price) != len(self.roster.lams):
            raise ValueError(f"wide-area prices must be {len(self.roster.lams)}, one for each LAM")
        self._wam_prices.put_nowait(announced)

    def _take_opening(self, name: str, opening: Opening) -> None:
        place = self.participants.live[name]
        try:
            found = read_range(
                opening, int(self.participants.members[place]), self.participants.rating_kw[place]
            )
        except ValueError as error:
            self.refused.append(name)
            raise ValueError(f"opening of {name}: {error}") from error
        self._ranges.add(name, opening.tick, found)

    def _take_opening_batch(self, host: str, batch: OpeningBatch) -> None:
        if batch.sender != host:
            raise ValueError(f"{batch.sender} is not {host}")
        prosumer = self.roster.hosts[host]
        found = read_ranges(batch, prosumer, self.roster.rating_kw[prosumer])
        self._range_batches.add(host, batch.tick, found)
        mine = ~found.valid & np.isin(prosumer, self.participants.members)
        self._refuse(
            [self.roster.prosumers[member] for member in prosumer[mine]],
            "openings are no ranges within their rating",
        )

    def _take_bid(self, name: str, bid: RoundBid) -> None:
        request = self._request_of(bid)
        slope = np.zeros(0) if bid.slope is None else np.array([bid.slope])
        place = np.array([self.participants.live[name]])
        answered, valid = request.read(place, np.array([bid.intercept_kw]), slope)
        self._refuse([] if valid.all() else [name], UNFIT)
        self._bids.add(name, bid.tick, answered, bid.round)

    def _take_batch(self, host: str, batch: RoundBidBatch) -> None:
        if batch.sender != host:
            raise ValueError(f"{batch.sender} is not {host}")
        request = self._request_of(batch)
        prosumer = columns.unpack_index(batch.prosumer)
        mine = self._places[host]
        if not np.isin(prosumer, self.participants.members[mine]).all():
            raise ValueError(f"{host} must bid for its own prosumers in LAMs of {self.node.name}")
        place = np.searchsorted(self.participants.members, prosumer)
        intercept_kw = read_values(batch.intercept_kw, place.size)
        slope = read_values(batch.slope, place.size if request.with_slope else 0)
        answered, valid = request.read(place, intercept_kw, slope)
        self._batches.add(host, batch.tick, answered, batch.round)
        self._refuse([self.participants.names[one] for one in place[~valid]], UNFIT)

    def _request_of(self, bid: RoundBid | RoundBidBatch) -> RoundRequest:
        """What a bid answers; raises as `market.participants.gates.check_round`."""
        check_round(bid, self._round)
        assert self._request is not None
        return self._request

    def _refuse(self, names: list[str], reason: str) -> None:
        """Remember members whose messages are refused, and refuse them with a reason."""
        if names:
            self.refused += names
            raise ValueError(f"{len(names)} {reason}: {first_of(names)}")
