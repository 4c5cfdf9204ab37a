"""What a run's messages are held against: who takes part, how many there are of what, what is plausible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from broker.client.parts import LARGEST_BYTES
from broker.messages import Declaration, Role
from broker.messages.declaration import Size
from broker.messages.fields import Unit

Indices = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]

_BASE_BYTES = 64 * 2**10
_PARTY_BYTES = 8 * 2**10
_NODE_BYTES = 64
# A model keeps the rows of every position of the controls that an interval has met.
_MODEL_ROWS = 16
_VALUE_BYTES = 11
_BASE_VALUES = 4096
_PARTY_VALUES = 16
# What a vehicle, work or a tank wants or holds takes no longer at the power that no connection carries [h].
_STOCK_H = 0.1
# Nobody has longer until its vehicle leaves, or its work has to be done [s].
_LONGEST_WAIT_S = 366.0 * 86_400.0


@dataclass(frozen=True, eq=False)
class Bounds:
    """Roster and figures of a run; what is not given is not known, and holds nothing up.

    Attributes
    ----------
    services
        Names of the services by their role.
    prosumers, lams
        Names, in the order of their indices.
    lam
        Index of the LAM of each prosumer, ``(n,)``.
    live
        Names of the prosumers that have messages of their own.
    members, operated
        Indices of the prosumers of each population host, and of the LAMs of each LAM host.
    ticks
        How many intervals the run has.
    nodes, branches
        How many values the feeder's state has of each.
    interval_h
        Length of an interval [h].
    member_kw, feeder_kw
        No connection, and no LAM or feeder, carries more [kW].
    price
        No price is higher, up or down [$/kWh].
    """

    services: Mapping[Role, frozenset[str]] | None = None
    prosumers: tuple[str, ...] | None = None
    lams: tuple[str, ...] | None = None
    lam: Indices = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    live: frozenset[str] | None = None
    members: Mapping[str, Indices] = field(default_factory=dict)
    operated: Mapping[str, Indices] = field(default_factory=dict)
    ticks: int | None = None
    nodes: int | None = None
    branches: int | None = None
    interval_h: float = 1.0
    member_kw: float = 1e6
    feeder_kw: float = 1e9
    price: float = 1e6

    @cached_property
    def sizes(self) -> dict[str, int]:
        """How many there are of what, as far as it is known."""
        counts = {
            "prosumers": None if self.prosumers is None else len(self.prosumers),
            "lams": None if self.lams is None else len(self.lams),
            "nodes": self.nodes,
            "branches": self.branches,
        }
        return {name: count for name, count in counts.items() if count is not None}

    @cached_property
    def operator(self) -> dict[str, str]:
        """Name of the host that operates each LAM."""
        lams = self.lams or ()
        return {lams[lam]: host for host, mine in self.operated.items() for lam in mine}

    @cached_property
    def lam_of(self) -> dict[str, str]:
        """Name of the LAM of each live prosumer."""
        if self.prosumers is None or self.lams is None:
            return {}
        pairs = zip(self.prosumers, self.lam, strict=True)
        return {name: self.lams[lam] for name, lam in pairs if self.live is None or name in self.live}

    @cached_property
    def names(self) -> dict[str, frozenset[str]]:
        """Names of what a field may be indices or names of, as far as they are known."""
        known = {"prosumer": self.prosumers, "lam": self.lams}
        return {domain: frozenset(names) for domain, names in known.items() if names is not None}

    @cached_property
    def scopes(self) -> dict[str, dict[str, Bools]]:
        """For whom each host speaks: who is among all prosumers and LAMs, by its name."""
        found: dict[str, dict[str, Bools]] = {}
        for host, members in self.members.items():
            found[host] = {"prosumer": _among(len(self.prosumers or ()), members)}
        for host, lams in self.operated.items():
            mine = _among(len(self.lams or ()), lams)
            found[host] = {"lam": mine, "prosumer": mine[self.lam]}
        return found

    @cached_property
    def ranges(self) -> dict[Unit, tuple[float, float]]:
        """Least and largest plausible value of each unit."""
        member_kwh = self.member_kw * self.interval_h
        most: dict[Unit, float] = {
            "kw": self.member_kw,
            "kvar": self.member_kw,
            "net_kw": self.feeder_kw,
            "net_kvar": self.feeder_kw,
            "kwh": member_kwh,
            "kvarh": member_kwh,
            "counter_kwh": 1e9,
            "net_kwh": self.feeder_kw * self.interval_h,
            "price": self.price,
            "dual": 1e12,
            "usd": 1e12,
            "micro_usd": 2.0**53,
            "slope": 1e9,
            "figure": 1e12,
            "tap": 1000.0,
        }
        both_ways: dict[Unit, tuple[float, float]] = {unit: (-limit, limit) for unit, limit in most.items()}
        return both_ways | {
            "pu": (0.0, 100.0),
            "share": (0.0, 1.0),
            # Batteries may show a little more than full or less than empty.
            "soc": (-0.01, 1.05),
            "stock_kwh": (0.0, _STOCK_H * self.member_kw),
            "s": (0.0, 1e9),
            "wait_s": (0.0, _LONGEST_WAIT_S),
            "wall_s": (0.0, 1e11),
            "min": (0.0, 1e7),
            "count": (0.0, 2.0**40),
            "extent": (0.0, 1e12),
        }

    def most_bytes(self, size: Size) -> int:
        """The largest body of a message, by what it grows with."""
        if size == "small":
            return _BASE_BYTES
        if self.prosumers is None or self.lams is None:
            return LARGEST_BYTES
        nodes = (self.nodes or 0) + (self.branches or 0)
        most = _BASE_BYTES + _PARTY_BYTES * self._parties + _NODE_BYTES * nodes
        if size == "model":
            most += _MODEL_ROWS * nodes * (_NODE_BYTES + _VALUE_BYTES * len(self.lams))
        return min(most, LARGEST_BYTES)

    def most_values(self, size: Size) -> int:
        """The largest number of elements and fields in a message's JSON, by what it grows with."""
        if size == "small":
            return _BASE_VALUES
        nodes = (self.nodes or 0) + (self.branches or 0)
        rows = _MODEL_ROWS * nodes if size == "model" else nodes
        known = self.prosumers is not None
        return _BASE_VALUES + (_PARTY_VALUES * self._parties + 2 * rows if known else 2**20)

    @property
    def _parties(self) -> int:
        return len(self.prosumers or ()) + len(self.lams or ())

    def writers(self, declaration: Declaration, levels: Mapping[str, str]) -> frozenset[str] | None:
        """Who may write on a topic; ``None`` where anybody may, for all that is known.

        Raises
        ------
        ValueError
            The run has no such topic: a level of it names nobody.
        """
        self._check_levels(levels)
        if declaration.writer == "lam" and self.operator:
            return frozenset({self.operator[levels["lam"]]})
        if self.services is None or "operator" in declaration.senders:
            named = declaration.writer not in ("", "lam")
            return frozenset({levels[declaration.writer]}) if named else None
        several = (self.services.get(role, frozenset()) for role in declaration.senders)
        allowed: frozenset[str] = frozenset().union(*several)
        if declaration.writer:
            allowed &= {levels[declaration.writer]}
        if not allowed:
            raise ValueError("nobody writes there in this run")
        return allowed

    def _check_levels(self, levels: Mapping[str, str]) -> None:
        prosumer, lam = levels.get("prosumer"), levels.get("lam")
        if prosumer is not None and self.live is not None and prosumer not in self.live:
            raise ValueError(f"{prosumer} has no messages of its own")
        if lam is not None and self.lams is not None and lam not in self.names["lam"]:
            raise ValueError(f"there is no LAM {lam}")
        if prosumer is not None and lam is not None and self.lam_of.get(prosumer, lam) != lam:
            raise ValueError(f"{prosumer} is not in LAM {lam}")
        host = levels.get("lam_host")
        if host is not None and self.services is not None and host not in self.services.get("LAM host", ()):
            raise ValueError(f"there is no LAM host {host}")


def _among(count: int, some: Indices) -> Bools:
    """Which of ``count`` are among some, ``(count,)``."""
    found = np.zeros(count, dtype=bool)
    found[some] = True
    return found
