"""The WAM's market of one interval: the port behind which its forms of bidding stand, and what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from broker.messages import Exchange, NetworkModel, Step
from broker.participant.node import Node
from broker.snapshot import Values
from market.model.arrays import Floats
from market.participants.roster import Terms
from market.solver.lam_bids import LamBids
from market.solver.wam import WamClearing


@dataclass(frozen=True)
class LastMetered:
    """Last metered net load of M LAMs, at which one is fixed that does not bid.

    Attributes
    ----------
    kw, kvar
        Active [kW] and reactive power [kvar], ``(M,)`` each; written in place as the feeder reports.
    """

    kw: Floats
    kvar: Floats

    @classmethod
    def unknown(cls, lams: int) -> LastMetered:
        """Loads of which nothing is known yet, as before the first report: zero."""
        return cls(np.zeros(lams), np.zeros(lams))


class WamBidding(Protocol):
    """Bidding between the WAM and its LAMs, by one form of bids."""

    @property
    def bids(self) -> LamBids:
        """What the LAMs bid, as far as it is known."""
        ...

    @property
    def reactive_kvar(self) -> Floats:
        """Reactive power that each LAM expects, ``(M,)`` [kvar]."""
        ...

    @property
    def fallbacks(self) -> list[str]:
        """Names of members and LAMs that are taken as inflexible."""
        ...

    async def gather_bids(self, step: Step) -> None:
        """Gather the LAMs' bids in the bid step; one that does not bid is fixed and flagged."""
        ...

    async def net_purchases(self, step: Step, price: Floats) -> Floats:
        """What would flow to LAMs at wide-area prices ``(M,)`` [$/kWh], ``(M,)`` [kW]."""
        ...

    async def clear(
        self, step: Step, model: NetworkModel, terms: Terms, last: WamClearing | None
    ) -> WamClearing:
        """Clear over a linear model, from where the interval's last clearing came to, if there was one.

        Raises
        ------
        NotConverged, Infeasible, ValueError
            As `market.participants.wam.clear_model.clear_model`.
        """
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


def flag_silence(node: Node, lams: Sequence[str]) -> None:
    """Flag each LAM that did not bid and is fixed at its `LastMetered`."""
    for lam in lams:
        node.flag(f"LAM {lam} was silent: its last metered net load stands in")
