"""Numerical evidence for each statement, with the tolerance that is reached, over random markets."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import by_quantity, communities, random_prosumers
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
from market.analysis.certify_outcome import certify_outcome
from market.analysis.reference import optimum
from market.analysis.tolerance import exceeds
from market.bilevel.operator import operator_problem
from market.errors import NotConverged
from market.model.case import Case
from market.solver.clearing import Outcome, clear

STATEMENTS = {
    "prop_1_kw": (
        "Prop. 1: nobody buys and sells at once",
        1e-6,
        "least of p+ and p- [kW]; here by construction, one signed trade with the utility",
    ),
    "prop_2_kw": (
        "Prop. 2 (our reading): nobody trades against its flow",
        1e-6,
        "least of |q| and |u| where q u < 0 [kW]",
    ),
    "prop_3_gain": (
        "Def. 1, Prop. 3: the outcome is the equilibrium",
        1e-6,
        "largest gain by another bid over the turnover",
    ),
    "prop_3_program": (
        "Prop. 3: it is the optimum of one convex program",
        1e-6,
        "social cost against Clarabel's, with buying and selling apart, over the turnover",
    ),
    "prop_4_usd_per_kwh": (
        "Prop. 4 (our reading): prices stand in their order",
        1e-9,
        "miss of W- <= values and prices <= W+ [$/kWh]",
    ),
    "prop_5_part": (
        "Prop. 5 (our reading): no prices of an operator cost less than the bound",
        1e-9,
        "miss over the cost",
    ),
    "prop_6_kw": (
        "Prop. 6 (our reading): the clearing ends exactly",
        1e-6,
        "largest balance that is missed [kW]",
    ),
    "def_3_part": (
        "Def. 3: no outcome costs less than the social optimum",
        1e-9,
        "miss over the cost",
    ),
}
"""By column: the statement, its tolerance, and what is measured."""

NEAR = 0.01
"""Part of members' cost within which the market is near what an operator could do."""


class PropositionsSettings(Settings, frozen=True):
    """Keys of the study."""

    cases: Annotated[int, Meta(ge=1, le=10_000, description="Random markets")] = 120
    batch: Annotated[int, Meta(ge=1, le=1000, description="Of them in a task")] = 10
    price_span: Annotated[float, Meta(gt=0, le=10, description="k_i times N_i [$/kWh per kW]")] = 0.1
    independent: Annotated[
        bool,
        Meta(description="Whether Clarabel solves each too, where it is installed"),
    ] = True


def tasks(settings: PropositionsSettings) -> list[Task]:
    """Batches of markets."""
    return [
        {
            "first": first,
            "count": min(settings.batch, settings.cases - first),
            "price_span": settings.price_span,
            "independent": settings.independent,
        }
        for first in range(0, settings.cases, settings.batch)
    ]


def measure(*, first: int, count: int, price_span: float, independent: bool) -> Measured:
    """Misses of each statement in each market."""
    rows = []
    for number in range(first, first + count):
        rng = np.random.default_rng([number, 1])
        lams, members = int(rng.integers(1, 7)), int(rng.integers(1, 13))
        if number % 2:
            case = random_prosumers(rng, np.repeat(np.arange(lams), members), lams)
            case = replace(case, balance=np.ones(lams), offset_kw=0.0)
        else:
            case = communities(number, lams, members)
        case = by_quantity(case, price_span * float(rng.uniform(0.1, 3.0)))
        rows.append({"case": number, "lams": lams, "members": members, **_misses(case, independent)})
    return {"misses": rows}


