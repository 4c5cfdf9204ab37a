"""What exact clearing by quantity bidding takes, with its certificate, beside the demand-function rule.

    python -m benchmarks.quantity [--repeat N]

Processor time, medians over ``--repeat`` clearings in one run: 11,250 prosumers in 85 LAMs on the IEEE
123-node feeder, random ones and those of the default scenario at noon and in the evening, and on a random
radial feeder with 400 rows. The utility's prices are the grid's, and ``k_i`` is their spread over ``N_i``.
"""

from __future__ import annotations

import os

# Matrices here are small: threads of a BLAS on busy cores cost more than they bring.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dataclasses import replace

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.cases import ieee123_case, radial_case
from benchmarks.clearing import processor_ms
from cosim.feeder.opendss import Feeder
from cosim.market_studies.cases import by_quantity, default_day_case
from market.analysis.certify_outcome import certify_outcome
from market.analysis.tolerance import exceeds
from market.model.case import Case
from market.solver.clearing import clear

PROSUMERS, LAMS, ROWS = 11_250, 85, 400
NOON, EVENING = "13:00", "20:30"
UNIT_KW = 1e-6
"""Trades with the utility below this are none."""


def at_full_span(case: Case) -> Case:
    """The same members under the other rule, whose local prices may go from feed-in to retail."""
    return by_quantity(case, case.grid.import_price - case.grid.export_price)


def cases() -> dict[str, Case]:
    """Cases by name, under the demand-function rule."""
    feeder = Feeder()
    return {
        "random prosumers": ieee123_case(feeder, PROSUMERS, seed=1)[0],
        f"default day at {NOON}": default_day_case(feeder, NOON)[0],
        f"default day at {EVENING}": default_day_case(feeder, EVENING)[0],
        f"radial feeder, {ROWS} rows": radial_case(PROSUMERS, LAMS, ROWS, seed=1),
    }


@click.command(help=__doc__)
@click.option("--repeat", default=9, help="Clearings of each case.")
def main(repeat: int) -> None:
    """Print the table."""
    table = Table(
        "case", "rows", "binding", "deal with the utility", "clear", "certificate", "demand function"
    )
    for name, case in cases().items():
        for network in (case.network, None):
            here = replace(case, network=network)
            quantity = at_full_span(here)
            outcome = clear(quantity)
            beyond = exceeds(certify_outcome(quantity, outcome), quantity)
            assert not beyond, beyond
            table.add_row(
                name,
                str(outcome.wam.row_dual.size),
                str(np.count_nonzero(outcome.wam.row_dual)),
                str(np.count_nonzero(np.abs(outcome.utility_kw) > UNIT_KW)),
                f"{processor_ms(lambda c=quantity: clear(c), repeat):.1f}",
                f"{processor_ms(lambda c=quantity, o=outcome: certify_outcome(c, o), repeat):.1f}",
                f"{processor_ms(lambda c=here: clear(c), repeat):.1f}",
            )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
