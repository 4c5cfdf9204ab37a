"""What LAM operators could truly gain by another bid, on the IEEE 123-node feeder and on small random ones.

The certificate measures gains under the LAMs' conjecture, which are zero. Here the WAM is cleared anew for
each bid that is tried while all other bids stay (market/analysis/deviation.py).
Run: python -m benchmarks.deviation
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dataclasses import replace

import numpy as np

from benchmarks.cases import ieee123_case, radial_case
from cosim.feeder.opendss import Feeder
from cosim.market_studies.cases import around, with_model
from market.analysis.deviation import best_deviations
from market.model.case import Case
from market.solver.clearing import clear


def tell(name: str, case: Case) -> None:
    """Print the largest and the median gain of a case's LAMs beside what they turn over."""
    outcome = clear(case)
    found = best_deviations(case, outcome)
    gain, bill = np.array([each.gain for each in found]), np.array([each.bill for each in found])
    binding = int(np.count_nonzero(outcome.wam.row_dual))
    print(
        f"{name}: {gain.size} LAMs, A = {case.wam_sensitivity:g}, {binding} rows bind; gain at most "
        f"{gain.max():.2g} $/h, median {np.median(gain):.2g} $/h; bills up to {bill.max():.2g} $/h"
    )


def main() -> None:
    """One line for each case."""
    feeder = Feeder()
    case, limits = ieee123_case(feeder, 11_250, seed=1)
    there = with_model(case, limits, around(feeder, clear(case).wam.net_kw))
    tell("IEEE 123", replace(there, wam_sensitivity=2000.0))
    for seed in range(1, 5):
        small = radial_case(200, 8, 24, seed=seed)
        tell(f"radial feeder {seed}", replace(small, wam_sensitivity=20.0))


if __name__ == "__main__":
    main()
