"""Who has no source: LAMs behind an outage, as the WAM's outcome names them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from broker.messages import WamOutcome
from broker.node import Node
from market.model.arrays import Bools, Floats, Ints
from market.participants.lam.bid_book import Seats
from market.participants.lam.sharing import Shares
from market.participants.roster import Roster


class Outages:
    """Prosumers without source, interval by interval, for whoever has to act on it.

    Parameters
    ----------
    node
        Listens to the WAM's outcomes.
    members
        Indices of the prosumers, ``(m,)``.
    """

    def __init__(self, node: Node, roster: Roster, members: Ints) -> None:
        self._lam = roster.lam[members]
        self._tick = -1
        self._unserved: list[int] = []
        node.on(node.topics.wam_outcome, self._take)

    def dark(self, tick: int) -> Bools:
        """Members whose LAM no source feeds, ``(m,)``."""
        unserved = self._unserved if tick == self._tick else []
        return np.isin(self._lam, unserved)

    def outputs(self, tick: int, owner: Ints, output_kw: Floats) -> Floats:
        """Resource outputs ``(r,)`` of which those without source are 0."""
        return np.where(self.dark(tick)[owner], 0.0, output_kw)

    def _take(self, outcome: WamOutcome) -> None:
        self._tick, self._unserved = outcome.tick, outcome.unserved


def without_source(shares: Shares, seats: Seats, dark: Bools) -> Shares:
    """Shares in which LAMs without source, and their members, get nothing.

    Parameters
    ----------
    dark
        The host's LAMs that no source feeds, ``(M,)``.
    """
    if not dark.any():
        return shares
    return replace(
        shares,
        net_kw=np.where(dark, 0.0, shares.net_kw),
        price=np.where(dark, shares.wam_price, shares.price),
        trade_kw=np.where(dark[seats.group], 0.0, shares.trade_kw),
    )
