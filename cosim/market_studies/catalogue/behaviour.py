"""What a member gains that reports other costs than it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import by_quantity, communities
from cosim.market_studies.declaration import (
    Claim,
    Figure,
    Measured,
    Panel,
    Row,
    Series,
    Settings,
    Study,
    Tables,
    Task,
)
from market.model.arrays import Floats
from market.model.case import Case, Resources
from market.model.response import disaggregate, supply_curves
from market.model.rule import DemandFunctionBidding
from market.solver.clearing import Outcome, clear, pool_members

NO_GAIN = 1e-6
"""A gain below this is none [$/h]."""

RULES = ("quantity", "demand-function")


class BehaviourSettings(Settings, frozen=True):
    """Keys of the study."""

    members: Annotated[
        tuple[Annotated[int, Meta(ge=2, le=10_000)], ...],
        Meta(min_length=2, description="Members of each LAM that are tried"),
    ] = (4, 8, 16, 32, 64)
    lams: Annotated[int, Meta(ge=2, le=1000, description="Number of LAMs")] = 4
    factors: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=10)], ...],
        Meta(
            min_length=2, description="By which a member's reported costs, and its PV, differ from the true"
        ),
    ] = (0.5, 0.7, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.5, 2.0)
    tried: Annotated[int, Meta(ge=1, le=1000, description="Members that misreport, one at a time")] = 12
    price_span: Annotated[float, Meta(gt=0, le=10, description="k_i times N_i [$/kWh per kW]")] = 0.08
    seeds: Annotated[int, Meta(ge=1, le=100, description="Draws of each")] = 3


def tasks(settings: BehaviourSettings) -> list[Task]:
    """Each rule, size and draw."""
    return [
        {
            "rule": rule,
            "members": members,
            "seed": seed,
            "lams": settings.lams,
            "factors": list(settings.factors),
            "tried": settings.tried,
            "price_span": settings.price_span,
        }
        for rule in RULES
        for members in settings.members
        for seed in range(1, settings.seeds + 1)
    ]


def measure(
    *, rule: str, members: int, seed: int, lams: int, factors: list[float], tried: int, price_span: float
) -> Measured:
    """Gains of some members by each factor, all others truthful."""
    case = communities(seed, lams, members)
    if rule == "quantity":
        case = by_quantity(case, price_span)
    else:
        case = replace(case, rule=DemandFunctionBidding())
    honest = clear(case)
    chosen = np.unique(np.linspace(0, case.demand_kw.size - 1, tried).astype(int)).tolist()
    truth = costs(case, honest)
    turnover = np.abs(truth).clip(1e-9)
    rows: list[Row] = []
    for factor in factors:
        for j in chosen:
            lied = clear(replace(case, resources=reported(case.resources, j, factor)))
            gain = float(truth[j] - costs(case, lied)[j])
            rows.append(
                {
                    "rule": rule,
                    "members": members,
                    "seed": seed,
                    "factor": factor,
                    "prosumer": case.prosumer_id[j],
                    "gain_usd_per_h": gain,
                    "gain_part": gain / float(turnover[j]),
                }
            )
    return {"gains": rows}


def reported(resources: Resources, member: int, factor: float) -> Resources:
    """Resources as they are told: one member's costs times a factor, and no more PV than it has."""
    own = resources.owner == member
    free = own & (resources.cost_linear == 0.0)
    return replace(
        resources,
        cost_linear=np.where(own, factor * resources.cost_linear, resources.cost_linear),
        max_kw=np.where(free, min(factor, 1.0) * resources.max_kw, resources.max_kw),
    )


def costs(case: Case, outcome: Outcome) -> Floats:
    """What an outcome truly costs each member: its resources, its trade and its utility, ``(n,)`` [$/h]."""
    supply = supply_curves(case.demand_kw, case.resources)
    trade_kw, price = outcome.trade_kw, outcome.price[case.lam_of]
    flow_kw = trade_kw
    if case.rule.has_utility:
        # It keeps the trade that it told, and chooses what it takes of the utility by its true costs.
        flow_kw = pool_members(case, supply).charged(np.zeros(len(case.lam_id))).flows(trade_kw)
    own = case.resources.cost(disaggregate(supply, flow_kw))
    resources = np.bincount(case.resources.owner, own, minlength=trade_kw.size)
    fees = case.fee[case.lam_of] * np.abs(trade_kw)
    return np.asarray(resources + price * trade_kw + fees + case.tariff.bill(flow_kw - trade_kw))


def figures(tables: Tables) -> list[Figure]:
    """Gains by factor and by size."""
    gains = tables["gains"]
    sizes = sorted(gains.different("members"))

    def by_factor(rule: str) -> Panel:
        some = gains.where(rule=rule)
        lines = []
        for members in (sizes[0], sizes[len(sizes) // 2], sizes[-1]):
            of_size = some.where(members=members)
            places = sorted(of_size.different("factor"))
            mean = [float(of_size.where(factor=place).numbers("gain_usd_per_h").mean()) for place in places]
            lines.append(Series(f"{members} members", places, mean))
        return Panel("reported over true costs", "mean gain [$/h]", lines, f"rule {rule}")

    best = []
    for rule in RULES:
        some = gains.where(rule=rule)
        tops = [float(some.where(members=size).numbers("gain_usd_per_h").max()) for size in sizes]
        best.append(Series(rule, [float(size) for size in sizes], [max(top, NO_GAIN) for top in tops]))
    return [
        Figure(
            "behaviour",
            "What one member gains that reports other costs, or less PV, than it has; others are truthful.",
            [
                *(by_factor(rule) for rule in RULES),
                Panel(
                    "members of a LAM",
                    f"largest gain found, at least {NO_GAIN:g} [$/h]",
                    best,
                    log_x=True,
                    log_y=True,
                ),
            ],
        )
    ]


def claims(tables: Tables) -> list[Claim]:
    """Whether misreporting pays, and whether that vanishes."""
    gains = tables["gains"]
    sizes = sorted(gains.different("members"))
    found = []
    for rule in RULES:
        some = gains.where(rule=rule)
        first, last = (
            float(some.where(members=size).numbers("gain_usd_per_h").max()) for size in (sizes[0], sizes[-1])
        )
        mean = float(some.where(members=sizes[-1]).numbers("gain_usd_per_h").mean())
        found.append(
            Claim(
                f"in large systems misreporting does not pay ({rule})",
                f"largest gain {first:.2e} $/h with {sizes[0]} members, {last:.2e} with {sizes[-1]}; mean "
                f"over all reports there {mean:.2e}",
                "yes" if last < 0.5 * first and mean < 0 else "in part" if mean < 0 else "no",
                "a member's report moves the price by k, which falls with N; a reply is best against "
                "trades that are held, so that others' answers leave a small gain",
            )
        )
    return found


BEHAVIOUR = Study(
    name="behaviour",
    question="What does a member gain that reports other costs than it has?",
    settings=BehaviourSettings,
    quick={"members": (3, 9), "lams": 2, "factors": (0.8, 1.2), "tried": 4, "seeds": 1},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
