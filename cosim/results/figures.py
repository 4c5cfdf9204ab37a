"""Figures of a run by what they are about: the parts of its summary."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, get_args

import msgspec

from broker.messages.audit import BenchmarkName, CertificateFigures
from cosim.feeder.linear import VOLTAGE_TOLERANCE_PU

Number = float | None
"""A figure that has no meaning in some runs."""

BENCHMARKS: tuple[BenchmarkName, ...] = get_args(BenchmarkName)
BENCHMARK_LABELS: dict[BenchmarkName, str] = {
    "no_sharing": "no sharing",
    "lam_only": "LAM only",
    "single_layer": "one layer, no network",
    "single_layer_network": "one layer, network",
    "optimum": "optimum",
}
CERTIFICATE: tuple[str, ...] = CertificateFigures.__struct_fields__


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """When a run was: start of the first and of the last interval, ISO 8601 with offset."""

    first: str | None
    last: str | None
    interval_min: Annotated[float, msgspec.Meta(gt=0.0)]

    def __post_init__(self) -> None:
        """Raise ``ValueError`` where a time is none."""
        for time in filter(None, (self.first, self.last)):
            datetime.fromisoformat(time)


class IntervalCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the intervals."""

    planned: int
    settled: int
    cleared: int
    confirmed: int
    unconfirmed: int
    held: int
    flagged: int

    @property
    def is_complete(self) -> bool:
        """Whether all planned intervals were settled, as AC power flow had confirmed them."""
        return self.settled == self.planned == self.confirmed


class VoltageRange(msgspec.Struct, frozen=True, kw_only=True):
    """Lowest and highest voltage of any node, and the limits [pu]."""

    min: Number
    max: Number
    lower: float
    upper: float

    @property
    def is_within(self) -> bool:
        """Whether the voltages are known and keep to the limits."""
        if self.min is None or self.max is None:
            return False
        return self.min >= self.lower - VOLTAGE_TOLERANCE_PU and self.max <= self.upper + VOLTAGE_TOLERANCE_PU


class PowerQuality(msgspec.Struct, frozen=True, kw_only=True):
    """Highest voltage unbalance of a bus of three phases [%], and voltage of a neutral to earth [V]."""

    unbalance_pct: Number = None
    neutral_v: Number = None

    @property
    def in_words(self) -> str:
        """What is known of both, to follow other words."""
        unbalance = "" if self.unbalance_pct is None else f"; unbalance up to {self.unbalance_pct:.2f} %"
        return unbalance + ("" if self.neutral_v is None else f"; neutrals up to {self.neutral_v:.1f} V")


class AcFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How true the linear model was, and how many rounds of AC power flow a clearing took."""

    max_linear_error_pu: Number
    rounds_p95: Number


class Rounds(msgspec.Struct, frozen=True, kw_only=True):
    """Rounds of an interval: in the middle, and the most."""

    p50: Number
    max: Number


class BiddingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange of bids took."""

    form: str
    wam_rounds: Rounds
    lam_rounds: Rounds
    messages: int
    bytes: int


class EnergyFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Where energy came from and went to [kWh]."""

    lam: float
    wam: float
    imported: float = msgspec.field(name="import")
    exported: float = msgspec.field(name="export")
    losses: float
    imbalance: float


class CostFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Social cost of the market and of the benchmarks [$], and the market's efficiency."""

    market: Number
    no_sharing: Number
    lam_only: Number
    single_layer: Number
    single_layer_network: Number
    optimum: Number
    intervals: int
    efficiency: Number
    efficiency_intervals: int

    @property
    def saved(self) -> Number:
        """What the market saves against no sharing [$]."""
        return None if self.market is None or self.no_sharing is None else self.no_sharing - self.market


class SavingFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What prosumers saved against no sharing [$]: together, and how it spreads over them."""

    total: Number
    min: Number
    p05: Number
    median: Number
    p95: Number
    max: Number
    intervals: int


class CertificateCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many intervals were certified, for how many the certificate holds, and its largest figures."""

    intervals: int
    holds: int
    balance_kw: Number
    row_excess_kw: Number
    complementarity: Number
    duality_gap: Number
    prosumer_gain: Number
    lam_gain: Number
    price_error: Number
    payment_error: Number


class SettlementFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger holds, and what was kept and why [$]."""

    entries: int
    sum_micro: int
    uplift_usd: float
    imbalance_usd: float
    lam_surplus_usd: float
    lam_fees_usd: float
    wam_surplus_usd: float
    wam_fees_usd: float
    loss_rent_usd: float
    voltage_rent_usd: float
    congestion_rent_usd: float
    limit_rent_usd: float
    rounding_micro: int
