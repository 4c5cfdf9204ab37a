"""What each LAM must satisfy at equilibrium, and both layers together: prices, best replies, duality gap."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from market.analysis.claim import Announced, Claim
from market.analysis.measure import LAST_BITS, RELATIVE, STATED, Measure, beyond
from market.analysis.prove_members import money_tolerance
from market.analysis.reply import Programs
from market.model.arrays import Floats


def balance(claim: Claim) -> Measure:
    """Sum of each LAM's trades against its net purchase [kW]."""
    case = claim.case
    rounding = LAST_BITS * (case.net_kw(np.abs(claim.trade_kw)) + claim.lam_kw)
    miss = beyond(case.net_kw(claim.trade_kw) - claim.net_kw, rounding)
    return Measure("lam", miss, claim.lam_slack_kw, "kW")


def local_price(claim: Claim) -> Measure:
    """Misses of each LAM's condition (3.3) by its local price [$/kWh]."""
    miss = beyond(claim.price - claim.multiplier, claim.price_rounding)
    return Measure("lam", miss, RELATIVE * claim.lam_price_size, "$/kWh")


def quoted_prices(claim: Claim, announced: Announced) -> list[Measure]:
    """Misses of (3.9) by announced DLMPs and by each of their parts, and of a DLMP by its parts [$/kWh].

    Each part is held against what makes it, so that a small part is not judged by a large price.
    """
    said, due, size = announced.parts, claim.parts, claim.part_sizes
    whole = size.price
    stated = [
        (announced.wam_price - claim.wam_price, whole),
        (announced.wam_price - said.price, whole),
        *((part - what, terms) for part, what, terms in zip(said.each, due.each, size.each, strict=True)),
    ]
    return [Measure("lam", beyond(miss, LAST_BITS * size), STATED * size, "$/kWh") for miss, size in stated]


@dataclass(frozen=True)
class Replies:
    """Least costs of the LAMs' members at the price that (3.3) asks for, ``(M,)`` each.

    Attributes
    ----------
    members
        Lower bounds of members' costs with that price on their trades [$/h].
    rounding
        What rounding may make of them and of what they are held against [$/h].
    low_kw, high_kw
        Least and most that the members together let a LAM buy [kW].
    """

    members: Floats
    rounding: Floats
    low_kw: Floats
    high_kw: Floats


def replies(claim: Claim, programs: Programs) -> Replies:
    """Members' best replies at each LAM's multiplier, given their programs in any form."""
    case = claim.case
    at_multiplier = replace(programs, curvature=claim.slope, linear=claim.multiplier[case.lam_of])
    members, rounding = (case.net_kw(money) for money in at_multiplier.least(claim.trade_kw, claim.output_kw))
    low_kw, high_kw = (case.net_kw(end) for end in programs.range_kw)
    reach_kw = np.maximum(np.abs(low_kw), np.abs(high_kw))
    return Replies(members, rounding + claim.price_rounding * reach_kw, low_kw, high_kw)


def own_cost(claim: Claim) -> Floats:
    """The LAMs' objective V_i at the claimed trades, ``(M,)`` [$/h]."""
    own = claim.resource_cost + claim.utility_cost + claim.fee * np.abs(claim.trade_kw)
    return claim.case.net_kw(own + 0.5 * claim.slope * claim.trade_kw**2)


def gain(claim: Claim, replies: Replies) -> Measure:
    """Most that each LAM could gain by another bid under its conjecture [$/h]."""
    case, net_kw, K = claim.case, claim.net_kw, claim.case.wam_slope
    bill = claim.wam_price * net_kw + case.wam_fee * np.abs(net_kw)
    linear = claim.wam_price - K * net_kw - claim.multiplier
    least = replies.members + _least_net(2.0 * K, linear, case.wam_fee, replies.low_kw, replies.high_kw)
    miss = beyond(own_cost(claim) + bill - least, replies.rounding)
    size = case.net_kw(money_tolerance(claim))
    size += RELATIVE * (np.abs(claim.wam_price) + case.wam_fee) * np.abs(net_kw)
    return Measure("lam", miss, size + claim.lam_slack_kw * claim.lam_price_size, "$/h")


