"""What one interval's outcome is in a result file, of a case alone or within a horizon."""

from __future__ import annotations

from typing import TypedDict

from market.files.result_schema import DlmpResult, LamResult, ProsumerResult, ResourceResult, WamResult
from market.model.arrays import Floats
from market.model.case import Case
from market.solver.clearing import Outcome


class OutcomeTables(TypedDict):
    """Tables that every result has."""

    prosumers: ProsumerResult
    resources: ResourceResult
    lams: LamResult
    wam: WamResult


def outcome_tables(
    case: Case, outcome: Outcome, payment: Floats, bill: Floats | None = None
) -> OutcomeTables:
    """Tables of an outcome of a case with n prosumers.

    Parameters
    ----------
    case, outcome
        The case and its outcome.
    payment
        What prosumers pay for what they share, ``(n,)`` [$/h].
    bill
        What they pay the utility, ``(n,)`` [$/h]; None where the rule has no utility.
    """
    wam = outcome.wam
    of_prosumers, of_lams, of_wam = _utility_columns(outcome, bill)
    return OutcomeTables(
        prosumers=ProsumerResult(
            list(case.prosumer_id), outcome.trade_kw.tolist(), payment.tolist(), **of_prosumers
        ),
        resources=ResourceResult(outcome.output_kw.tolist()),
        lams=LamResult(
            list(case.lam_id),
            wam.net_kw.tolist(),
            outcome.price.tolist(),
            wam.price.tolist(),
            DlmpResult(*(part.tolist() for part in wam.parts.each)),
            **of_lams,
        ),
        wam=WamResult(wam.grid_kw, wam.energy_price, wam.row_value.tolist(), wam.row_dual.tolist(), **of_wam),
    )


def _utility_columns(
    outcome: Outcome, bill: Floats | None
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, float]]:
    """Further columns of prosumers, LAMs and the WAM where the rule has a utility."""
    if bill is None:
        return {}, {}, {}
    wam = outcome.wam
    return (
        {"utility_kw": outcome.utility_kw.tolist(), "utility_payment_per_h": bill.tolist()},
        {"flow_kw": wam.flow_kw.tolist(), "charge": wam.charge.tolist()},
        {"pool_price": wam.pool_price},
    )
