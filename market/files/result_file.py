"""Result files: a clearing with benchmarks and certificate, in the documented format; from file to file."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from market.analysis.certificate import Announced
from market.analysis.certify_outcome import certify_outcome
from market.analysis.indicators import indicators
from market.analysis.reference import Benchmark, references
from market.analysis.settlement import Settlement, UtilityTrades, settle, utility_trades
from market.analysis.tolerance import exceeds
from market.errors import CaseError, Infeasible, NotConverged
from market.files.case_file import read_from
from market.files.horizon_file import decode_any
from market.files.horizon_result import HorizonResult, solve_horizon_case
from market.files.outcome_tables import outcome_tables
from market.files.result_schema import (
    BenchmarkResult,
    CertificateResult,
    Refusal,
    Result,
    RoundsResult,
)
from market.horizon.case import HorizonCase
from market.methods import Method, Solved, solve
from market.model.case import Case
from market.solver.clearing import Outcome

Solver = Callable[[Case], Solved]

OPTIMAL, INFEASIBLE, NOT_CONVERGED = 0, 3, 4
"""Exit statuses; a malformed case raises CaseError, whose status is 2."""


def describe(case: Case, solved: Solved, method: Method) -> Result | Refusal:
    """Result of an outcome, with payments, benchmarks, indicators and the certificate.

    An outcome whose certificate is beyond tolerance is refused, whatever its solver reported.
    """
    outcome = solved.outcome
    utility, settled = _settled(case, outcome)
    began = time.perf_counter()
    proof = certify_outcome(case, outcome, Announced(outcome.wam.price, outcome.wam.parts, settled.prosumer))
    certificate_seconds = time.perf_counter() - began
    if beyond := exceeds(proof, case):
        return Refusal(status="not_converged", method=method, reason=f"no equilibrium: {'; '.join(beyond)}")
    benchmarks, _ = references(case)
    optimum = benchmarks.get("optimum")
    bill = None if utility is None else settled.utility
    return Result(
        method=method,
        **outcome_tables(case, outcome, settled.prosumer, bill),
        social_cost=outcome.social_cost,
        members_cost=msgspec.UNSET
        if bill is None
        else case.resource_cost(outcome.output_kw) + float(bill.sum()),
        optimum_cost=None if optimum is None else optimum.social_cost,
        benchmarks={name: _benchmark(case, found) for name, found in benchmarks.items()},
        kpis=indicators(
            case,
            outcome.trade_kw,
            outcome.output_kw,
            outcome.price,
            apart=benchmarks["no_sharing"],
            optimum=optimum,
            utility=utility,
        ),
        certificate=CertificateResult(
            **{name: getattr(proof, name) for name in CertificateResult.__struct_fields__}
        ),
        rounds=_rounds(solved),
        iterations=outcome.iterations,
        seconds=outcome.seconds,
        certificate_seconds=certificate_seconds,
    )


def _settled(case: Case, outcome: Outcome) -> tuple[UtilityTrades | None, Settlement]:
    """Trades with the utility where the rule has one, and what everybody pays."""
    wam = outcome.wam
    utility = utility_trades(case, outcome.utility_kw, wam.charge, wam.energy_price)
    return utility, settle(
        case.lam_of,
        outcome.trade_kw,
        outcome.price,
        case.fee,
        wam.price,
        case.wam_fee,
        wam.net_kw,
        case.grid,
        wam.grid_kw,
        utility,
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
    before_horizon: Callable[[], object] = lambda: None,
) -> tuple[int, Result | HorizonResult | Refusal]:
    """Read a case, of one interval or over a horizon, solve it and write its result.

    Parameters
    ----------
    case_path, out_path
        Files to read and to write.
    method, solver
        Method that the result names, and the function that solves the case; the method's own when left out.
    force
        Whether a result that is there may be replaced.
    before_horizon
        Called before a case over a horizon is solved.

    Returns
    -------
    int
        Exit status: 0 solved, 3 infeasible, 4 not converged.
    Result, HorizonResult or Refusal
        What was written.

    Raises
    ------
    CaseError
        The case is malformed, or the result is there already or cannot be written; an earlier result stays as
        it was.
    """
    case = read_from(case_path, decode_any)
    if isinstance(case, HorizonCase) and method != "exact":
        raise CaseError(f"{case_path}: horizon: method {method} clears one interval; choose exact")
    if out_path.exists() and out_path.samefile(case_path):
        raise CaseError(f"{out_path}: is the case itself; choose another path for the result")
    refuse_existing(out_path, force=force)
    result: Result | HorizonResult | Refusal
    if isinstance(case, HorizonCase):
        before_horizon()
        result = solve_horizon_case(case)
    else:
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
