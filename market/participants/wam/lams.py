"""What the WAM's operator knows of its LAMs: the port that its two forms of bids stand behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from broker.messages import Exchange, NetworkModel, Step
from market.model.curves import Curves, Floats
from market.participants.roster import Terms
from market.solver.wam import WamOutcome


@dataclass(frozen=True)
class Standby:
    """Last metered net load of M LAMs, which stands in for one that is silent; written as the feeder reports.

    Attributes
    ----------
    kw, kvar
        ``(M,)`` each.
    """

    kw: Floats
    kvar: Floats

    @classmethod
    def of(cls, lams: int) -> Standby:
        """Before the first report nothing is known."""
        return cls(np.zeros(lams), np.zeros(lams))


class Lams(Protocol):
    """LAMs' bids of one interval."""

    @property
    def curves(self) -> Curves:
        """Net purchase of each LAM over its wide-area price, M curves, as far as it is known."""
        ...

    @property
    def reactive_kvar(self) -> Floats:
        """Expected reactive power, ``(M,)``."""
        ...

    @property
    def fallbacks(self) -> list[str]:
        """Names of members and LAMs that are taken as inflexible."""
        ...

    async def gather(self, step: Step) -> None:
        """Take in what LAMs say in the bid step."""
        ...

    async def nets(self, step: Step, price: Floats) -> Floats:
        """What LAMs would buy at wide-area prices ``(M,)`` [$/kWh], ``(M,)`` [kW]."""
        ...

    async def clear(self, step: Step, model: NetworkModel, terms: Terms) -> WamOutcome:
        """Clear over a linear model; raises as `market.participants.network.clear_model`."""
        ...

    def talks(self) -> Exchange:
        """What the interval's exchange of bids took."""
        ...
