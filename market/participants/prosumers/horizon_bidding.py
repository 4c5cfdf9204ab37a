"""How a host takes part in the market over a horizon: it tells what it expects, and hears energy's worth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from broker.collector import Collector
from broker.messages import EnergyValue, HorizonBid, Step, columns
from broker.participant.node import Node
from market.model.arrays import Floats, Ints
from market.participants.gates import worth_gate
from market.participants.horizon_bids import Prospect, bid_fields

_WAM = "wam"


class Told(NamedTuple):
    """What the market over the horizon says of a host's S stores, ``(S,)`` each; ``None`` where nothing.

    ``worth`` is what a kWh more is worth at the end of the interval [$/kWh], infinite where a store's owner
    goes by its own outlook. ``planned_kw`` is its power in the interval, + discharges [kW], NaN there.
    """

    worth: Floats | None = None
    planned_kw: Floats | None = None


class HorizonBidding:
    """Bids over the horizon of one host's prosumers, ``(n,)`` indices."""

    def __init__(self, node: Node, members: Ints) -> None:
        self.node = node
        self.members = members
        topic = node.topics.energy_value(node.name)
        self.values: Collector[EnergyValue] = node.collector(
            {_WAM: topic}, node.topics.horizon_bid(node.name)
        )
        node.on(topic, lambda message: self.values.add(_WAM, message.tick, message))

    async def told(self, step: Step, prospect: Prospect) -> Told:
        """What comes of a prospect; nothing where no horizon was cleared in time.

        The WAM flags that, or the host where the WAM is silent.
        """
        topic, stores = self.node.topics.horizon_bid(self.node.name), len(prospect.stores)
        await self.node.publish(topic, HorizonBid, step.tick, **bid_fields(prospect, self.members))
        came = (await self.values.wait(step.tick, worth_gate(step))).get(_WAM)
        if came is None:
            name = self.node.name
            self.node.flag(f"{name} heard of no horizon in time: its prosumers go by their own outlook")
            return Told()
        if len(came.value) != 8 * stores or not stores:
            return Told()
        worth = columns.unpack_open(came.value, stores)
        planned_kw = columns.unpack(came.power_kw, stores)
        return Told(worth, np.where(np.isinf(worth), np.nan, planned_kw))
