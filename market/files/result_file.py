"""Result files: a clearing with benchmarks and certificate, in the documented format; from file to file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from market.analysis.certificate import Announced, certify
from market.analysis.indicators import Indicators, indicators
from market.analysis.reference import Benchmark, Name, references
from market.analysis.settlement import trade_payment
from market.analysis.tolerance import exceeds
from market.errors import CaseError, Infeasible, NotConverged
from market.files.case_file import read_case
from market.methods import Method, Solved, solve
from market.model.case import Case

Solver = Callable[[Case], Solved]

OPTIMAL, INFEASIBLE, NOT_CONVERGED = 0, 3, 4
"""Exit statuses; a malformed case raises CaseError, whose status is 2."""


class ProsumerResult(msgspec.Struct, frozen=True):
    """Trades [kW] and payments [$/h, + pays], in the case's order."""

    id: list[str]
    trade_kw: list[float]
    payment_per_h: list[float]


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


class WamResult(msgspec.Struct, frozen=True):
    """Grid power [kW], energy price [$/kWh], rows' values and prices."""

    grid_kw: float
    energy_price: float
    row_value: list[float]
    row_dual: list[float]


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


def describe(case: Case, solved: Solved, method: Method) -> Result | Refusal:
    """Result of an outcome, with payments, benchmarks, indicators and the certificate.

    An outcome whose certificate is beyond tolerance is refused, whatever its solver reported.
    """
    outcome, wam = solved.outcome, solved.outcome.wam
    payment = trade_payment(outcome.price[case.lam_of], case.fee[case.lam_of], outcome.trade_kw)
    began = time.perf_counter()
    proof = certify(
        case,
        outcome.trade_kw,
        outcome.output_kw,
        outcome.price,
        wam.net_kw,
        wam.grid_kw,
        wam.energy_price,
        wam.row_dual,
        Announced(wam.price, wam.parts, payment),
    )
    certificate_seconds = time.perf_counter() - began
    if beyond := exceeds(proof, case):
        return Refusal(status="not_converged", method=method, reason=f"no equilibrium: {'; '.join(beyond)}")
    benchmarks, _ = references(case)
    optimum = benchmarks.get("optimum")
    figures = indicators(
        case,
        outcome.trade_kw,
        outcome.output_kw,
        outcome.price,
        apart=benchmarks["no_sharing"],
        optimum=optimum,
    )
    return Result(
        method=method,
        prosumers=ProsumerResult(list(case.prosumer_id), outcome.trade_kw.tolist(), payment.tolist()),
        resources=ResourceResult(outcome.output_kw.tolist()),
        lams=LamResult(
            list(case.lam_id),
            wam.net_kw.tolist(),
            outcome.price.tolist(),
            wam.price.tolist(),
            DlmpResult(*(part.tolist() for part in wam.parts.each)),
        ),
        wam=WamResult(wam.grid_kw, wam.energy_price, wam.row_value.tolist(), wam.row_dual.tolist()),
        social_cost=outcome.social_cost,
        optimum_cost=None if optimum is None else optimum.social_cost,
        benchmarks={name: _benchmark(case, found) for name, found in benchmarks.items()},
        kpis=figures,
        certificate=CertificateResult(
            **{name: getattr(proof, name) for name in CertificateResult.__struct_fields__}
        ),
        rounds=_rounds(solved),
        iterations=outcome.iterations,
        seconds=outcome.seconds,
        certificate_seconds=certificate_seconds,
    )


def _benchmark(case: Case, found: Benchmark) -> BenchmarkResult:
    names = case.network.name if case.network is not None else ()
    violates = [names[row] if names else str(row) for row in found.violated.tolist()]
    if found.grid_excess_kw:
        violates.append("grid import limit" if found.grid_excess_kw > 0 else "grid export limit")
    return BenchmarkResult(found.social_cost, violates)


def _rounds(solved: Solved) -> RoundsResult | msgspec.UnsetType:
    tally = solved.tally
    if tally is None:
        return msgspec.UNSET
    return RoundsResult(tally.wam, tally.lam, tally.messages, tally.bytes)


def solve_case(case: Case, method: Method = "exact", solver: Solver | None = None) -> Result | Refusal:
    """Result of a case by a method, or by a ``solver`` under the method's name; or why there is none."""
    try:
        return describe(case, solver(case) if solver else solve(case, method), method)
    except Infeasible as error:
        return Refusal(status="infeasible", method=method, reason=str(error))
    except NotConverged as error:
        return Refusal(status="not_converged", method=method, reason=str(error))


def clear_file(
    case_path: Path,
    out_path: Path,
    method: Method = "exact",
    solver: Solver | None = None,
    *,
    force: bool = False,
) -> tuple[int, Result | Refusal]:
    """Read a case, solve it and write its result.

    Parameters
    ----------
    case_path, out_path
        Files to read and to write.
    method, solver
        Method that the result names, and the function that solves the case; the method's own when left out.
    force
        Whether a result that is there may be replaced.

    Returns
    -------
    int
        Exit status: 0 solved, 3 infeasible, 4 not converged.
    Result or Refusal
        What was written.

    Raises
    ------
    CaseError
        The case is malformed, or the result is there already or cannot be written; an earlier result stays as
        it was.
    """
    case = read_case(case_path)
    if out_path.exists() and out_path.samefile(case_path):
        raise CaseError(f"{out_path}: is the case itself; choose another path for the result")
    refuse_existing(out_path, force=force)
    result = solve_case(case, method, solver)
    try:
        _write_whole(out_path, msgspec.json.encode(result))
    except OSError as error:
        raise CaseError(
            f"{out_path}: {error.strerror or error}; choose a path that can be written"
        ) from error
    if result.status == "optimal":
        return OPTIMAL, result
    return (INFEASIBLE if result.status == "infeasible" else NOT_CONVERGED), result


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise ``CaseError`` where a file is there already that may not be replaced."""
    if path.is_file() and not force:
        raise CaseError(f"{path}: exists already; choose another path, or replace it with --force")


def _write_whole(path: Path, data: bytes) -> None:
    """Write a file so that its readers find the old content or the new, never a part."""
    if path.exists() and not path.is_file():
        # A pipe or a device has no content to lose, and no file may take its place.
        path.write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
