"""Tables and keys of a result file, as docs/case-format.md explains them."""

from __future__ import annotations

from typing import Literal

import msgspec

from market.analysis.indicators import Indicators
from market.analysis.reference import Name
from market.methods import Method


class ProsumerResult(msgspec.Struct, frozen=True):
    """Trades [kW] and payments [$/h, + pays], in the case's order; of the utility where the rule has one."""

    id: list[str]
    trade_kw: list[float]
    payment_per_h: list[float]
    utility_kw: list[float] | msgspec.UnsetType = msgspec.UNSET
    utility_payment_per_h: list[float] | msgspec.UnsetType = msgspec.UNSET


class ResourceResult(msgspec.Struct, frozen=True):
    """Outputs in the case's order [kW]."""

    output_kw: list[float]


class DlmpResult(msgspec.Struct, frozen=True):
    """`market.model.dlmp.DlmpParts` of the LAMs in a file [$/kWh]."""

    energy: list[float]
    loss: list[float]
    voltage: list[float]
    congestion: list[float]


class LamResult(msgspec.Struct, frozen=True):
    """Net purchases [kW], local and wide-area prices [$/kWh], in the case's order."""

    id: list[str]
    net_kw: list[float]
    price: list[float]
    wam_price: list[float]
    dlmp: DlmpResult
    flow_kw: list[float] | msgspec.UnsetType = msgspec.UNSET
    charge: list[float] | msgspec.UnsetType = msgspec.UNSET


class WamResult(msgspec.Struct, frozen=True):
    """Grid power [kW], energy price [$/kWh], rows' values and prices."""

    grid_kw: float
    energy_price: float
    row_value: list[float]
    row_dual: list[float]
    pool_price: float | msgspec.UnsetType = msgspec.UNSET


class CertificateResult(msgspec.Struct, frozen=True):
    """Largest misses: power balance [kW], rows [row units], duality gap and gain by deviating [$/h]."""

    balance_kw: float
    row_violation: float
    duality_gap: float
    exploitability: float


class BenchmarkResult(msgspec.Struct, frozen=True):
    """Social cost [$/h] under other rules, and names of the limits of network and grid that are violated."""

    social_cost: float
    violates: list[str]


class RoundsResult(msgspec.Struct, frozen=True):
    """Rounds of bids and what they carried, as docs/case-format.md says."""

    wam: int
    lam: int
    messages: int
    bytes: int


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One solved case."""

    format: Literal[1] = 1
    status: Literal["optimal"] = "optimal"
    method: Method
    prosumers: ProsumerResult
    resources: ResourceResult
    lams: LamResult
    wam: WamResult
    social_cost: float
    members_cost: float | msgspec.UnsetType = msgspec.UNSET
    optimum_cost: float | None
    benchmarks: dict[Name, BenchmarkResult]
    kpis: Indicators
    certificate: CertificateResult
    rounds: RoundsResult | msgspec.UnsetType = msgspec.UNSET
    iterations: int
    seconds: float
    certificate_seconds: float


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """A case without a solution, and why."""

    format: Literal[1] = 1
    status: Literal["infeasible", "not_converged"]
    method: Method
    reason: str
