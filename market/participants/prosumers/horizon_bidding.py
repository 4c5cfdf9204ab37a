"""How a host takes part in the market over a horizon: it tells what it expects, and hears energy's worth."""

from __future__ import annotations

from broker.collector import Collector
from broker.messages import EnergyValue, HorizonBid, Step, columns
from broker.participant.node import Node
from market.model.arrays import Floats, Ints
from market.participants.gates import worth_gate
from market.participants.horizon_bids import Prospect, bid_fields

_WAM = "wam"


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

    async def worth(self, step: Step, prospect: Prospect) -> Floats | None:
        """What a kWh more is worth to each store at the end of the interval, ``(S,)`` [$/kWh].

        ``None`` where no horizon was cleared in time; the WAM flags that, or the host where it is silent.
        Infinity where a store's owner goes by its own outlook.
        """
        topic, stores = self.node.topics.horizon_bid(self.node.name), len(prospect.stores)
        await self.node.publish(topic, HorizonBid, step.tick, **bid_fields(prospect, self.members))
        came = (await self.values.wait(step.tick, worth_gate(step))).get(_WAM)
        if came is None:
            name = self.node.name
            self.node.flag(f"{name} heard of no horizon in time: its prosumers go by their own outlook")
            return None
        if len(came.value) != 8 * stores or not stores:
            return None
        return columns.unpack_open(came.value, stores)
