"""What stands in over a horizon for hosts whose bid did not come, or was refused."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from broker.snapshot import Values, array_of, part, typed
from market.horizon.case import HorizonCase
from market.horizon.outcome import HorizonOutcome
from market.horizon.stores import no_stores
from market.model.arrays import Floats, Ints
from market.participants.horizon_bids import Prospect
from market.participants.roster import Roster


class AbsentHosts:
    """Net purchases of each host's prosumers as the last horizon has them, by LAM and interval.

    Parameters
    ----------
    members
        Prosumers of each host, indices.
    """

    def __init__(self, roster: Roster, members: Mapping[str, Ints]) -> None:
        self.roster = roster
        self.members = members
        self._tick = -1
        self._net_kw: dict[str, Floats] = {}

    def remember(self, tick: int, case: HorizonCase, outcome: HorizonOutcome) -> None:
        """Keep what a horizon that begins with a tick has."""
        trade_kw, lam_of = outcome.trade_kw, case.first.lam_of
        self._tick, self._net_kw = tick, {}
        for host, members in self.members.items():
            net_kw = np.zeros((len(self.roster.lams), trade_kw.shape[1]))
            np.add.at(net_kw, lam_of[members], trade_kw[members])
            self._net_kw[host] = net_kw

    def prospect(self, host: str, tick: int, intervals: int) -> Prospect | None:
        """What the last horizon has of a host's prosumers, in equal parts within a LAM and not to be moved.

        Behind its end everything stays as it is there. ``None`` where no earlier horizon knows of the tick.
        """
        net_kw, past = self._net_kw.get(host), tick - self._tick
        if net_kw is None or not 0 <= past < net_kw.shape[1]:
            return None
        at = np.minimum(past + np.arange(intervals), net_kw.shape[1] - 1)
        lam = self.roster.lam[self.members[host]]
        many = np.maximum(np.bincount(lam, minlength=len(self.roster.lams)), 1)
        return unmoved((net_kw[:, at] / many[:, None])[lam])

    def snapshot(self) -> Values:
        """What it keeps of the last horizon."""
        kept = {host: np.ascontiguousarray(net_kw) for host, net_kw in self._net_kw.items()}
        ahead = next((int(each.shape[1]) for each in kept.values()), 0)
        return {"tick": self._tick, "ahead": ahead, "net_kw": kept}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another's."""
        self._tick, ahead = typed(values, "tick", int), typed(values, "ahead", int)
        like = np.zeros((len(self.roster.lams), ahead))
        kept = part(values, "net_kw")
        self._net_kw = {host: array_of(kept, host, like) for host in kept}


def unmoved(demand_kw: Floats) -> Prospect:
    """A prospect of demand alone, ``(n, T)`` [kW]."""
    T = demand_kw.shape[1]
    none, empty = np.zeros(0), np.zeros(0, dtype=np.intp)
    return Prospect(demand_kw, empty, np.zeros((0, T)), none, none, no_stores(T), ())
