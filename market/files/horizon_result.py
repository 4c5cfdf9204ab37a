"""Result files over a horizon: every interval's outcome, the stores' plans, and the certificate of all."""

from __future__ import annotations

import time
from typing import Literal

import msgspec
import numpy as np

from market.errors import Infeasible, NotConverged
from market.files.outcome_tables import outcome_tables
from market.files.result_schema import (
    LamResult,
    ProsumerResult,
    Refusal,
    ResourceResult,
    WamResult,
)
from market.horizon.case import HorizonCase
from market.horizon.outcome import HorizonOutcome
from market.horizon.proof import IntervalClaim, beyond_tolerance, certify_horizon
from market.horizon.stores import within_reach
from market.methods import Method
from market.model.case import Case
from market.solver.clearing import Outcome


class IntervalResult(msgspec.Struct, frozen=True, kw_only=True):
    """One interval, as a case of one interval has it; social cost in $/h, without stores' wear."""

    prosumers: ProsumerResult
    resources: ResourceResult
    lams: LamResult
    wam: WamResult
    social_cost: float


class StoresResult(msgspec.Struct, frozen=True):
    """Stores in the case's order, a list over intervals for each.

    Power [kW], + discharges; energy at the beginning of each interval and at the end of the last, spilled
    energy, and what bounds gave way by [kWh]; what a kWh more is worth at the end of each interval [$/kWh].
    """

    prosumer: list[str]
    power_kw: list[list[float]]
    state_kwh: list[list[float]]
    energy_value: list[list[float]]
    spilled_kwh: list[list[float]]
    shortfall_kwh: list[list[float]]


class HorizonCertificateResult(msgspec.Struct, frozen=True):
    """Largest misses.

    Of power [kW], of rows [row units], duality gap [$], gain by a bid [$/h] and by a store's other plan [$].
    """

    balance_kw: float
    row_violation: float
    duality_gap: float
    exploitability: float
    store_gain: float


class HorizonBenchmarkResult(msgspec.Struct, frozen=True):
    """What other rules come to over the horizon: social cost [$], and how many limits they violate."""

    social_cost: float
    violations: int


class HorizonResult(msgspec.Struct, frozen=True, kw_only=True):
    """One solved case over a horizon.

    Its social cost [$] is that of all intervals with the stores' wear, less what energy left at the end is
    worth.
    """

    format: Literal[1] = 1
    status: Literal["optimal"] = "optimal"
    method: Method
    hours: float
    intervals: list[IntervalResult]
    stores: StoresResult
    social_cost: float
    benchmarks: dict[str, HorizonBenchmarkResult]
    certificate: HorizonCertificateResult
    iterations: int
    seconds: float
    certificate_seconds: float


def solve_horizon_case(case: HorizonCase) -> HorizonResult | Refusal:
    """Result of a case over a horizon, or why there is none."""
    # Loads what compiles, which takes longer than most cases of one interval.
    from market.horizon.clearing import clear_horizon

    try:
        return _describe(case, clear_horizon(case))
    except Infeasible as error:
        return Refusal(status="infeasible", method="exact", reason=str(error))
    except NotConverged as error:
        return Refusal(status="not_converged", method="exact", reason=str(error))


def _describe(case: HorizonCase, outcome: HorizonOutcome) -> HorizonResult | Refusal:
    """Result of an outcome with its certificate; refused where that is beyond tolerance."""
    from market.horizon.reference import horizon_references

    stores, _ = within_reach(case.stores, case.hours)
    kept = HorizonCase(case.intervals, stores, case.hours)
    claim = outcome.claim(kept)
    began = time.perf_counter()
    proof = certify_horizon(kept, claim)
    certificate_seconds = time.perf_counter() - began
    if beyond := beyond_tolerance(proof, kept):
        reason = f"no equilibrium: {'; '.join(beyond)}"
        return Refusal(status="not_converged", method="exact", reason=reason)
    wear = float(stores.wear(outcome.power_kw).sum())
    rate = sum(found.social_cost for found in outcome.intervals) + wear
    benchmarks, _ = horizon_references(kept)
    parts = zip(case.intervals, outcome.intervals, claim.intervals, strict=True)
    return HorizonResult(
        method="exact",
        hours=case.hours,
        intervals=[_interval(*each) for each in parts],
        stores=StoresResult(
            [case.first.prosumer_id[i] for i in stores.owner],
            outcome.power_kw.tolist(),
            outcome.state_kwh.tolist(),
            outcome.energy_value.tolist(),
            outcome.spilled_kwh.tolist(),
            outcome.shortfall_kwh.tolist(),
        ),
        social_cost=case.hours * rate - float(stores.end_value @ outcome.state_kwh[:, -1]),
        benchmarks={
            name: HorizonBenchmarkResult(each.social_cost, each.violations)
            for name, each in benchmarks.items()
        },
        certificate=HorizonCertificateResult(
            **{name: getattr(proof, name) for name in HorizonCertificateResult.__struct_fields__}
        ),
        iterations=outcome.iterations,
        seconds=outcome.seconds,
        certificate_seconds=certificate_seconds,
    )


def _interval(case: Case, outcome: Outcome, claim: IntervalClaim) -> IntervalResult:
    payment = np.zeros(0) if claim.announced is None else claim.announced.payment
    return IntervalResult(**outcome_tables(case, outcome, payment), social_cost=outcome.social_cost)
