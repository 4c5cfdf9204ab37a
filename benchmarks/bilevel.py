"""How much better than the market an operator could do that chose every LAM's price for its members.

    python -m benchmarks.bilevel

Members' cost of the exact clearing by quantity bidding, what a local search over LAMs' prices finds, and the
bound below which no prices go: on random markets without limits that grow, and on 11,250 prosumers of the
default scenario at noon, without the feeder's limits.
"""

from __future__ import annotations

import time
from dataclasses import replace

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.quantity import NOON, at_full_span
from cosim.feeder.opendss import Feeder
from cosim.market_studies.cases import default_day_case, random_prosumers
from market.bilevel.operator import operator_problem
from market.solver.clearing import clear

LAMS = 4


@click.command(help=__doc__)
def main() -> None:
    """Print the table."""
    table = Table("case", "members' cost [$/h]", "search gains", "at most", "of the cost", "time [s]")
    rng = np.random.default_rng(1)
    cases = {
        f"random, {LAMS} LAMs of {n}": at_full_span(
            replace(
                random_prosumers(rng, np.repeat(np.arange(LAMS), n), LAMS),
                balance=np.ones(LAMS),
                offset_kw=0.0,
            )
        )
        for n in (3, 6, 12, 24, 48)
    }
    cases[f"default day at {NOON}, no limits"] = replace(
        at_full_span(default_day_case(Feeder(), NOON)[0]), network=None
    )
    for name, case in cases.items():
        outcome = clear(case)
        began = time.perf_counter()
        found = operator_problem(case, outcome)
        seconds = time.perf_counter() - began
        known = "none" if found.known_gain is None else f"{found.known_gain:.3g}"
        part = found.most_gain / abs(found.cost)
        table.add_row(
            name, f"{found.cost:.6g}", known, f"{found.most_gain:.3g}", f"{part:.2g}", f"{seconds:.1f}"
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
