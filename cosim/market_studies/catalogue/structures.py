"""What each structure of the market costs: none, LAMs alone, one layer, two layers, and the optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.feeder.opendss import Feeder
from cosim.feeder_setup.lam_table import open_feeder
from cosim.market_studies.cases import (
    around,
    by_quantity,
    communities,
    let_controls_act,
    usual_limits,
    with_model,
)
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
from market.analysis.reference import LEAST_SAVING, Benchmark, references, violated_rows
from market.errors import MarketError
from market.model.case import Case
from market.solver.clearing import clear

SHOWN = ("no sharing", "LAM only", "single layer", "two layers", "optimum")


class StructuresSettings(Settings, frozen=True):
    """Keys of the study."""

    members: Annotated[int, Meta(ge=2, le=10_000, description="Members of each of the feeder's 85 LAMs")] = 30
    unlike: Annotated[
        tuple[Annotated[float, Meta(ge=0, le=1)], ...],
        Meta(min_length=1, description="Parts by which every other LAM has more PV than the mean"),
    ] = (0.0, 0.25, 0.5, 0.75, 1.0)
    seeds: Annotated[int, Meta(ge=1, le=100, description="Draws of each")] = 4
    price_span: Annotated[float, Meta(gt=0, le=10, description="k_i times N_i [$/kWh per kW]")] = 0.08


def tasks(settings: StructuresSettings) -> list[Task]:
    """One for each unlikeness and draw."""
    return [
        {"unlike": unlike, "seed": seed, "members": settings.members, "price_span": settings.price_span}
        for unlike in settings.unlike
        for seed in range(1, settings.seeds + 1)
    ]


def measure(*, unlike: float, seed: int, members: int, price_span: float) -> Measured:
    """Social cost of every structure, with and without limits of the network."""
    feeder: Feeder = open_feeder("", "")
    layout = feeder.layout
    lams = len(layout.lams)
    size_kw = float(layout.spot_kw.sum()) / (lams * members)
    case = communities(seed, lams, members, unlike=unlike, size_kw=size_kw)
    case = by_quantity(case, price_span * 1.0 / size_kw)
    # At noon roofs make about what households use.
    balanced_kw = np.zeros(lams)
    let_controls_act(feeder, balanced_kw)
    over = with_model(case, usual_limits(layout), around(feeder, balanced_kw))
    key = {"unlike": unlike, "seed": seed}
    return {
        "costs": [
            {**key, **row}
            for network in (True, False)
            for row in _structures(over if network else replace(over, network=None), network=network)
        ]
    }


def _structures(case: Case, *, network: bool) -> list[Row]:
    """Cost, limits violated and efficiency of all structures of one case."""
    found, _ = references(case)
    named: dict[str, tuple[float, int] | None] = {
        "no sharing": _told(found["no_sharing"]),
        "LAM only": _told(found["lam_only"]),
        "single layer": _told(found.get("single_layer_network" if network else "single_layer")),
        "two layers": _two_layers(case),
        "optimum": _told(found.get("optimum")),
    }
    apart, best = named["no sharing"], named["optimum"]
    possible = apart[0] - best[0] if apart is not None and best is not None else 0.0
    rows: list[Row] = []
    for name, each in named.items():
        cost, violated = (None, None) if each is None else each
        saved = None
        if cost is not None and apart is not None and possible > LEAST_SAVING:
            saved = (apart[0] - cost) / possible
        rows.append(
            {
                "structure": name,
                "network": network,
                "cost_usd_per_h": cost,
                "violated_rows": violated,
                "saved_part": saved,
            }
        )
    return rows


def _told(benchmark: Benchmark | None) -> tuple[float, int] | None:
    return None if benchmark is None else (benchmark.social_cost, benchmark.violations)


def _two_layers(case: Case) -> tuple[float, int] | None:
    try:
        outcome = clear(case)
    except MarketError:
        return None
    return outcome.social_cost, int(violated_rows(case, outcome.wam.flow_kw).size)


def figures(tables: Tables) -> list[Figure]:
    """Saved part and violations by how unlike the communities are."""
    costs = tables["costs"]

    def panel(column: str, axis: str, title: str, names: Sequence[str], *, network: bool) -> Panel:
        lines = (costs.where(structure=name, network=network).medians("unlike", column) for name in names)
        series = [Series(name, *line) for name, line in zip(names, lines, strict=True)]
        return Panel("how unlike communities are", axis, series, title)

    saved = "saved_part", "part saved of what the optimum saves"
    violated = "violated_rows", "rows of the network that are violated"
    cost = "cost_usd_per_h", "social cost [$/h]"
    caption = "Medians of the draws, by how unlike communities are; limits bind who keeps them alone."
    return [
        Figure(
            "structures",
            caption,
            [
                panel(*saved, "with limits of the network", SHOWN[1:], network=True),
                panel(*saved, "without limits of the network", SHOWN[1:], network=False),
                panel(*violated, "who keeps the limits", SHOWN, network=True),
                panel(*cost, "with limits of the network", SHOWN, network=True),
            ],
        )
    ]


def claims(tables: Tables) -> list[Claim]:
    """Whether a second layer brings most where communities differ."""
    free = tables["costs"].where(network=False)
    places, two = free.where(structure="two layers").medians("unlike", "saved_part")
    alone = free.where(structure="LAM only").medians("unlike", "saved_part")[1]
    single = free.where(structure="single layer").medians("unlike", "saved_part")[1]
    gain = [a - b for a, b in zip(two, alone, strict=True)]
    far = max(abs(a - b) for a, b in zip(two, single, strict=True))
    limited = tables["costs"].where(network=True, structure="two layers")
    broken = float(np.nansum(limited.numbers("violated_rows")))
    return [
        Claim(
            "a second layer gains most where communities differ",
            f"of what the optimum saves, two layers gain {gain[0]:.1%} over LAMs alone at unlikeness "
            f"{places[0]:g} and {gain[-1]:.1%} at {places[-1]:g}",
            "yes" if gain[-1] >= gain[0] else "no",
            "communities with unlike shares of PV have more to share between them",
        ),
        Claim(
            "two layers come near one large market",
            f"saved parts differ by at most {far:.2%} of what the optimum saves, without limits",
            "yes" if far < 0.05 else "no",
            "k_i is the price span over N_i in both",
        ),
        Claim(
            "two layers keep the limits of the network",
            f"{broken:g} rows violated over all draws; "
            f"{sum(value is None for value in limited.values('cost_usd_per_h'))} draws without outcome",
            "yes" if broken == 0 else "no",
            "rows are part of the clearing; a draw that no trade can bring within limits has no outcome",
        ),
    ]


STRUCTURES = Study(
    name="structures",
    question="What do no sharing, LAMs alone, one layer, two layers and the optimum cost?",
    settings=StructuresSettings,
    quick={"members": 4, "unlike": (0.0, 1.0), "seeds": 1},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
