"""Efficiency and exploitability as markets grow: members, LAMs, and how prices answer them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import by_quantity, communities
from cosim.market_studies.declaration import (
    TIMING,
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
from market.analysis.reference import no_sharing, optimum
from market.model.case import Case
from market.model.rule import DemandFunctionBidding
from market.solver.clearing import Outcome, clear

LITTLE = 0.01
"""A lost part of the saving below this counts as near the optimum."""

SMALL = 10
"""Members at which both laws of A meet."""

NEXT_TO_NOTHING = 1e-7
"""Slope of a price that nobody reckons with [$/kWh per kW]."""

LAWS = (
    "quantity, k = span/N",
    "quantity, k fixed",
    "demand function, A ~ N^2",
    "demand function, A fixed",
)
"""How prices answer as LAMs grow; the sensitivity a of members is fixed in the last two."""

LAM_SENSITIVITY = 20.0
"""Sensitivity A of the WAM for each LAM, and each of its members where both laws meet [kW per $/kWh]."""

Counts = tuple[Annotated[int, Meta(ge=2, le=1_000_000)], ...]


class ScaleSettings(Settings, frozen=True):
    """Keys of the study."""

    members: Annotated[Counts, Meta(min_length=2, description="Members of each LAM that are tried")] = (
        4, 8, 16, 32, 64, 128, 256, 512,
    )  # fmt: skip
    lams: Annotated[Counts, Meta(min_length=2, description="Numbers of LAMs that are tried")] = (
        2,
        4,
        8,
        16,
        32,
        64,
    )
    slopes: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=10)], ...],
        Meta(min_length=2, description="Price slopes k_i that are tried [$/kWh per kW]"),
    ] = (0.1, 0.03, 0.01, 0.003, 0.001, 0.0003)
    price_span: Annotated[float, Meta(gt=0, le=10, description="k_i times N_i [$/kWh per kW]")] = 0.08
    fixed: Annotated[float, Meta(gt=0, le=10, description="k_i where it does not fall with N_i")] = 0.02
    seeds: Annotated[int, Meta(ge=1, le=100, description="Draws of each")] = 5
    largest: Annotated[
        int, Meta(ge=0, le=10_000_000, description="Prosumers of one large clearing; 0 for none")
    ] = 1_000_000


def tasks(settings: ScaleSettings) -> list[Task]:
    """Each size and draw under each law; slopes; one large clearing."""
    sizes = [
        *(("members", law, 4, n, 0.0) for law in LAWS for n in settings.members),
        *(("lams", LAWS[0], m, 8, 0.0) for m in settings.lams),
        *(("slopes", LAWS[1], 4, 16, k) for k in settings.slopes),
    ]
    draws = [(*size, seed) for size in sizes for seed in range(1, settings.seeds + 1)]
    if settings.largest:
        members = 1000 if settings.largest >= 10_000 else 10
        draws.append(("largest", LAWS[0], max(settings.largest // members, 2), members, 0.0, 1))
    names = ("sweep", "law", "lams", "members", "slope", "seed")
    common = {"price_span": settings.price_span, "fixed": settings.fixed}
    return [{**dict(zip(names, draw, strict=True)), **common} for draw in draws]


def measure(
    *, sweep: str, law: str, lams: int, members: int, slope: float, seed: int, price_span: float, fixed: float
) -> Measured:
    """Part of the possible saving that is lost, and what a member could gain at the optimum."""
    plain = communities(seed, lams, members)
    nothing = by_quantity(plain, NEXT_TO_NOTHING * members)
    if law in LAWS[2:]:
        case = replace(
            plain,
            rule=DemandFunctionBidding(),
            sensitivity=np.full(lams, 1.0 / fixed),
            wam_sensitivity=LAM_SENSITIVITY * lams * (members**2 / SMALL if law == LAWS[2] else SMALL),
        )
        taken = replace(case, sensitivity=np.full(lams, 1e9), wam_sensitivity=1e9 * lams)
    else:
        k = slope or (fixed if law == LAWS[1] else price_span / members)
        case, taken = by_quantity(plain, k * members), nothing
    began = time.perf_counter()
    outcome = clear(case)
    seconds = time.perf_counter() - began
    apart, best = no_sharing(plain).social_cost, optimum(plain).social_cost
    lost = (outcome.social_cost - best) / (apart - best)
    return {
        "sizes": [
            {
                "sweep": sweep,
                "law": law,
                "lams": lams,
                "members": members,
                "seed": seed,
                "slope_usd_per_kwh_kw": float(case.slope[0]),
                "lost_part": max(lost, 0.0),
                "saving_usd_per_h": apart - best,
                "exploitability_usd_per_h": _exploitability(case, clear(taken)),
            }
        ],
        TIMING: [{"sweep": sweep, "law": law, "lams": lams, "members": members, "clear_s": seconds}],
    }


def _exploitability(case: Case, outcome: Outcome) -> float:
    """The most that any one member gains who alone reckons with its price, where all take prices as given."""
    certificate = certify_outcome(case, outcome)
    return float(certificate.prosumer_gains.largest)


def slope_of(some: Table, by: str, column: str) -> float:
    """Exponent p of ``column ~ by^p``: least squares of the medians on logarithmic axes; NaN without any."""
    x, y = (np.asarray(each, dtype=np.float64) for each in some.medians(by, column))
    seen = (y > 1e-12) & (x > 0)
    if np.count_nonzero(seen) < 2:
        return float("nan")
    return float(np.polyfit(np.log(x[seen]), np.log(y[seen]), 1)[0])


def figures(tables: Tables) -> list[Figure]:
    """What is lost and what may be gained, by size."""
    sizes = tables["sizes"]
    grown = sizes.where(sweep="members")

    def panel(column: str, label: str) -> Panel:
        return Panel(
            "members of a LAM",
            label,
            [Series(law, *grown.where(law=law).medians("members", column)) for law in LAWS],
            log_x=True,
            log_y=True,
        )

    lost = "lost part of the possible saving"
    by_lams, by_slope = sizes.where(sweep="lams"), sizes.where(sweep="slopes")
    return [
        Figure(
            "scale",
            "What strategic members lose, and what one could gain at the optimum; medians of the draws.",
            [
                panel("lost_part", lost),
                panel("exploitability_usd_per_h", "largest gain of a member [$/h]"),
                Panel("LAMs of 8 members", lost, [Series(LAWS[0], *by_lams.medians("lams", "lost_part"))],
                      log_x=True, log_y=True),
                Panel("price slope k [$/kWh per kW], 16 members", lost,
                      [Series(LAWS[1], *by_slope.medians("slope_usd_per_kwh_kw", "lost_part"))],
                      log_x=True, log_y=True),
            ],
        )
    ]  # fmt: skip


def claims(tables: Tables) -> list[Claim]:
    """Exponents beside what theory says."""
    sizes = tables["sizes"]
    grown = sizes.where(sweep="members")
    falls = {law: slope_of(grown.where(law=law), "members", "lost_part") for law in LAWS}
    gains = slope_of(grown.where(law=LAWS[0]), "members", "exploitability_usd_per_h")
    by_slope = slope_of(sizes.where(sweep="slopes"), "slope_usd_per_kwh_kw", "lost_part")
    found = [
        Claim(
            "near the social optimum in large systems (k ~ 1/N)",
            f"lost part falls as N^{falls[LAWS[0]]:.2f}",
            "yes" if falls[LAWS[0]] < -1.0 else "no",
            "k falls with N, and the loss with the square of k while that is small",
        ),
        Claim(
            "with k fixed a larger market does not come nearer the optimum",
            f"lost part goes as N^{falls[LAWS[1]]:.2f}",
            "yes" if falls[LAWS[1]] > -0.3 else "no",
            "a member's own effect on the price is k whatever N is",
        ),
        Claim(
            "demand functions come near the optimum where A grows with N^2",
            f"lost part falls as N^{falls[LAWS[2]]:.2f}",
            "yes" if falls[LAWS[2]] < -1.0 else "no",
            "k = 1 / (a (N - 1)) falls by itself, and what a LAM holds back by, K Q, falls with A",
        ),
        Claim(
            "demand functions come near the optimum in large systems whatever A is",
            f"lost part goes as N^{falls[LAWS[3]]:.2f} with A fixed",
            "yes" if falls[LAWS[3]] < -0.5 else "no",
            "with A fixed, K Q grows with the LAM: its operator holds back more and more",
        ),
        Claim(
            "the loss is O(k^2)",
            f"lost part goes as k^{by_slope:.2f} over the slopes tried",
            "yes" if 1.0 <= by_slope <= 2.3 else "in part",
            "the square holds for small k; at large k trades are cut short and the loss is bounded by 1",
        ),
        Claim(
            "what a member may gain at the optimum vanishes as N grows (k ~ 1/N)",
            f"largest gain goes as N^{gains:.2f}",
            "yes" if gains < -0.5 else "no",
            "a gain is about k q^2 / 4",
        ),
    ]
    for row in sizes.where(sweep="largest").rows:
        lost = float(row["lost_part"] or 0.0)
        count = int(row["lams"] or 0) * int(row["members"] or 0)
        found.append(
            Claim(
                "massive prosumers",
                f"{count:,} prosumers in {row['lams']} LAMs lose {lost:.1e} of the saving",
                "yes" if lost < LITTLE else "no",
                "time of the clearing is in timing.json",
            )
        )
    return found


SCALE = Study(
    name="scale",
    question="Does the market come near the optimum as it grows, and what may a member gain?",
    settings=ScaleSettings,
    quick={"members": (4, 16), "lams": (2, 4), "slopes": (0.03, 0.003), "seeds": 1, "largest": 2_000},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
