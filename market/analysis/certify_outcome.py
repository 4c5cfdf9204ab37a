"""Certificate of an outcome that the solvers gave."""

from __future__ import annotations

from market.analysis.certificate import Announced, Certificate, Pool, certify
from market.model.case import Case
from market.solver.clearing import Outcome


def certify_outcome(case: Case, outcome: Outcome, announced: Announced | None = None) -> Certificate:
    """Certificate of an outcome: what `market.analysis.certificate.certify` says of its numbers alone.

    Parameters
    ----------
    case, outcome
        The case and what is judged.
    announced
        Locational prices, their parts and payments, where these are judged as well.
    """
    wam = outcome.wam
    return certify(
        case,
        outcome.trade_kw,
        outcome.output_kw,
        outcome.price,
        wam.net_kw,
        wam.grid_kw,
        wam.energy_price,
        wam.row_dual,
        announced,
        Pool(outcome.utility_kw, wam.pool_price) if case.rule.has_utility else None,
    )
