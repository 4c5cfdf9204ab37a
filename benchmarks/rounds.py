"""How many rounds each form of bids takes to the exact equilibrium, and what these rounds carry.

Run: python -m benchmarks.rounds [CASE.json ...] [--feeder]

Without files the small cases of the tests are negotiated; with --feeder also a random feeder with 11,250
prosumers in 85 LAMs, at several sensitivities. A row is one negotiation: rounds of the WAM, rounds in which
any members were asked, messages and megabytes of numbers, and the largest difference from
the exact prices and trades. "Left alone" are plain bids as the demand functions have them, without slopes
seen from answers.
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from benchmarks.cases import radial_case
from market.errors import Infeasible, NotConverged
from market.files.case_file import read_case
from market.model.case import Case
from market.model.response import supply_curves
from market.rounds import CurveResponse, Form, Loop, negotiate
from market.solver.clearing import clear, member_curves

OWN = Path(__file__).parents[1] / "tests" / "market" / "cases"
WAYS: list[tuple[Form, Loop]] = [
    ("slope", "nested"), ("slope", "single"), ("plain", "nested"), ("plain", "single"),
]  # fmt: skip
MOST_ROUNDS = 500
"""Where plain bids are left to themselves no longer."""


def feeder_cases() -> Iterator[tuple[str, Case]]:
    """The random feeder, its members' and LAMs' sensitivities varied."""
    base = radial_case(11250, 85, 400, 1)
    for local, wide in product((1.0, 10.0), (200.0, 2000.0)):
        sensitivity = np.full(base.sensitivity.size, local)
        yield f"feeder a={local:g} A={wide:g}", replace(base, sensitivity=sensitivity, wam_sensitivity=wide)


def report(name: str, case: Case) -> None:
    """Print a row for each way of bidding, and for plain bids that are left alone."""
    try:
        exact = clear(case)
    except Infeasible as error:
        print(f"{name:24s} {error}")
        return
    members = CurveResponse(member_curves(case, supply_curves(case.demand_kw, case.resources)))
    for (form, loop), secants in product(WAYS, (True, False)):
        if form == "slope" and not secants:
            continue
        start = f"{name:24s} {form:5s} {loop:6s} {'' if secants else 'left alone':10s}"
        bound = {} if secants else {"lam_rounds": MOST_ROUNDS, "wam_rounds": MOST_ROUNDS}
        try:
            found = negotiate(case, form, members, loop=loop, secants=secants, **bound)
        except NotConverged as error:
            print(f"{start} not settled in {error.iterations} rounds, {error.residual_kw:.1e} kW left")
            continue
        tally = found.tally
        print(
            f"{start} WAM {tally.wam:4d}  members {tally.lam:4d}  messages {tally.messages:8d}"
            f" {tally.bytes / 1e6:8.3f} MB  price {np.abs(found.price - exact.price).max():.0e}"
            f"  kW {np.abs(found.trade_kw - exact.trade_kw).max():.0e}"
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", nargs="*", type=Path, help="case files; default: those of the tests")
    parser.add_argument("--feeder", action="store_true", help="also 11,250 prosumers on a random feeder")
    options = parser.parse_args()
    files = options.case or sorted(p for p in OWN.glob("*.json") if not p.stem.endswith(".solution"))
    for path in files:
        report(path.stem, read_case(path))
    if options.feeder:
        for name, case in feeder_cases():
            report(name, case)


if __name__ == "__main__":
    main()
