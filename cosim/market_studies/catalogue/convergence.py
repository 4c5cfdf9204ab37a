"""How rounds of bidding come to the equilibrium, in both layers, with each form of bids and both rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta
from msgspec.structs import asdict

from cosim.market_studies.cases import by_quantity, communities, interval, sized
from cosim.market_studies.declaration import (
    TIME_OF_DAY,
    Claim,
    Figure,
    Measured,
    Panel,
    Row,
    Series,
    Settings,
    Study,
    Table,
    Tables,
    Task,
)
from market.errors import NotConverged
from market.methods import Method, solve
from market.model.case import Case
from market.model.rule import DemandFunctionBidding
from market.rounds import Form, Loop, Round
from market.rounds.trace import Trace
from market.solver.clearing import clear

SHOWN_LAMS = 4
FORMS: tuple[Form, ...] = ("plain", "slope")
LOOPS: dict[str, tuple[Loop, ...]] = {"demand-function": ("nested", "single"), "quantity": ("single",)}
"""How rounds are nested under each rule: at a locational price a pool's members have nothing to agree on."""

CLOSE = 1e-6
"""A relative cost error below this counts as converged."""


class ConvergenceSettings(Settings, frozen=True):
    """Keys of the study."""

    prosumers: Annotated[int, Meta(ge=0, le=100_000, description="Of the scenario; 0 for a small market")] = (
        11_250
    )
    start: Annotated[str, Meta(pattern=TIME_OF_DAY, description="Local time of the interval")] = "13:00"
    lams: Annotated[int, Meta(ge=2, le=1000, description="LAMs of the small market")] = 8
    members: Annotated[int, Meta(ge=2, le=1000, description="Members of each of them")] = 12
    price_span: Annotated[
        float, Meta(gt=0, le=10, description="k_i times N_i, rule quantity [$/kWh per kW]")
    ] = 0.08


def tasks(settings: ConvergenceSettings) -> list[Task]:
    """One for each rule, form and loop."""
    return [
        {"rule": rule, "form": form, "loop": loop, **asdict(settings)}
        for rule in LOOPS
        for form, loop in (
            *((form, loop) for form in FORMS for loop in LOOPS[rule]),
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
    case = _case_of(rule, prosumers, start, lams, members, price_span)
    exact = clear(case)
    trace = Trace(case, exact)
    seen: list[Round] = []

    def on_round(state: Round) -> None:
        seen.append(state)
        trace(state)

    try:
        tally = solve(case, form, loop=loop, on_round=on_round).tally
    except NotConverged:
        tally = None
    errors = trace.rows
    last, key = seen[-1], {"rule": rule, "form": form, "loop": loop}
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
        "prices": [{**key, **row} for row in _price_rows(case, seen)],
        "ends": [
            {
                **key,
                "ended": tally is not None,
                "prosumers": case.demand_kw.size,
                "lam_rounds": last.lam,
                "wam_rounds": last.wam,
                "messages": None if tally is None else tally.messages,
                "numbers": None if tally is None else tally.numbers,
                "last_cost_error": errors[-1].cost_error,
                "last_price_error_usd_per_kwh": errors[-1].price_error,
            }
        ],
    }


def _case_of(rule: str, prosumers: int, start: str, lams: int, members: int, price_span: float) -> Case:
    """An interval of the paper's scenario with its limits and losses, or a small market without."""
    if prosumers:
        case = interval(start, example="paper", changes=sized(prosumers)).case
    else:
        case = communities(1, lams, members)
    case = replace(case, rule=DemandFunctionBidding())
    return by_quantity(case, price_span) if rule == "quantity" else case


def _price_rows(case: Case, seen: Sequence[Round]) -> Iterator[Row]:
    """Prices of some LAMs by round."""
    lams = len(case.lam_id)
    shown = np.linspace(0, lams - 1, min(SHOWN_LAMS, lams)).astype(int).tolist()
    for state in seen:
        for lam in shown:
            yield {
                "round": state.lam,
                "wam_round": state.wam,
                "lam": case.lam_id[lam],
                "price_usd_per_kwh": float(state.price[lam]),
                "wam_price_usd_per_kwh": float(state.wam_price[lam]),
            }


def _name(lam: object) -> str:
    """A LAM in a legend; the feeder's are named by their bus, those of a small market ``lam0`` and so on."""
    return f"LAM {str(lam).removeprefix('lam')}"


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
            for loop in LOOPS[str(rule)]
            if len(some := of_rule.where(form=form, loop=loop))
        ]
        loop = LOOPS[str(rule)][0]
        last = [prices.where(rule=rule, form=form, loop=loop) for form in FORMS]
        panels = [Panel("rounds of the members", "relative error of cost", errors, "both layers", log_y=True)]
        for form, some in zip(FORMS, last, strict=True):
            ends = [_last_of_wam_rounds(some.where(lam=lam)) for lam in some.different("lam")]
            panels.append(
                Panel(
                    "rounds of the WAM",
                    "price of the WAM [$/kWh]",
                    [
                        Series(_name(lam), x, y)
                        for lam, (x, y) in zip(some.different("lam"), ends, strict=True)
                    ],
                    f"WAM, {form} bids",
                )
            )
        some = last[0]
        panels.append(
            Panel(
                "rounds of the members",
                "sharing price of the LAM [$/kWh]",
                [
                    Series(_name(lam), one.values("round"), one.values("price_usd_per_kwh"))
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
                "prices and costs are held against the exact clearing, limits and losses included",
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
