"""What a prosumer must satisfy at equilibrium: its balance, best reply, marginal value and bill."""

from __future__ import annotations

import numpy as np

from market.analysis.claim import Announced, Claim
from market.analysis.measure import LAST_BITS, RELATIVE, STATED, Measure, beyond
from market.analysis.reply import Programs
from market.model.arrays import Floats


def balance(claim: Claim) -> Measure:
    """Each prosumer's power balance (1.1), or the furthest that an output is beyond its limits [kW]."""
    case, resources = claim.case, claim.case.resources
    n = claim.trade_kw.size
    supplied = np.bincount(resources.owner, claim.output_kw, minlength=n)
    moved: Floats = np.abs(case.demand_kw)
    moved += np.bincount(resources.owner, np.abs(claim.output_kw), minlength=n)
    moved += np.abs(claim.utility_kw)
    miss = beyond(supplied + claim.trade_kw + claim.utility_kw - case.demand_kw, LAST_BITS * moved)
    out = np.maximum(claim.output_kw - resources.max_kw, resources.min_kw - claim.output_kw)
    furthest = np.zeros(n)
    np.maximum.at(furthest, resources.owner, out)
    miss = np.where(furthest > np.abs(miss), furthest, miss)
    return Measure("prosumer", miss, claim.member_slack_kw, "kW")


def replying(claim: Claim) -> Programs:
    """Each prosumer's program when it reckons with (2.3) at its LAM's price, net purchase held."""
    slope = claim.slope
    linear = claim.local_price - slope * claim.trade_kw
    return Programs(
        claim.case.demand_kw, claim.case.resources, 2.0 * slope, linear, claim.fee, claim.utility_prices
    )


def gain(claim: Claim, programs: Programs) -> Measure:
    """Most that each prosumer could gain by another bid [$/h].

    That of a lone member without a utility counts as zero: its trade is what its LAM buys, whatever it bids.
    """
    best, rounding = programs.least(claim.trade_kw, claim.output_kw)
    miss = beyond(claim.resource_cost + claim.total_bill - best, rounding)
    alone = (claim.case.members[claim.case.lam_of] == 1) & (claim.pool is None)
    return Measure("prosumer", np.where(alone, 0.0, miss), money_tolerance(claim), "$/h")


def money_tolerance(claim: Claim) -> Floats:
    """Tolerance of each prosumer's money: of its turnover, and of what its powers' tolerance costs [$/h]."""
    return RELATIVE * claim.member_turnover + claim.member_slack_kw * claim.member_price_size


def marginal(claim: Claim) -> Measure:
    """By how much each prosumer's marginal value misses the price of its trade, (2.4) [$/kWh].

    The sign is that of what it trades too much. Where a gain tells of a wrong trade by the square of how far
    it is off, this tells by the distance itself.
    """
    resources, owner = claim.case.resources, claim.case.resources.owner
    x, slack = claim.output_kw, claim.member_slack_kw
    cost = resources.cost_linear + resources.cost_quadratic * x
    dearest, cheapest = np.full(slack.size, -np.inf), np.full(slack.size, np.inf)
    # An output above its lower limit asks for its marginal cost at least, one below its upper for no more.
    runs, rests = x > resources.min_kw + slack[owner], x < resources.max_kw - slack[owner]
    np.maximum.at(dearest, owner[runs], cost[runs])
    np.minimum.at(cheapest, owner[rests], cost[rests])
    if claim.utility_prices is not None:
        low, high = claim.utility_prices
        # The utility is a resource more, without limits: it asks one price and pays the other.
        dearest = np.maximum(dearest, np.where(claim.utility_kw > slack, high, low))
        cheapest = np.minimum(cheapest, np.where(claim.utility_kw < -slack, low, high))
    faced = claim.local_price + claim.slope * claim.trade_kw
    least = faced + np.where(claim.trade_kw > slack, claim.fee, -claim.fee)
    most = faced + np.where(claim.trade_kw < -slack, -claim.fee, claim.fee)
    too_much, too_little = least - cheapest, dearest - most
    # Two resources of one prosumer that do not agree fail it on either side.
    too_little = np.maximum(too_little, dearest - cheapest)
    miss = np.where(too_much > too_little, np.maximum(too_much, 0.0), -np.maximum(too_little, 0.0))
    steepest = np.zeros(slack.size)
    np.maximum.at(steepest, owner, resources.cost_quadratic)
    steepest += claim.slope
    size = claim.member_price_size
    terms = size + np.where(np.isfinite(dearest), np.abs(dearest), 0.0)
    terms += np.where(np.isfinite(cheapest), np.abs(cheapest), 0.0)
    lam = claim.case.lam_of
    rounding = LAST_BITS * (terms + steepest * claim.lam_kw[lam]) + claim.price_rounding[lam]
    tolerance = RELATIVE * size + steepest * slack
    return Measure("prosumer", beyond(miss, rounding), tolerance, "$/kWh")


def payment(claim: Claim, announced: Announced) -> Measure:
    """Misses of lambda q + delta |q| + r u by the payments that were announced [$/h].

    A trade is bought or sold, never both, so one fee is due on its amount.
    """
    size = (np.abs(claim.local_price) + claim.fee) * np.abs(claim.trade_kw)
    size += np.abs(claim.charge[claim.case.lam_of] * claim.utility_kw)
    return Measure("prosumer", announced.payment - claim.bill, STATED * size, "$/h")
