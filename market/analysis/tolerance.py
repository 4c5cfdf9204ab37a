"""How good is good enough: the one place that holds a certificate's measures against their tolerances."""

from __future__ import annotations

from collections.abc import Sequence

from market.analysis.certificate import Certificate
from market.analysis.measure import Measure
from market.model.case import Case


def exceeds(certificate: Certificate, case: Case) -> list[str]:
    """What of a certificate is beyond its tolerance (market.md, section 5); empty for an equilibrium.

    Parameters
    ----------
    certificate, case
        What ``certify`` gave, and the case that it judged.

    Returns
    -------
    list of str
        One clause for each measure that is beyond: the number where it is furthest beyond, its tolerance, and
        whom it is about; or, where each is within but all lean to one side, by how much they do. A figure
        that is not a number is beyond.
    """
    clauses = []
    for what, measures in _judged(certificate):
        worst = max(measures, key=_severity, default=None)
        if worst is not None and not _severity(worst) <= 1.0:
            clauses.append(f"{what} {_in_words(worst, case)}")
    return clauses


def _judged(certificate: Certificate) -> list[tuple[str, Sequence[Measure]]]:
    """Every measure of a certificate, by how its miss is written."""
    prices = [certificate.local_prices, *certificate.quoted_prices]
    return [
        ("a balance or limit of power is missed by", certificate.balances),
        ("a network row is violated by as much as", [certificate.row_excess]),
        ("a limit that does not bind has a price of", certificate.idle_prices),
        ("the duality gap is", [certificate.gap]),
        ("a prosumer gains by another bid", [certificate.prosumer_gains]),
        ("a prosumer's marginal value misses its price by", [certificate.marginal]),
        ("a LAM gains by another bid", [certificate.lam_gains]),
        ("a price misses what it must be by", prices),
        ("a payment misses what is due by", certificate.payments),
    ]


def _severity(measure: Measure) -> float:
    """How far a measure is beyond its tolerance, beyond 1: by its worst miss, or by all together."""
    return max(measure.ratio, measure.drift)


def _in_words(measure: Measure, case: Case) -> str:
    """A measure that is beyond its tolerance, in words."""
    if measure.ratio <= 1.0:
        return (
            f"less than its tolerance, but all to one side: {measure.drift:.3g} times what "
            f"{measure.miss.size} independent misses add up to"
        )
    place = measure.worst
    value, tolerance = abs(measure.miss[place]), measure.tolerance[place]
    return f"{value:.3g} {measure.unit} ({_name(case, measure, place)}tolerance {tolerance:.1g})"


def _name(case: Case, measure: Measure, place: int) -> str:
    """Who a measure is about at a place, with a mark behind; empty where there is only one."""
    if measure.of == "prosumer":
        return f"{case.prosumer_id[place]}; "
    if measure.of == "lam":
        return f"{case.lam_id[place]}; "
    if measure.of == "row":
        names = case.network.name if case.network is not None else ()
        return f"row {names[place] if names else place}; "
    return ""
