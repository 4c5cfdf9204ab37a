"""Linear models of the feeder for the intervals of a horizon: each for the powers that are expected then.

A feeder's model holds near the powers that it was made at, with regulators where these bring them: the model
of a night says nothing true of the next noon. Intervals of a horizon are taken in blocks. The feeder is asked
for a model of each at the mean of the net purchases that the last horizon expects there; the present interval
keeps the model that it was cleared over last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import msgspec
import numpy as np

from broker.collector import Collector
from broker.messages import AheadReply, AheadRequest, NetworkModel, Step, columns
from broker.participant.node import Node
from broker.snapshot import Values, array_of, typed
from market.horizon.start import Near
from market.model.arrays import Floats, Ints
from market.participants.gates import horizon_gate
from market.participants.horizon_bids import Prospect
from market.participants.network_model import check_model
from market.participants.roster import Roster

BLOCKS = 12
"""Models beside the present interval's, and one more where the first block has begun."""

MOST_GROWTH = 4.0
"""Most that reactive power is expected to grow by; a net demand near none says nothing of it."""

FEEDER = "feeder"


@dataclass(frozen=True)
class Block:
    """Intervals ``first`` up to ``end``, and what is expected in them, ``(M,)`` each [kW, kvar]."""

    first: int
    end: int
    net_kw: Floats
    reactive_kvar: Floats
    low_kw: Floats
    high_kw: Floats


