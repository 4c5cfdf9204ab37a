"""Payments of an interval: from what was allocated, priced and metered to entries of the ledger."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from broker.messages.audit import Rents
from cosim.recording.interval import Interval
from cosim.results.booking import book_interval
from cosim.results.entries import KINDS, MICRO, Booking
from cosim.results.trades import GridTrade, LamTrades, ProsumerTrades, UtilityTrades
from market.analysis.measure import STATED
from market.analysis.settlement import imbalance_prices
from market.participants.roster import Roster, Rules


def book_payments(interval: Interval, roster: Roster, rules: Rules) -> Booking:
    """Ledger entries of an interval: market payments, and imbalance at the worse of market and tariff.

    Energy short of the allocation costs max(lambda + delta, retail), energy long of it earns
    min(lambda - delta, feed-in) (market.md, section 4), charges for what flows included.
    """
    terms, allocation = interval.terms, interval.allocation
    charge = allocation.charge[roster.lam]
    short_price, long_price = imbalance_prices(
        allocation.price[roster.lam], rules.case.fee[roster.lam], terms.tariff, charge
    )
    utility = UtilityTrades(
        power_kw=allocation.utility_kw,
        price=np.where(allocation.utility_kw > 0, terms.tariff.retail, terms.tariff.feed_in),
        charge=allocation.charge,
        loss_charge=interval.loss_charge,
    )
    delta = np.where(allocation.alone, 0.0, rules.case.wam_fee)
    return book_interval(
        interval.dt_h,
        ProsumerTrades(
            lam=roster.lam,
            trade_kw=allocation.trade_kw,
            trade_price=allocation.trade_price,
            metered_kwh=interval.metered_kwh,
            short_price=short_price,
            long_price=long_price,
        ),
        LamTrades(
            net_kw=allocation.net_kw,
            wam_price=allocation.wam_price + delta * np.sign(allocation.net_kw),
            alone=allocation.alone,
        ),
        GridTrade(
            scheduled_kw=interval.grid_scheduled_kw,
            actual_kw=interval.grid_actual_kw,
            import_price=terms.grid.import_price,
            export_price=terms.grid.export_price,
        ),
        utility if rules.case.rule.has_utility else None,
    )


def negative_surplus(booking: Booking, lams: Sequence[str]) -> list[str]:
    """The LAM that pays most for its members' trades, if any: (4.4) says that none does, but for rounding."""
    worst = int(np.argmin(booking.lam_surplus))
    usd = float(booking.lam_surplus[worst])
    return [f"LAM {lams[worst]} has a negative surplus of {usd:.6f} $"] if usd < -1.0 / MICRO else []


def uplift_error(booking: Booking, rents: Rents) -> float:
    """By how much a booked uplift is not what the causes of the WAM's surplus leave uncovered [$].

    What the auditor found from the clearing is held against what was booked from the LAMs' outcomes. Zero
    within the rounding of the two legs that make the uplift and within a billionth of what they hold.

    Parameters
    ----------
    booking
        Of an interval that the WAM cleared.
    rents
        The auditor's causes of its surplus.
    """
    surplus = rents.fees + rents.loss + rents.voltage + rents.congestion + rents.limits
    off = booking.uplift_usd - max(-surplus, 0.0)
    legs = np.isin(booking.kind, [KINDS.index("wholesale"), KINDS.index("grid")])
    allowed_micro = 1.0 + STATED * float(np.abs(booking.micro[legs]).sum())
    return 0.0 if abs(off) * MICRO <= allowed_micro else off
