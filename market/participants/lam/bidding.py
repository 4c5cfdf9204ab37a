"""A LAM's market of one interval: the port behind which its forms of bidding stand, and what they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from broker.messages import Exchange, Step, WamOutcome
from broker.participant.node import Node
from broker.snapshot import Values
from market.model.arrays import Bools, Floats
from market.participants.lam.participants import Participants
from market.participants.roster import Roster

UNHEARD_KW = 1e-6
"""The WAM's solver misses a LAM's limits by less than this where it has the LAM's bid."""


@dataclass(frozen=True)
class LamAllocation:
    """What a host's M LAMs and their n members get.

    Attributes
    ----------
    net_kw, wam_price
        Net purchases [kW] and what they cost each LAM [$/kWh], ``(M,)``.
    price
        Local prices, ``(M,)`` [$/kWh].
    trade_kw, utility_kw
        Members' trades, and what they buy of the utility besides, ``(n,)`` each [kW].
    charge
        What the latter pays besides, ``(M,)`` [$/kWh].
    """

    net_kw: Floats
    wam_price: Floats
    price: Floats
    trade_kw: Floats
    utility_kw: Floats
    charge: Floats


class LamBidding(Protocol):
    """Bidding between a LAM host, its members and the WAM, by one form of bids."""

    @property
    def missing(self) -> list[str]:
        """Members who did not bid and are taken as inflexible in this interval."""
        ...

    @property
    def refused(self) -> list[str]:
        """Members whose bids were refused in this interval; the host empties the list."""
        ...

    async def gather_bids(self, step: Step) -> None:
        """Gather members' bids until the gate, and bid into the WAM."""
        ...

    async def answer_wam(self, step: Step) -> None:
        """Answer the WAM's prices, round by round, until cancelled."""
        ...

    async def allocate(self, step: Step, outcome: WamOutcome | None) -> LamAllocation:
        """Divide among members what the WAM cleared; without an outcome, what they trade with the utility."""
        ...

    def snapshot(self) -> Values:
        """What it remembers from one interval to the next."""
        ...

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        ...

    def exchange(self) -> Exchange:
        """Rounds and messages that the interval's bidding took."""
        ...


def accepted_net_kw(
    node: Node,
    roster: Roster,
    participants: Participants,
    outcome: WamOutcome,
    low_kw: Floats,
    high_kw: Floats,
) -> Floats:
    """Net purchases that the WAM cleared, as far as the members can take them, ``(M,)`` [kW].

    They cannot take all of it where the WAM got no bid of a LAM and took its last metered net load instead,
    which is flagged, or where no source feeds the LAM, which is not.

    Parameters
    ----------
    low_kw, high_kw
        Sums of the least and largest trades of each LAM's members, ``(M,)`` [kW].
    """
    net_kw = np.array(outcome.net_kw)[participants.lams]
    accepted: Floats = np.clip(net_kw, low_kw, high_kw)
    for place in np.flatnonzero(np.abs(net_kw - accepted) > UNHEARD_KW):
        lam = participants.lams[place]
        if lam not in outcome.unserved:
            node.flag(
                f"LAM {roster.lams[lam]} can take {accepted[place]:.3f} kW"
                f" of the {net_kw[place]:.3f} kW that the WAM cleared for it"
            )
    return accepted


def without_unserved(allocation: LamAllocation, participants: Participants, unserved: Bools) -> LamAllocation:
    """Allocation in which LAMs that no source feeds, and their members, get nothing.

    Parameters
    ----------
    unserved
        The host's LAMs that no source feeds, ``(M,)``.
    """
    if not unserved.any():
        return allocation
    return replace(
        allocation,
        net_kw=np.where(unserved, 0.0, allocation.net_kw),
        price=np.where(unserved, allocation.wam_price, allocation.price),
        trade_kw=np.where(unserved[participants.group], 0.0, allocation.trade_kw),
        utility_kw=np.where(unserved[participants.group], 0.0, allocation.utility_kw),
    )
