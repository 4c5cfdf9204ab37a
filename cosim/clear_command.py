"""The command ``sharegrid clear``: one case file, without broker, feeder or devices."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from sharegrid.errors import SharegridError

if TYPE_CHECKING:
    from market.methods import Method
    from market.rounds import Round


@click.command()
@click.argument("case", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Result file.")
@click.option(
    "--method",
    type=click.Choice(["exact", "plain", "slope", "curve", "monolithic"]),
    default="exact",
    show_default=True,
    help="Exactly at once, by rounds of bids of a form, or by an independent solver (needs cvxpy).",
)
@click.option(
    "--loop",
    type=click.Choice(["nested", "single"]),
    help="Whether each LAM agrees with its members before it bids, or all at once.  [default: nested]",
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    help="Distance from the exact equilibrium after each round of bids: a page of figures where the name "
    "ends in .html, else comma-separated values.",
)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def clear(
    case: Path,
    out: Path,
    method: Method,
    loop: Literal["nested", "single"] | None,
    trace: Path | None,
    force: bool,
) -> None:
    """Clear one CASE (docs/case-format.md) and write the result.

    Exit status: 0 optimal, 2 malformed case, 3 infeasible, 4 not converged.
    """
    from market.files.horizon_result import HorizonResult
    from market.files.result_file import clear_file, refuse_existing
    from market.files.result_schema import Refusal
    from market.methods import solve

    if loop and method not in ("plain", "slope"):
        raise SharegridError(f"--loop {loop}: --method {method} has no rounds to nest; choose plain or slope")
    if trace and method not in ("plain", "slope", "curve"):
        raise SharegridError(f"--trace: --method {method} exchanges no bids; choose plain, slope or curve")
    for other, option in ((case, "CASE"), (out, "--out")):
        if trace and os.path.realpath(trace) == os.path.realpath(other):
            raise SharegridError(f"--trace {trace}: it would overwrite {option}; give another file")
    if trace:
        refuse_existing(trace, force=force)
    rounds: list[Round] = []
    solver = partial(solve, method=method, loop=loop or "nested", on_round=rounds.append if trace else None)
    status, result = clear_file(case, out, method, solver, force=force, before_horizon=_compile_horizon)
    if trace and rounds and result.status != "infeasible":
        loops = "" if loop is None else f", {loop} loop"
        _write_trace(case, rounds, trace, f"{case.stem}: {method} bids{loops}")
    if isinstance(result, Refusal):
        remedy = "; widen that limit, or what members can trade" if result.status == "infeasible" else ""
        click.echo(f"sharegrid: {case}: {result.status}: {result.reason}{remedy}", err=True)
    elif isinstance(result, HorizonResult):
        import numpy as np

        from market.horizon.stores import missing_kwh

        missing = missing_kwh(np.array(result.stores.shortfall_kwh, dtype=np.float64))
        late = f"; {missing:.6g} kWh cannot be charged in time" if missing > 0 else ""
        click.echo(
            f"{result.status}: {len(result.intervals)} intervals, social cost {result.social_cost:.6g} $ "
            f"in {result.seconds:.2f} s{late}"
        )
    else:
        took = result.rounds
        asked = f", rounds: {took.lam} of the members, {took.wam} of the WAM" if took else ""
        milliseconds = result.seconds * 1e3
        click.echo(
            f"{result.status}: social cost {result.social_cost:.6g} $/h in {milliseconds:.1f} ms{asked}"
        )
    sys.exit(status)


def _compile_horizon() -> None:
    """Have the clearing over a horizon compiled, and say so where that takes long."""
    from cosim.readiness import horizon_compiled

    asyncio.run(horizon_compiled(partial(click.echo, err=True)))


def _write_trace(case: Path, rounds: Sequence[Round], path: Path, title: str) -> None:
    """Write how far each round was from the exact equilibrium, as figures or as a table of text."""
    from market.files.case_file import read_case
    from market.rounds.trace import Trace, trace_csv

    trace = Trace(read_case(case))
    for state in rounds:
        trace(state)
    if path.suffix == ".html":
        from cosim.report.convergence import write_convergence

        write_convergence(trace.rows, path, title)
        return
    try:
        path.write_text(trace_csv(trace.rows), encoding="utf-8")
    except OSError as error:
        raise SharegridError(
            f"{path}: {error.strerror or error}; choose a path that can be written"
        ) from error