def _misses(case: Case, independent: bool) -> dict[str, float | bool | None]:
    outcome = clear(case)
    q, u = outcome.trade_kw, outcome.utility_kw
    buys, sells = np.maximum(u, 0.0), np.maximum(-u, 0.0)
    value = outcome.price[case.lam_of] + case.slope[case.lam_of] * q
    prices = np.concatenate([value, outcome.price])
    certificate = certify_outcome(case, outcome)
    turnover = max(float(certificate.turnover), 1e-9)
    operator = operator_problem(case, outcome)
    known = operator.cost if operator.best_known is None else operator.best_known
    cost = max(abs(operator.cost), 1e-9)
    below = optimum(case).social_cost - outcome.social_cost
    return {
        "prop_1_kw": float(np.minimum(buys, sells).max()),
        "prop_2_kw": float(np.max(np.minimum(np.abs(q), np.abs(u)), initial=0.0, where=q * u < 0)),
        "prop_3_gain": max(certificate.prosumer_gains.largest, certificate.lam_gains.largest) / turnover,
        "prop_3_program": _against_program(case, outcome) if independent and find_spec("cvxpy") else None,
        "prop_4_usd_per_kwh": max(
            float(prices.max()) - case.tariff.retail, case.tariff.feed_in - float(prices.min()), 0.0
        ),
        "prop_5_part": max(operator.bound - min(known, operator.cost), 0.0) / cost,
        "operator_bound_part": (operator.cost - operator.bound) / cost,
        "operator_found_part": (operator.cost - known) / cost,
        "prop_6_kw": float(certificate.balance_kw),
        "def_3_part": max(below, 0.0) / max(abs(outcome.social_cost), 1e-9),
        "certified": not exceeds(certificate, case),
    }


def _against_program(case: Case, outcome: Outcome) -> float | None:
    """Difference of social cost from an independent solver's, over the turnover; None where that gives up."""
    from market.oracles import monolithic

    try:
        theirs = monolithic.clear(case)
    except NotConverged:
        return None  # of theirs: ours has its certificate
    costs = np.abs(case.resources.cost(outcome.output_kw)).sum() + abs(case.grid.cost(outcome.wam.grid_kw))
    return abs(theirs.social_cost - outcome.social_cost) / max(float(costs), 1e-9)


def figures(tables: Tables) -> list[Figure]:
    """Largest miss of each statement beside its tolerance."""
    misses = tables["misses"]
    names = list(STATEMENTS)
    worst = [float(np.nanmax(np.append(misses.numbers(name), 0.0))) for name in names]
    short = ["Prop. 1", "Prop. 2", "Prop. 3 gain", "Prop. 3 cost", "Prop. 4", "Prop. 5", "Prop. 6", "Def. 3"]
    return [
        Figure(
            "propositions",
            "Largest miss of each statement over all markets, in its own unit, beside its tolerance.",
            [
                Panel(
                    "statement",
                    "largest miss (below 1e-18 as 1e-18)",
                    [
                        Series("found", [], [max(each, 1e-18) for each in worst]),
                        Series("tolerance", [], [STATEMENTS[name][1] for name in names]),
                    ],
                    bars=short,
                    log_y=True,
                )
            ],
        )
    ]


def claims(tables: Tables) -> list[Claim]:
    """Each statement with the tolerance reached."""
    misses = tables["misses"]
    found = []
    for name, (statement, tolerance, what) in STATEMENTS.items():
        values = misses.numbers(name)
        known = values[np.isfinite(values)]
        if not known.size:
            found.append(
                Claim(statement, "not measured", "not comparable", f"{what}; cvxpy is not installed")
            )
            continue
        worst = float(known.max())
        found.append(
            Claim(
                statement,
                f"at most {worst:.1e} over {known.size} of {values.size} markets",
                "yes" if worst <= tolerance else "no",
                f"{what}; tolerance {tolerance:g}",
            )
        )
    return [*found, _operator_s_gain(misses)]


def _operator_s_gain(misses: Table) -> Claim:
    """What an operator that chooses each LAM's price would save its members."""
    bound, search = misses.numbers("operator_bound_part"), misses.numbers("operator_found_part")
    return Claim(
        "the market is near what an operator could do who chooses each LAM's price (MPEC)",
        f"members' cost could fall by at most {np.median(bound):.2%} (median) and {bound.max():.1%} "
        f"(largest); a local search found {np.median(search):.2%} and {search.max():.1%}",
        "yes" if bound.max() <= NEAR else "in part",
        "small markets of 1 to 12 members a LAM; the gain falls as these grow (market.md, section 7)",
    )


PROPOSITIONS = Study(
    name="propositions",
    question="Do the paper's statements hold numerically, and to what tolerance?",
    settings=PropositionsSettings,
    quick={"cases": 4, "batch": 2},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
