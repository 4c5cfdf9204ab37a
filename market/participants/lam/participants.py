"""The participants of a LAM host's markets: who they are, and what was last metered at each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from broker.snapshot import Values, array_of
from market.model.arrays import Bools, Floats, Ints
from market.participants.roster import Roster


@dataclass(frozen=True)
class Participants:
    """Members of a LAM host's LAMs, and the power at which one is fixed that does not bid.

    Attributes
    ----------
    lams
        Indices of the host's LAMs, ascending, ``(M,)``.
    names, members
        Names and prosumer indices of the members, ascending, ``(n,)``.
    group
        Index of each one's LAM in ``lams``, ``(n,)``.
    live
        Members who send messages of their own: name to index in ``members``.
    rating_kw
        The largest trade that each one's connection can carry, ``(n,)`` [kW].
    last_kw, last_kvar
        Last good metered power [kW, kvar], ``(n,)``; written in place as meters report.
    """

    lams: Ints
    names: tuple[str, ...]
    members: Ints
    group: Ints
    live: dict[str, int]
    rating_kw: Floats
    last_kw: Floats
    last_kvar: Floats

    @classmethod
    def of(cls, roster: Roster, host: str) -> Participants:
        """Participants of an operator host at the beginning of a run, when nothing is metered yet."""
        lams = roster.lam_hosts[host]
        members = np.flatnonzero(np.isin(roster.lam, lams))
        names = tuple(roster.prosumers[member] for member in members)
        return cls(
            lams=lams,
            names=names,
            members=members,
            group=np.searchsorted(lams, roster.lam[members]),
            live={names[place]: int(place) for place in np.flatnonzero(roster.live[members])},
            rating_kw=roster.rating_kw[members],
            last_kw=np.zeros(members.size),
            last_kvar=np.zeros(members.size),
        )

    def snapshot(self) -> Values:
        """What was metered last."""
        return {"last_kw": self.last_kw, "last_kvar": self.last_kvar}

    def restore(self, values: Values) -> None:
        """Take over what was metered last; raises ``ValueError`` where it is of others."""
        self.last_kw[:] = array_of(values, "last_kw", self.last_kw)
        self.last_kvar[:] = array_of(values, "last_kvar", self.last_kvar)

    def sum_by_lam(self, values: Floats) -> Floats:
        """Sum of members' values by LAM, in members' order, ``(M,)``."""
        return np.asarray(np.bincount(self.group, values, minlength=self.lams.size), dtype=np.float64)

    def names_where(self, chosen: Bools) -> list[str]:
        """Names of the members at which ``chosen``, ``(n,)``, is true."""
        return [self.names[place] for place in np.flatnonzero(chosen)]

    def places_of(self, prosumer: Ints) -> tuple[Ints, Ints]:
        """Which of these prosumers are members, and where among the members they stand, ``(k,)`` each."""
        mine = np.flatnonzero(np.isin(prosumer, self.members))
        return mine, np.searchsorted(self.members, prosumer[mine])
