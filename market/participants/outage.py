"""Prosumers behind an outage: LAMs that no source feeds, as the WAM's outcome names them."""

from __future__ import annotations

import numpy as np

from broker.messages import WamOutcome
from broker.participant.node import Node
from market.model.arrays import Bools, Floats, Ints
from market.participants.roster import Roster


class Outages:
    """Which prosumers no source feeds, interval by interval, for a host that acts for them.

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
        self._unserved_lams: list[int] = []
        node.on(node.topics.wam_outcome, self._take)

    def unserved(self, tick: int) -> Bools:
        """Members whose LAM no source feeds, ``(m,)``."""
        lams = self._unserved_lams if tick == self._tick else []
        return np.isin(self._lam, lams)

    def outputs(self, tick: int, owner: Ints, output_kw: Floats) -> Floats:
        """Outputs of resources ``(r,)`` [kW], 0 where no source feeds the owner."""
        return np.where(self.unserved(tick)[owner], 0.0, output_kw)

    def _take(self, outcome: WamOutcome) -> None:
        self._tick, self._unserved_lams = outcome.tick, outcome.unserved