def duality_gap(claim: Claim, replies: Replies, rent: float, rounding: float) -> Measure:
    """Primal minus dual value of the convex program of both layers, (3.8) or (7.5) [$/h].

    Parameters
    ----------
    rent, rounding
        What the priced rows' limits contribute, and what rounding may make of it [$/h].
    """
    case, net_kw, K, grid = claim.case, claim.net_kw, claim.case.wam_slope, claim.case.grid
    linear = claim.wam_price - claim.multiplier
    layers = replies.members + _least_net(K, linear, case.wam_fee, replies.low_kw, replies.high_kw)
    ends = np.array([-grid.export_limit_kw, 0.0, grid.import_limit_kw])
    # With a utility, the grid is behind it: the head's limits alone are left, at what they cost.
    pi = claim.energy_price if claim.pool is None else claim.head_price
    dual = float(layers.sum()) + pi * case.offset_kw - rent
    dual += min((grid.cost(end) if claim.pool is None else 0.0) - pi * end for end in ends.tolist())
    wide = own_cost(claim) + case.wam_fee * np.abs(net_kw) + 0.5 * K * net_kw**2
    primal = float(wide.sum())
    if claim.pool is None:
        primal += grid.cost(claim.grid_kw)
    else:
        # Of the charges only that for losses is a cost; the others price limits.
        primal += float(claim.loss_charge @ claim.flow_kw - claim.charge @ (claim.flow_kw - net_kw))
    miss = beyond(np.array([primal - dual]), float(replies.rounding.sum()) + rounding)
    tolerance = RELATIVE * turnover(claim) + float((claim.member_slack_kw * claim.member_price_size).sum())
    return Measure("program", miss, np.array([tolerance]), "$/h")


def turnover(claim: Claim) -> float:
    """Own costs and bills of all parties, without sign [$/h]."""
    fees = claim.fee * np.abs(claim.trade_kw)
    bills = np.abs(claim.wam_price * claim.net_kw).sum() + abs(claim.case.grid.cost(claim.grid_kw))
    return float(np.abs(claim.resource_cost + fees).sum() + np.abs(claim.utility_cost).sum() + bills)


def uplift(claim: Claim, announced: float) -> Measure:
    """Miss of what the utility is charged for a negative surplus of the WAM [$/h]."""
    case, net_kw = claim.case, claim.net_kw
    paid = claim.wam_price * net_kw + case.wam_fee * np.abs(net_kw)
    cost = case.grid.cost(claim.grid_kw)
    if claim.pool is not None:
        paid = paid + claim.charge * (claim.flow_kw - net_kw)
        cost = float(claim.loss_charge @ claim.flow_kw)
    due = max(cost - float(paid.sum()), 0.0)
    size = np.array([abs(cost) + float(np.abs(paid).sum())])
    return Measure("program", beyond(np.array([announced - due]), LAST_BITS * size), STATED * size, "$/h")


def _least_net(curvature: Floats, linear: Floats, fee: Floats, low: Floats, high: Floats) -> Floats:
    """Least of fee |Q| + curvature Q^2 / 2 + linear Q over [low, high] for each LAM, ``(M,)`` [$/h]."""
    over = np.sign(linear) * np.maximum(np.abs(linear) - fee, 0.0)
    at_an_end = np.where(over > 0, low, np.where(over < 0, high, 0.0))
    free = np.divide(-over, curvature, out=at_an_end, where=curvature > 0)
    Q = np.minimum(np.maximum(free, low), high)
    return np.asarray(fee * np.abs(Q) + (0.5 * curvature * Q + linear) * Q)
