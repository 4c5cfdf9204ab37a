"""The ways to solve a case, by name: exact in one program, by rounds of bids, or by an independent solver."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from market.model.case import Case
from market.model.response import supply_curves
from market.rounds import CurveResponse, FlowResponse, Loop, Round, Tally, negotiate, negotiate_pool
from market.solver.clearing import Outcome, clear, member_curves, outcome_of
from market.solver.pool_members import Divided
from market.solver.responses import Responses

Method = Literal["exact", "plain", "slope", "curve", "monolithic"]

OnRound = Callable[[Round], None]


@dataclass(frozen=True)
class Solved:
    """Outcome of a case, and what the rounds took where bids were exchanged."""

    outcome: Outcome
    tally: Tally | None = None


def solve(
    case: Case, method: Method = "exact", *, loop: Loop = "nested", on_round: OnRound | None = None
) -> Solved:
    """Solve a case by a method of that name.

    Parameters
    ----------
    case
        The case.
    method
        ``"exact"``: both layers as one program. ``"plain"``, ``"slope"``, ``"curve"``: by bids of that form
        alone. ``"monolithic"``: all prosumers in one program, by cvxpy.
    loop
        How rounds of plain and slope bids are nested; those of a pool never are.
    on_round
        Called after each round of the members, where bids are exchanged.

    Returns
    -------
    Solved

    Raises
    ------
    Infeasible
        The power balance or a limit cannot be met; names it and the amount.
    NotConverged
        The method stopped short of its tolerance.
    ModuleNotFoundError
        cvxpy is not installed and the method needs it.
    """
    if method == "exact":
        return Solved(clear(case))
    if method == "monolithic":
        # Loads cvxpy, which takes longer than most cases.
        from market.oracles import monolithic

        return Solved(monolithic.clear(case))
    if method == "curve":
        return _by_curve_bids(case, on_round)
    began = time.perf_counter()
    supply = supply_curves(case.demand_kw, case.resources)
    if case.rule.has_utility:
        response = FlowResponse(member_curves(case, supply), case.slope[case.lam_of])
        pool = negotiate_pool(case, method, response, on_round=on_round)
        return Solved(outcome_of(case, supply, pool.local, pool.wam, began), pool.tally)
    members = CurveResponse(member_curves(case, supply))
    found = negotiate(case, method, members, loop=loop, on_round=on_round)
    local = Divided(found.price, found.trade_kw, found.trade_kw)
    return Solved(outcome_of(case, supply, local, found.wam, began), found.tally)


def _by_curve_bids(case: Case, on_round: OnRound | None) -> Solved:
    """Curve bids: every party bids its whole response once, and the exact clearing follows from these."""
    if case.rule.has_utility:
        # Limits of the feeder part members who deal with the utility from others: the WAM needs each one.
        outcome, told = clear(case), supply_curves(case.demand_kw, case.resources).curves.price.size
        vertices = 2 * told
    else:
        responses = Responses(case)
        outcome, vertices = clear(case, responses), responses.vertices
    members, lams = case.demand_kw.size, len(case.lam_id)
    tally = Tally(wam=1, lam=1)
    # A vertex is a price and a power.
    tally.messages, tally.numbers = members + lams, 2 * vertices
    tally.count(1, 2 * lams)
    tally.count(members, 2)
    if on_round is not None:
        flow_kw = outcome.trade_kw + outcome.utility_kw
        on_round(Round(1, 1, outcome.price, outcome.wam.price, outcome.trade_kw, flow_kw))
    return Solved(outcome, tally)
