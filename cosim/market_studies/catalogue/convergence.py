"""How rounds of bidding come to the equilibrium, in both layers, with each form of bids and both rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import by_quantity, communities, interval, sized
from cosim.market_studies.declaration import (
    Claim,
    Figure,
    Measured,
    Panel,
    Series,
    Settings,
    Study,
    Table,
    Tables,
    Task,
)
from market.errors import NotConverged
from market.methods import Method, solve
from market.model.arrays import Floats
from market.model.case import Case, Grid
from market.model.response import disaggregate, supply_curves
from market.model.rule import DemandFunctionBidding
from market.rounds import CurveResponse, Form, Loop, Round, negotiate
from market.rounds.trace import Trace, TraceRow
from market.solver.clearing import Outcome, clear, member_curves, pool_members

SHOWN_LAMS = 4
FORMS: tuple[Form, ...] = ("plain", "slope")
CLOSE = 1e-6
"""A relative cost error below this counts as converged."""


class ConvergenceSettings(Settings, frozen=True):
    """Keys of the study."""

    prosumers: Annotated[int, Meta(ge=0, le=100_000, description="Of the scenario; 0 for a small market")] = (
        11_250
    )
    start: Annotated[str, Meta(pattern=r"^\d\d:\d\d$", description="Local time of the interval")] = "13:00"
    lams: Annotated[int, Meta(ge=2, le=1000, description="LAMs of the small market")] = 8
    members: Annotated[int, Meta(ge=2, le=1000, description="Members of each of them")] = 12
    price_span: Annotated[
        float, Meta(gt=0, le=10, description="k_i times N_i, rule quantity [$/kWh per kW]")
    ] = 0.08


def tasks(settings: ConvergenceSettings) -> list[Task]:
    """One for each rule, form and loop."""
    common = {
        "prosumers": settings.prosumers,
        "start": settings.start,
        "lams": settings.lams,
        "members": settings.members,
        "price_span": settings.price_span,
    }
    return [
        {"rule": rule, "form": form, "loop": loop, **common}
        for rule in ("demand-function", "quantity")
        for form, loop in (
            *((form, loop) for form in FORMS for loop in ("nested", "single")),
            ("curve", "single"),
        )
    ]


def measure(
    *,
    rule: str,
    form: Method,
    loop: Loop,
    prosumers: int,
    start: str,
    lams: int,
    members: int,
    price_span: float,
) -> Measured:
    """Errors and prices by round of one way to bid."""
    if prosumers:
        case = interval(start, example="paper", changes=sized(prosumers)).case
    else:
        case = communities(1, lams, members)
    case = replace(case, rule=DemandFunctionBidding())
    if rule == "quantity":
        case = by_quantity(replace(case, network=None, balance=np.ones(len(case.lam_id))), price_span)
    exact = clear(case)
    error_of: Trace | _PoolTrace = (
        Trace(case, exact) if rule == "demand-function" else _PoolTrace(case, exact)
    )
    seen: list[Round] = []

    def on_round(state: Round) -> None:
        seen.append(state)
        error_of(state)

    tally, ended = None, True
    try:
        if form == "curve":
            tally = solve(case, form, on_round=on_round).tally
        else:
            asked, response = (case, _members(case)) if rule == "demand-function" else _pool_as_case(case)
            bids: Form = "plain" if form == "plain" else "slope"
            tally = negotiate(asked, bids, response, loop=loop, on_round=on_round).tally
    except NotConverged:
        ended = False
    errors: Sequence[TraceRow | _Errors] = error_of.rows
    key = {"rule": rule, "form": form, "loop": loop}
    chosen = np.linspace(0, len(case.lam_id) - 1, min(SHOWN_LAMS, len(case.lam_id))).astype(int).tolist()
    return {
        "rounds": [
            {
                **key,
                "round": state.lam,
                "wam_round": state.wam,
                "cost_error": row.cost_error,
                "price_error_usd_per_kwh": row.price_error,
                "wam_price_error_usd_per_kwh": row.wam_price_error,
            }
            for state, row in zip(seen, errors, strict=True)
        ],
        "prices": [
            {
                **key,
                "round": state.lam,
                "wam_round": state.wam,
                "lam": case.lam_id[lam],
                "price_usd_per_kwh": float(state.price[lam]),
                "wam_price_usd_per_kwh": float(state.wam_price[lam]),
            }
            for state in seen
            for lam in chosen
        ],
        "ends": [
            {
                **key,
                "ended": ended,
                "prosumers": case.demand_kw.size,
                "lam_rounds": seen[-1].lam,
                "wam_rounds": seen[-1].wam,
                "messages": None if tally is None else tally.messages,
                "numbers": None if tally is None else tally.numbers,
                "last_cost_error": errors[-1].cost_error,
                "last_price_error_usd_per_kwh": errors[-1].price_error,
            }
        ],
    }


def _members(case: Case) -> CurveResponse:
    return CurveResponse(member_curves(case, supply_curves(case.demand_kw, case.resources)))


def _pool_as_case(case: Case) -> tuple[Case, CurveResponse]:
    """The closed pool of quantity bidding as a market that the rounds can negotiate.

    Without limits and losses the pool is a WAM whose grid sells nothing, and members with the utility behind
    them answer prices by curves (market.md, section 7).
    """
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    response = CurveResponse(members.charged(np.zeros(members.lams)).trades)
    asked = replace(
        case,
        rule=DemandFunctionBidding("price-taking"),
        # What a plain bid tells of: the steepest line that an answer can have.
        sensitivity=1.0 / case.slope,
        wam_sensitivity=float((case.members / case.slope).max()),
        grid=Grid(case.tariff.retail, case.tariff.feed_in, 0.0, 0.0),
        offset_kw=0.0,
    )
    return asked, response


@dataclass(frozen=True)
class _Errors:
    """As the fields of `TraceRow` of these names."""

    cost_error: float
    price_error: float
    wam_price_error: float


class _PoolTrace:
    """`Trace` of members' cost in a pool; shared energy that does not balance is the utility's."""

    def __init__(self, case: Case, exact: Outcome) -> None:
        self.rows: list[_Errors] = []
        self._case, self._exact = case, exact
        self._supply = supply_curves(case.demand_kw, case.resources)
        self._members = pool_members(case, self._supply).charged(np.zeros(len(case.lam_id)))
        costs = np.abs(case.resources.cost(exact.output_kw)).sum()
        self._scale = float(costs + np.abs(case.tariff.bill(exact.utility_kw)).sum())
        self._cost = self._cost_of(exact.trade_kw)

    def __call__(self, state: Round) -> None:
        self.rows.append(
            _Errors(
                abs(self._cost_of(state.trade_kw) - self._cost) / self._scale,
                float(np.abs(state.price - self._exact.price).max()),
                float(np.abs(state.wam_price - self._exact.wam.price).max()),
            )
        )

    def _cost_of(self, trade_kw: Floats) -> float:
        case = self._case
        flow_kw = self._members.flows(trade_kw)
        cost = case.resource_cost(disaggregate(self._supply, flow_kw))
        bills = case.tariff.bill(flow_kw - trade_kw).sum() + case.tariff.bill(trade_kw.sum())
        return cost + float(bills)


def figures(tables: Tables) -> list[Figure]:
    """Figures 4 and 5 of the paper: errors and prices by round."""
    rounds, prices = tables["rounds"], tables["prices"]
    found = []
    for rule in rounds.different("rule"):
        of_rule = rounds.where(rule=rule)
        errors = [
            Series(
                f"{form}, {loop}",
                some.values("round"),
                np.maximum(some.numbers("cost_error"), 1e-16).tolist(),
            )
            for form in FORMS
            for loop in ("nested", "single")
            if len(some := of_rule.where(form=form, loop=loop))
        ]
        last = [
            prices.where(rule=rule, form=FORMS[0], loop="nested"),
            prices.where(rule=rule, form=FORMS[1], loop="nested"),
        ]
        panels = [Panel("rounds of the members", "relative error of cost", errors, "both layers", log_y=True)]
        for form, some in zip(FORMS, last, strict=True):
            ends = [_last_of_wam_rounds(some.where(lam=lam)) for lam in some.different("lam")]
            panels.append(
                Panel(
                    "rounds of the WAM",
                    "price of the WAM [$/kWh]",
                    [Series(str(lam), x, y) for lam, (x, y) in zip(some.different("lam"), ends, strict=True)],
                    f"WAM, {form} bids",
                )
            )
        some = last[0]
        panels.append(
            Panel(
                "rounds of the members",
                "sharing price of the LAM [$/kWh]",
                [
                    Series(str(lam), one.values("round"), one.values("price_usd_per_kwh"))
                    for lam in some.different("lam")
                    if len(one := some.where(lam=lam))
                ],
                f"LAMs, {FORMS[0]} bids",
            )
        )
        found.append(
            Figure(
                f"rounds-{rule}",
                f"Error of cost and prices by round, rule {rule} (figures 4 and 5 of the paper).",
                panels,
            )
        )
    return found


def _last_of_wam_rounds(some: Table) -> tuple[list[float], list[float]]:
    """The last price of each round of the WAM."""
    last = {row["wam_round"]: row["wam_price_usd_per_kwh"] for row in some.rows}
    return [float(key or 0) for key in last], [float(value or 0.0) for value in last.values()]


def claims(tables: Tables) -> list[Claim]:
    """What the rounds came to."""
    ends = tables["ends"]
    found = []
    for rule in ends.different("rule"):
        some = ends.where(rule=rule)
        worst = float(np.nanmax(some.numbers("last_cost_error")))
        rounds = ", ".join(
            f"{row['form']} {row['loop']} {row['wam_rounds']} / {row['lam_rounds']}" for row in some.rows
        )
        all_ended = all(some.values("ended"))
        found.append(
            Claim(
                f"rounds of bids converge to the equilibrium ({rule})",
                f"rounds of WAM / members: {rounds}; last relative error of cost at most {worst:.1e}",
                "yes" if all_ended and worst < CLOSE else "in part" if worst < 1e-3 else "no",
                "prices and costs are held against the exact clearing"
                + ("" if rule == "demand-function" else "; without limits of the network and losses"),
            )
        )
    return found


CONVERGENCE = Study(
    name="convergence",
    question="How fast do rounds of bids come to the equilibrium, in LAMs and in the WAM?",
    settings=ConvergenceSettings,
    quick={"prosumers": 0, "lams": 4, "members": 6},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
