"""What a LAM operator could truly gain by another bid: the WAM cleared anew while all others' bids stay.

The certificate measures a LAM's gain under its conjecture, which is zero at equilibrium. Here nothing is
conjectured: the energy price, the network's prices and the others' purchases all answer (market.md,
section 3). It takes some sixty clearings a LAM: for studies of the conjecture, not for every interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from market.errors import MarketError
from market.model.arrays import Floats
from market.model.case import Case
from market.model.curves import Curves, from_points
from market.model.response import supply_curves
from market.solver.aggregation import aggregate
from market.solver.clearing import Outcome, member_curves
from market.solver.wam import clear_wam

GRID = 33
"""Net purchases that are tried over the whole range of a LAM before the search narrows."""

NARROWINGS = 24
"""Golden sections around the best of them; each leaves 0.618 of the interval."""

MARGIN = 10.0
"""How far beyond all prices of the case the others' demand functions reach [$/kWh]."""

_GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)


@dataclass(frozen=True)
class Deviation:
    """The best that one LAM could do by another bid.

    Attributes
    ----------
    lam
        Position of the LAM.
    gain
        What its members would gain together, >= 0 [$/h]; a lower bound, found by search.
    net_kw, price
        Its net purchase [kW] and locational price [$/kWh] there.
    bill
        What it turns over now, |mu Q| + Delta |Q| [$/h], to hold the gain against.
    """

    lam: int
    gain: float
    net_kw: float
    price: float
    bill: float


def best_deviations(case: Case, outcome: Outcome, lams: Sequence[int] | None = None) -> list[Deviation]:
    """Search for each LAM's best bid while the others' demand functions (3.1) are held.

    A bid of LAM i picks a point (Q_i, mu_i) on what the others and the network leave, so the search goes
    over Q_i: fix it, clear (3.10) for all others, and read mu_i. Its members' cost is V_i(Q) + mu Q +
    Delta |Q|, with V_i the integral of its own curve (2.6).

    Parameters
    ----------
    case, outcome
        A case and its cleared outcome, at whose prices all bid B_j = Q_j + A mu_j.
    lams
        Indices of the LAMs to look at; all when left out.

    Returns
    -------
    list of Deviation
        In the order of ``lams``.
    """
    members = member_curves(case, supply_curves(case.demand_kw, case.resources))
    total = aggregate(members, case.lam_of, len(case.lam_id))
    bids = outcome.wam.net_kw + case.wam_sensitivity * outcome.wam.price
    chosen = range(len(case.lam_id)) if lams is None else lams
    return [_search(case, outcome, total, bids, lam) for lam in chosen]


def _search(case: Case, outcome: Outcome, total: Curves, bids: Floats, lam: int) -> Deviation:
    """Best deviation of one LAM: a grid over its range, then golden sections around the best point."""
    vertices = slice(total.start[lam], total.start[lam + 1])
    price, kw = total.price[vertices], total.kw[vertices]
    fee = float(case.wam_fee[lam])
    now_kw, now_price = float(outcome.wam.net_kw[lam]), float(outcome.wam.price[lam])

    def cost(net_kw: float) -> tuple[float, float]:
        at = now_price if net_kw == now_kw else _residual_price(case, outcome, bids, lam, net_kw)
        if at is None:
            return np.inf, np.nan
        return _value(price, kw, net_kw, now_kw) + at * net_kw + fee * abs(net_kw), at

    grid = np.linspace(kw[-1], kw[0], GRID)
    tried = np.unique(np.concatenate([grid, [now_kw]]))
    costs = [cost(each)[0] for each in tried.tolist()]
    best = int(np.argmin(costs))
    low, high = float(tried[max(best - 1, 0)]), float(tried[min(best + 1, tried.size - 1)])
    found = [(costs[best], float(tried[best]))]
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = cost(left)[0], cost(right)[0]
    for _ in range(NARROWINGS):
        found += [(at_left, left), (at_right, right)]
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)[0]
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)[0]
    least, net_kw = min(found)
    stay = now_price * now_kw + fee * abs(now_kw)
    bill = abs(now_price * now_kw) + fee * abs(now_kw)
    return Deviation(lam, max(stay - least, 0.0), net_kw, cost(net_kw)[1], bill)


def _residual_price(case: Case, outcome: Outcome, bids: Floats, lam: int, net_kw: float) -> float | None:
    """Price at a LAM whose net purchase is fixed while all others keep their bids; None if impossible."""
    known = np.append(outcome.wam.price, [case.grid.import_price, case.grid.export_price])
    ends = np.array([known.min() - MARGIN, known.max() + MARGIN])
    lines = [(ends, bid - case.wam_sensitivity * ends) for bid in bids]
    lines[lam] = (ends[:1], np.array([net_kw]))
    try:
        anew = clear_wam(from_points(lines), case.network, case.grid, case.balance, case.offset_kw)
    except MarketError:
        return None
    return float(anew.price[lam])


def _value(price: Floats, kw: Floats, net_kw: float, from_kw: float) -> float:
    """V_i(net) - V_i(from) [$/h]: minus the integral of a LAM's curve, exact on its straight pieces."""
    x, y = kw[::-1], price[::-1]
    area = np.concatenate([[0.0], np.cumsum(0.5 * (y[1:] + y[:-1]) * np.diff(x))])

    def up_to(power: float) -> float:
        at = int(np.clip(np.searchsorted(x, power, side="right") - 1, 0, max(x.size - 2, 0)))
        after = min(at + 1, x.size - 1)
        width = x[after] - x[at]
        fraction = (power - x[at]) / width if width > 0 else 0.0
        here = y[at] + fraction * (y[after] - y[at])
        return float(area[at] + 0.5 * (y[at] + here) * (power - x[at]))

    return up_to(from_kw) - up_to(net_kw)
