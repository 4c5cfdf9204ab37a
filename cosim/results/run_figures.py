"""Figures of how a run went: its messages, devices, times and faults, and where it was made."""

from __future__ import annotations

from typing import Literal

import msgspec

from cosim.results.figures import Number


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is that is not over; ``as_of`` is when it was looked at, ISO 8601 with offset."""

    state: Literal["killed", "going on"]
    as_of: str


class MessageCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Messages on the bus, and what was wrong with some."""

    sent: int
    received: int
    gaps: int
    duplicates: int
    late: int
    rejected: int
    quarantined: int

    @property
    def faulty(self) -> dict[str, int]:
        """Counts of what should not be, by name."""
        return {name: getattr(self, name) for name in self.__struct_fields__[2:]}

    @property
    def faults_in_words(self) -> str:
        """Faults that there were, in words, with their counts."""
        found = [f"{count:,} {name}" for name, count in self.faulty.items() if count]
        return ", ".join(found) or "no faults"


class ModbusCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Modbus transactions of the gateways."""

    reads: int
    writes: int
    errors: int


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Median and 95th percentile."""

    p50: Number
    p95: Number


class SetPointFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What became of set-points, and how long they took [s]."""

    limited: int
    renewed: int
    budgets_spent: int
    emergency_stops: int
    to_register_s: Spread
    to_meter_s: Spread
    tripped: int = 0
    lost: int = 0


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """Wall time of the run, and of an interval, its steps and its audit [s]."""

    total: float
    measure: Spread
    bid: Spread
    clear: Spread
    dispatch: Spread
    act: Spread
    meter: Spread
    settle: Spread
    interval: Spread
    audit: Spread


class FaultCost(msgspec.Struct, frozen=True, kw_only=True):
    """Differences to a run without faults, each + where faults made more of it."""

    against: str
    imbalance_kwh: float
    imbalance_usd: float
    market_usd: float
    affected_usd: float


class FaultKind(msgspec.Struct, frozen=True, kw_only=True):
    """Injected faults of one kind, how many were noticed, and how often each check did."""

    injected: int
    noticed: int
    checks: dict[str, int]


class FaultFigures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of injected faults, and which energy they made wrong."""

    injected: int
    noticed: int
    by_kind: dict[str, FaultKind]
    false_alarms: int
    wrong_kwh: float
    early_kwh: float
    silent_kwh: float
    left_kwh: float
    cost: FaultCost | None = None


class PacingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How far a paced run fell behind its deadlines."""

    worst_lag_s: float
    overruns: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The computer."""

    system: str
    processor: str
    cpus: int | None


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Where a result comes from; ``commit`` is ``None`` outside a checkout.

    ``world`` is a hash of the scenario and all that it names, ``inputs`` has the SHA-256 of each of its files
    by key.
    """

    versions: dict[str, str]
    commit: str | None
    seed: int
    broker: str
    machine: Machine
    world: str = ""
    inputs: dict[str, str] = {}
