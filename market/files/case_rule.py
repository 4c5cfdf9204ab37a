"""Parameters of a bidding rule in a case file: which keys a rule needs, and which it has no use for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from msgspec import UNSET, UnsetType

from market.errors import CaseError
from market.files.case_checks import HIGHEST_PRICE, column, sensitivities, sensitivity
from market.files.case_schema import CaseDocument
from market.model.arrays import Floats
from market.model.case import Case, Tariff
from market.model.rule import Anchor, BiddingRule, DemandFunctionBidding, QuantityBidding, RuleName
from sharegrid.text import entry

T = TypeVar("T")

UNUSED = float("nan")
"""Stands where a rule has no use for a parameter, so that whoever uses it all the same sees nonsense."""


@dataclass(frozen=True)
class Parameters:
    """What a case holds of its rule, M LAMs."""

    rule: BiddingRule
    sensitivity: Floats
    fee: Floats
    wam_sensitivity: float
    wam_fee: Floats


def parameters_of(file: CaseDocument, lams: int, tariff: Tariff) -> Parameters:
    """Parameters of a document's rule.

    Raises
    ------
    CaseError
        A key is missing, is of another rule, or has a value that the rule cannot take.
    """
    lam, wam = file.lams, file.wam
    of_demand = {
        "lams.sensitivity": lam.sensitivity,
        "lams.fee": lam.fee,
        "lams.wam_fee": lam.wam_fee,
        "wam.sensitivity": wam.sensitivity,
    }
    if file.rule == "quantity":
        _refuse("quantity", of_demand | {"wam.conjecture": wam.conjecture})
        return _quantity(lam.price_slope, wam.anchor, lams, tariff)
    _refuse("demand-function", {"lams.price_slope": lam.price_slope, "wam.anchor": wam.anchor})
    return Parameters(
        DemandFunctionBidding(wam.conjecture or "sharing"),
        sensitivities("lams.sensitivity", _given("lams.sensitivity", lam.sensitivity), lams),
        column("lams.fee", _given("lams.fee", lam.fee), lams, least=0.0, most=HIGHEST_PRICE),
        sensitivity("wam.sensitivity", _given("wam.sensitivity", wam.sensitivity)),
        column("lams.wam_fee", _given("lams.wam_fee", lam.wam_fee), lams, least=0.0, most=HIGHEST_PRICE),
    )


def _given(key: str, value: T | UnsetType) -> T:
    """A parameter that the rule needs."""
    if value is UNSET:
        table, name = key.split(".")
        raise CaseError(f"{table}: {name} is missing; give it; see docs/case-format.md")
    assert not isinstance(value, UnsetType)
    return value


def _quantity(
    price_slope: list[float] | UnsetType, anchor: Anchor | UnsetType, lams: int, tariff: Tariff
) -> Parameters:
    slope = column("lams.price_slope", _given("lams.price_slope", price_slope), lams, most=HIGHEST_PRICE)
    low = np.flatnonzero(~(slope >= 1.0 / HIGHEST_PRICE))
    if low.size:
        at = int(low[0])
        raise CaseError(
            f"{entry('lams.price_slope', at)}: {slope[at]} is below {1.0 / HIGHEST_PRICE:g}; "
            "give $/kWh per kW, as 0.2 over the number of members"
        )
    if not tariff.retail > tariff.feed_in:
        raise CaseError(
            f"tariff.retail: {tariff.retail} is not above feed_in {tariff.feed_in}; "
            "by quantity, members share only what the utility's two prices leave between them"
        )
    none = np.zeros(lams)
    return Parameters(QuantityBidding(slope, anchor or "price"), np.full(lams, UNUSED), none, UNUSED, none)


def _refuse(rule: RuleName, others: Mapping[str, object]) -> None:
    """Refuse keys of another rule: who wrote one expects something of it."""
    for key, value in others.items():
        if value is not UNSET:
            raise CaseError(f"{key}: no parameter of the rule {rule!r}; leave it out or change `rule`")


def lam_parameters(case: Case) -> dict[str, Any]:
    """Columns of a case file's LAMs that its rule needs."""
    if isinstance(case.rule, QuantityBidding):
        return {"price_slope": case.rule.price_slope.tolist()}
    return {
        "sensitivity": case.sensitivity.tolist(),
        "fee": case.fee.tolist(),
        "wam_fee": case.wam_fee.tolist(),
    }


def wam_parameters(case: Case) -> dict[str, Any]:
    """Keys of a case file's wide-area market that its rule needs."""
    if isinstance(case.rule, QuantityBidding):
        return {"anchor": case.rule.anchor}
    assert isinstance(case.rule, DemandFunctionBidding)
    return {"sensitivity": case.wam_sensitivity, "conjecture": case.rule.conjecture}