def blocks_of(
    tick: int, prospect: Prospect, lam_of: Ints, start: Sequence[Near], reactive_kvar: Floats
) -> list[Block]:
    """Blocks of the intervals after the present one.

    They begin and end at the same times whatever the present interval is, so that an interval's model stays
    much the same from one horizon to the next.

    Parameters
    ----------
    tick
        The present interval.
    prospect
        What all N prosumers expect over T intervals.
    lam_of
        LAM of each, ``(N,)``.
    start
        What the last horizon expects of each interval, ``(T,)``.
    reactive_kvar
        Reactive power of the LAMs' loads now, which follows their demand, ``(M,)`` [kvar].
    """
    T, lams = prospect.intervals, reactive_kvar.size
    demand, low, high = _reach(prospect, lam_of, lams)
    net_kw = np.stack([near.net_kw for near in start], axis=1)
    width = -(-T // BLOCKS)
    ends = [1, *(t for t in range(2, T) if (tick + t) % width == 0), T] if T > 1 else []
    found = []
    for first, end in pairwise(ends):
        then, now = demand[:, first:end].mean(axis=1), demand[:, 0]
        growth = np.divide(then, now, out=np.ones(lams), where=now > 0)
        found.append(
            Block(
                first,
                end,
                net_kw[:, first:end].mean(axis=1),
                reactive_kvar * np.clip(growth, 0.0, MOST_GROWTH),
                low[:, first:end].min(axis=1),
                high[:, first:end].max(axis=1),
            )
        )
    return found


def whole(prospect: Prospect, lam_of: Ints, reactive_kvar: Floats) -> Block:
    """All T intervals as one block, at what demand and free output come to; arguments as of `blocks_of`."""
    lams = reactive_kvar.size
    demand, low, high = _reach(prospect, lam_of, lams)
    free = np.flatnonzero(prospect.cost_linear <= 0.0)
    made = _by_lam(prospect.max_kw[free], prospect.owner[free], lam_of, lams)
    net_kw = (demand - made).mean(axis=1)
    return Block(0, prospect.intervals, net_kw, reactive_kvar, low.min(axis=1), high.max(axis=1))


def _reach(prospect: Prospect, lam_of: Ints, lams: int) -> tuple[Floats, Floats, Floats]:
    """Demand of each LAM in each interval, and the least and most that it can take, ``(M, T)``."""
    stores = prospect.stores
    demand = _by_lam(prospect.demand_kw, np.arange(len(lam_of)), lam_of, lams)
    made = _by_lam(prospect.max_kw, prospect.owner, lam_of, lams)
    given = _by_lam(stores.discharge_kw, stores.owner, lam_of, lams)
    return demand, demand - made - given, demand + _by_lam(stores.charge_kw, stores.owner, lam_of, lams)


def _by_lam(power_kw: Floats, owner: Ints, lam_of: Ints, lams: int) -> Floats:
    found = np.zeros((lams, power_kw.shape[1]))
    np.add.at(found, lam_of[owner], power_kw)
    return found


class ModelsAhead:
    """The feeder's models of the intervals to come, asked for one at a time.

    Attributes
    ----------
    latest
        The feeder's latest model; ``None`` before its first power flow.
    reactive_kvar
        Reactive power of the LAMs' loads now, ``(M,)`` [kvar].
    """

    def __init__(self, node: Node, roster: Roster) -> None:
        self.node = node
        self._roster = roster
        self.latest: NetworkModel | None = None
        self.reactive_kvar = np.zeros(len(roster.lams))
        self._awaited = (-1, -1)
        self._replies: Collector[AheadReply] = node.collector(
            {FEEDER: node.topics.ahead_reply}, node.topics.ahead_request
        )
        node.on(node.topics.ahead_reply, self._take_reply)

    async def over(
        self, step: Step, prospect: Prospect, start: Sequence[Near]
    ) -> tuple[list[NetworkModel | None], list[str]]:
        """The feeder's model in each of T intervals, and what is to be said of them.

        Parameters
        ----------
        prospect
            What all prosumers expect over T intervals.
        start
            What the last horizon expects of each interval, the present one first. Where it is shorter, and
            where the feeder tells no model for an interval, the latest one stands for it.
        """
        T, latest = prospect.intervals, self.latest
        if latest is None:
            return await self._first(step, prospect), []
        models: list[NetworkModel | None] = [latest] * T
        if len(start) < T:
            return models, []
        blocks = blocks_of(step.tick, prospect, self._roster.lam, start[:T], self.reactive_kvar)
        found = await self.ask(step, blocks, [] if latest.reactive is None else latest.reactive.present_kvar)
        lacking = 0
        for block, model in zip(blocks, found, strict=True):
            models[block.first : block.end] = [model or latest] * (block.end - block.first)
            lacking += 0 if model else block.end - block.first
        note = f"the feeder's last model stands for {lacking} intervals: it told none of their own"
        return models, [note] if lacking else []

    async def _first(self, step: Step, prospect: Prospect) -> list[NetworkModel | None]:
        """What the head delivers in a run's first horizon, without limits, of which nothing is known yet.

        What flows beside the market, of generators and of loads without LAM, decides whether the head
        imports.
        """
        found = await self.ask(step, [whole(prospect, self._roster.lam, self.reactive_kvar)], [])
        model = without_rows(found[0])
        return [model for _ in range(prospect.intervals)]

    def snapshot(self) -> Values:
        """The latest model, and the loads' reactive power."""
        model = b"" if self.latest is None else msgspec.msgpack.encode(self.latest)
        return {"horizon_model": model, "horizon_kvar": self.reactive_kvar}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        model = typed(values, "horizon_model", bytes)
        self.latest = msgspec.msgpack.decode(model, type=NetworkModel) if model else None
        self.reactive_kvar = array_of(values, "horizon_kvar", self.reactive_kvar)

    async def ask(
        self, step: Step, blocks: Sequence[Block], inverter_kvar: Sequence[float]
    ) -> list[NetworkModel | None]:
        """Models of all blocks; ``None`` where there is none in time.

        Parameters
        ----------
        inverter_kvar
            Reactive set-points of the LAMs' inverters; empty where the market sets none.
        """
        found: list[NetworkModel | None] = [None] * len(blocks)
        for place, block in enumerate(blocks):
            self._awaited = step.tick, place
            await self.node.publish(
                self.node.topics.ahead_request,
                AheadRequest,
                step.tick,
                place=place,
                net_kw=columns.column_list(block.net_kw),
                reactive_kvar=columns.column_list(block.reactive_kvar),
                low_kw=columns.column_list(block.low_kw),
                high_kw=columns.column_list(block.high_kw),
                inverter_kvar=list(inverter_kvar),
            )
            replies = await self._replies.wait(step.tick, horizon_gate(step), place)
            if not replies:
                break
            found[place] = replies[FEEDER].model
        self._awaited = (-1, -1)
        return found

    def _take_reply(self, reply: AheadReply) -> None:
        if (reply.tick, reply.place) == self._awaited:
            if reply.model is not None:
                check_model(reply.model, len(self._roster.lams))
            self._replies.add(FEEDER, reply.tick, reply, reply.place)


def without_rows(model: NetworkModel | None) -> NetworkModel | None:
    """A model of the feeder's losses alone."""
    if model is None:
        return None
    return msgspec.structs.replace(
        model, name=[], row_kind=[], matrix=b"", base=b"", lower=b"", upper=b"", reactive=None
    )
