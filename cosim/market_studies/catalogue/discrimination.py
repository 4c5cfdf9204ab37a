"""What the utility's spread W+ - W- is worth, and what fees cost."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import by_quantity, communities
from cosim.market_studies.declaration import (
    Claim,
    Figure,
    Measured,
    Panel,
    Series,
    Settings,
    Study,
    Tables,
    Task,
)
from market.analysis.reference import LEAST_SAVING, references
from market.model.case import Grid, Tariff
from market.model.rule import DemandFunctionBidding
from market.solver.clearing import clear

FAR_KW = 1e9

Prices = tuple[Annotated[float, Meta(ge=0, le=1)], ...]


class DiscriminationSettings(Settings, frozen=True):
    """Keys of the study."""

    lams: Annotated[int, Meta(ge=2, le=1000, description="Number of LAMs")] = 10
    members: Annotated[int, Meta(ge=2, le=10_000, description="Members of each")] = 30
    mean: Annotated[float, Meta(gt=0, le=1, description="Mean of W+ and W- [$/kWh]")] = 0.18
    spreads: Annotated[Prices, Meta(min_length=2, description="W+ - W- that are tried [$/kWh]")] = (
        0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3,
    )  # fmt: skip
    fees: Annotated[Prices, Meta(min_length=2, description="Fees of both layers that are tried [$/kWh]")] = (
        0.0, 0.002, 0.005, 0.01, 0.02, 0.04,
    )  # fmt: skip
    price_span: Annotated[float, Meta(gt=0, le=10, description="k_i times N_i [$/kWh per kW]")] = 0.08
    seeds: Annotated[int, Meta(ge=1, le=100, description="Draws of each")] = 5


def tasks(settings: DiscriminationSettings) -> list[Task]:
    """Each spread by quantity, each fee by demand functions, and each draw."""
    size = {"lams": settings.lams, "members": settings.members, "price_span": settings.price_span}
    return [
        {"kind": kind, "spread": spread, "fee": fee, "mean": settings.mean, "seed": seed, **size}
        for kind, spread, fee in (
            *(("spread", spread, 0.0) for spread in settings.spreads),
            *(("fee", 0.24, fee) for fee in settings.fees),
        )
        for seed in range(1, settings.seeds + 1)
    ]


def measure(
    *,
    kind: str,
    spread: float,
    fee: float,
    mean: float,
    seed: int,
    lams: int,
    members: int,
    price_span: float,
) -> Measured:
    """Costs of all structures at one spread or fee."""
    high, low = mean + 0.5 * spread, mean - 0.5 * spread
    case = replace(
        communities(seed, lams, members), grid=Grid(high, low, FAR_KW, FAR_KW), tariff=Tariff(high, low)
    )
    if kind == "fee":
        charged = np.full(lams, fee)
        case = replace(case, rule=DemandFunctionBidding(), fee=charged, wam_fee=charged)
    else:
        case = by_quantity(case, price_span)
    found, _ = references(case)
    # Without a spread nobody gains, and members' replies to one price are no curve.
    outcome = clear(case) if high > low else None
    apart, best = found["no_sharing"].social_cost, found["optimum"].social_cost
    possible = apart - best
    cost = apart if outcome is None else outcome.social_cost
    traded = 0.0 if outcome is None else 0.5 * float(np.abs(outcome.trade_kw).sum())
    return {
        "costs": [
            {
                "kind": kind,
                "spread_usd_per_kwh": spread,
                "fee_usd_per_kwh": fee,
                "seed": seed,
                "no_sharing_usd_per_h": apart,
                "lam_only_usd_per_h": found["lam_only"].social_cost,
                "single_layer_usd_per_h": found["single_layer"].social_cost
                if "single_layer" in found
                else None,
                "two_layers_usd_per_h": cost,
                "optimum_usd_per_h": best,
                "possible_usd_per_h": possible,
                "lost_part": (cost - best) / possible if possible > LEAST_SAVING else None,
                "shared_kw": traded,
            }
        ]
    }


def figures(tables: Tables) -> list[Figure]:
    """Costs by spread, and the lost part by spread and by fee."""
    spreads, fees = tables["costs"].where(kind="spread"), tables["costs"].where(kind="fee")
    named = ("no_sharing", "lam_only", "single_layer", "two_layers", "optimum")
    return [
        Figure(
            "discrimination",
            "Costs at a mean price by the utility's spread; what is lost of the saving by spread and by fee.",
            [
                Panel(
                    "W+ - W- [$/kWh]",
                    "social cost [$/h]",
                    [
                        Series(
                            name.replace("_", " ").replace("lam", "LAM"),
                            *spreads.medians("spread_usd_per_kwh", f"{name}_usd_per_h"),
                        )
                        for name in named
                    ],
                    "rule quantity",
                ),
                Panel(
                    "W+ - W- [$/kWh]",
                    "lost part of the possible saving",
                    [Series("two layers", *spreads.medians("spread_usd_per_kwh", "lost_part"))],
                    "rule quantity",
                ),
                Panel(
                    "fee of both layers [$/kWh]",
                    "lost part of the possible saving",
                    [Series("two layers", *fees.medians("fee_usd_per_kwh", "lost_part"))],
                    "rule demand-function",
                ),
                Panel(
                    "fee of both layers [$/kWh]",
                    "shared power [kW]",
                    [Series("two layers", *fees.medians("fee_usd_per_kwh", "shared_kw"))],
                    "rule demand-function",
                ),
            ],
        )
    ]


def claims(tables: Tables) -> list[Claim]:
    """What spread and fees do."""
    spreads, fees = tables["costs"].where(kind="spread"), tables["costs"].where(kind="fee")
    places, saving = spreads.medians("spread_usd_per_kwh", "possible_usd_per_h")
    lost = [each for each in spreads.medians("spread_usd_per_kwh", "lost_part")[1] if np.isfinite(each)]
    by_fee = fees.medians("fee_usd_per_kwh", "lost_part")[1]
    rises = all(a <= b + 1e-9 for a, b in pairwise(saving))
    return [
        Claim(
            "price discrimination W+ > W- is what makes sharing worth while",
            f"possible saving {round(saving[0], 6) + 0.0:.3g} $/h at a spread of {places[0]:g} $/kWh and "
            f"{saving[-1]:.3g} at {places[-1]:g}",
            "yes" if rises else "no",
            "shared energy earns the spread that the utility would keep",
        ),
        Claim(
            "the wider the spread, the smaller the part that strategic members lose",
            f"lost part {lost[0]:.2e} at the least spread and {lost[-1]:.2e} at the largest",
            "yes" if lost[-1] < lost[0] else "no",
            "the loss depends on k, the saving on the spread",
        ),
        Claim(
            "fees cost efficiency",
            f"lost part {by_fee[0]:.2e} without fees and {by_fee[-1]:.2e} at the largest",
            "yes" if by_fee[-1] > by_fee[0] else "no",
            "a fee opens a dead band of twice its width for each trade",
        ),
    ]


DISCRIMINATION = Study(
    name="discrimination",
    question="What is the utility's spread worth to those who share, and what do fees cost?",
    settings=DiscriminationSettings,
    quick={"lams": 3, "members": 6, "spreads": (0.05, 0.3), "fees": (0.0, 0.02), "seeds": 1},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
