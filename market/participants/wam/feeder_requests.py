"""Ask the feeder for AC power flow at a dispatch, and wait for its judgement."""

from __future__ import annotations

from dataclasses import dataclass

from broker.collector import Collector
from broker.messages import FeederReply, FeederRequest, NetworkModel, Step, columns
from broker.participant.node import Node
from market.model.arrays import Floats
from market.participants.gates import early_gate
from market.participants.network_model import check_model
from market.participants.wam.bidding import WamBidding
from market.solver.wam import WamClearing

FEEDER = "feeder"


class FeederSilent(Exception):
    """The feeder did not answer before the gate closed."""


@dataclass(frozen=True)
class Dispatch:
    """What the feeder is asked to judge, and the clearing that it comes from.

    Attributes
    ----------
    net_kw
        What is to flow to the LAMs, ``(M,)`` [kW].
    inverter_kvar
        Reactive set-points of the LAMs' inverters, ``(M,)`` [kvar]; empty where the market sets none.
    clearing
        ``None`` where the last prices are kept.
    model
        The linear model over which it was cleared.
    """

    net_kw: Floats
    inverter_kvar: Floats
    clearing: WamClearing | None = None
    model: NetworkModel | None = None


class FeederRequests:
    """Requests to the feeder, one at a time.

    Parameters
    ----------
    lams
        Number of LAMs, which the feeder's models must have, too.
    """

    def __init__(self, node: Node, lams: int) -> None:
        self.node = node
        self._lams = lams
        self._awaited_round = -1
        self._replies: Collector[FeederReply] = node.collector(
            {FEEDER: node.topics.feeder_reply}, node.topics.feeder_request
        )
        node.on(node.topics.feeder_reply, self._take_reply)

    async def ask(self, step: Step, round_: int, dispatch: Dispatch, bidding: WamBidding) -> FeederReply:
        """Ask for the power flow of a dispatch.

        Parameters
        ----------
        bidding
            Within its bids lie the trades for which the feeder's next model must hold.

        Raises
        ------
        FeederSilent
            No reply came before the gate.
        """
        self._awaited_round = round_
        await self.node.publish(
            self.node.topics.feeder_request,
            FeederRequest,
            step.tick,
            round=round_,
            net_kw=columns.column_list(dispatch.net_kw),
            reactive_kvar=columns.column_list(bidding.reactive_kvar),
            low_kw=columns.column_list(bidding.bids.lowest_kw),
            high_kw=columns.column_list(bidding.bids.highest_kw),
            inverter_kvar=columns.column_list(dispatch.inverter_kvar),
        )
        replies: dict[str, FeederReply] = await self._replies.wait(step.tick, early_gate(step), round_)
        self._awaited_round = -1
        if not replies:
            raise FeederSilent(f"the feeder did not answer round {round_} in time")
        return replies[FEEDER]

    def _take_reply(self, reply: FeederReply) -> None:
        if reply.round == self._awaited_round:
            if reply.model is not None:
                check_model(reply.model, self._lams)
            self._replies.add(FEEDER, reply.tick, reply, reply.round)
