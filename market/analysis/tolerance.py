"""How good is good enough: the one place that holds a certificate's figures against their tolerances."""

from __future__ import annotations

from market.analysis.certificate import Certificate
from market.model.case import Case

POWER_KW = 1e-6
"""Of balances, limits and rows [kW]."""

PRICE = 1e-5
"""Of prices that must agree [$/kWh]."""

RELATIVE = 1e-6
"""Of money, as a part of what the party or program concerned turns over, or of 1 $/h where that is more."""


def exceeds(certificate: Certificate, case: Case) -> list[str]:
    """What of a certificate is beyond its tolerance (market.md, section 5); empty for an equilibrium.

    Parameters
    ----------
    certificate, case
        What ``certify`` gave, and the case that it judged.

    Returns
    -------
    list of str
        One clause for each figure, with its number and tolerance. A figure that is not a number is beyond.
    """
    whole = RELATIVE * max(1.0, certificate.turnover)
    one_lam = RELATIVE * max(1.0, certificate.turnover / len(case.lam_id))
    one_prosumer = RELATIVE * max(1.0, certificate.turnover / len(case.prosumer_id))
    judged = (
        ("a balance or limit of power is missed by", certificate.balance_kw, POWER_KW, "kW"),
        ("a network row is violated by as much as", certificate.row_excess_kw, POWER_KW, "kW"),
        ("a limit that does not bind has a price worth", certificate.complementarity, whole, "$/h"),
        ("the duality gap is", abs(certificate.duality_gap), whole, "$/h"),
        ("a prosumer gains by another bid", certificate.prosumer_gain, one_prosumer, "$/h"),
        ("a LAM gains by another bid", certificate.lam_gain, one_lam, "$/h"),
        ("a price misses what it must be by", certificate.price_error, PRICE, "$/kWh"),
        ("a payment misses what is due by", certificate.payment_error, one_prosumer, "$/h"),
    )
    return [
        f"{what} {value:.3g} {unit} (tolerance {tolerance:.1g})"
        for what, value, tolerance, unit in judged
        if not value <= tolerance
    ]
