"""What limits of the network do: locational prices, rents, and violations with and without rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from msgspec import Meta

from cosim.market_studies.cases import Interval, around, interval, sized, with_model
from cosim.market_studies.declaration import (
    TIME_OF_DAY,
    Claim,
    FeederMap,
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
from market.errors import MarketError
from market.model.arrays import Floats
from market.model.case import Case
from market.solver.clearing import Outcome, clear

ROUNDS = 4
"""Further clearings of a limit, each over the linear model where the one before put the feeder."""


class CongestionSettings(Settings, frozen=True):
    """Keys of the study."""

    start: Annotated[str, Meta(pattern=TIME_OF_DAY, description="Local time of the interval")] = "13:00"
    prosumers: Annotated[int, Meta(ge=170, le=100_000, description="Of the scenario")] = 11_250
    pv_share: Annotated[float, Meta(ge=0, le=1, description="Part of them with PV")] = 0.5
    upper_pu: Annotated[
        tuple[Annotated[float, Meta(ge=1.0, le=1.1)], ...],
        Meta(min_length=2, description="Upper voltage limits that are tried [pu]"),
    ] = (1.05, 1.04, 1.03, 1.025, 1.02, 1.015)
    rating_factor: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=10)], ...],
        Meta(min_length=1, description="Factors of all ratings that are tried"),
    ] = (1.0, 0.8, 0.7, 0.6, 0.5)


def tasks(settings: CongestionSettings) -> list[Task]:
    """Each voltage limit at full ratings, and each rating at the first voltage limit, under both rules."""
    common = {"start": settings.start, "prosumers": settings.prosumers, "pv_share": settings.pv_share}
    limits = [("voltage", upper, settings.rating_factor[0]) for upper in settings.upper_pu]
    limits += [("rating", settings.upper_pu[0], factor) for factor in settings.rating_factor]
    return [
        {"rule": rule, "sweep": sweep, "upper_pu": upper, "rating_factor": factor, **common}
        for rule in ("quantity", "demand-function")
        for sweep, upper, factor in limits
    ]


def measure(
    *,
    rule: str,
    sweep: str,
    upper_pu: float,
    rating_factor: float,
    start: str,
    prosumers: int,
    pv_share: float,
) -> Measured:
    """The market within and without limits, and what AC power flow says of both."""
    there = interval(
        start,
        example="paper",
        changes={
            "market.rule": rule,
            **sized(prosumers),
            "population.pv.share": pv_share,
            "feeder.voltage_max_pu": upper_pu,
            "feeder.rating_factor": rating_factor,
        },
    )
    key: dict[str, str | float] = {
        "rule": rule,
        "sweep": sweep,
        "upper_pu": upper_pu,
        "rating_factor": rating_factor,
    }
    free = clear(replace(there.case, network=None))
    case, limited, why = _within(there)
    row: Row = {
        **key,
        "solved": limited is not None,
        "reason": why,
        **_judged("free", there, free),
        **({} if limited is None else _judged("limited", there, limited)),
        **({} if limited is None else _rents(case, limited)),
    }
    return {"limits": [row], "prices": _prices(key, there, limited)}


def _within(there: Interval) -> tuple[Case, Outcome | None, str]:
    """The clearing over a linear model that is taken where it ends; the reason where there is none."""
    case, outcome = there.case, None
    try:
        outcome = clear(case)
        for _ in range(ROUNDS):
            if not there.violations(outcome.wam.flow_kw).violations:
                break
            case = with_model(case, there.limits, around(there.feeder, outcome.wam.flow_kw))
            outcome = clear(case)
    except MarketError as error:
        return case, None, str(error)
    return case, outcome, ""


def _judged(name: str, there: Interval, outcome: Outcome) -> dict[str, float]:
    """Cost, and violations by AC power flow."""
    judged = there.violations(outcome.wam.flow_kw)
    return {
        f"{name}_cost_usd_per_h": outcome.social_cost,
        f"{name}_violations": float(len(judged.violations)),
        f"{name}_voltage_pu": judged.voltage_violation_pu,
        f"{name}_congestion_pct": judged.congestion_violation_pct,
        f"{name}_shared_kw": 0.5 * float(np.abs(outcome.wam.net_kw).sum()),
    }


def _rents(case: Case, outcome: Outcome) -> dict[str, float]:
    """What limits that bind earn, and how prices split."""
    network, wam = case.network, outcome.wam
    assert network is not None
    limit = np.where(wam.row_dual > 0, network.upper, network.lower)
    rent = np.where(wam.row_dual != 0, wam.row_dual * (limit - network.base), 0.0)
    parts = wam.parts

    def spread(of: Floats) -> float:
        return float(of.max() - of.min())

    return {
        "binding_rows": float(np.count_nonzero(wam.row_dual)),
        "voltage_rent_usd_per_h": float(rent[network.is_voltage].sum()),
        "congestion_rent_usd_per_h": float(rent[~network.is_voltage].sum()),
        "price_split_usd_per_kwh": spread(wam.price),
        "loss_split_usd_per_kwh": spread(parts.loss),
        "voltage_split_usd_per_kwh": spread(parts.voltage),
        "congestion_split_usd_per_kwh": spread(parts.congestion),
    }


def _prices(key: dict[str, str | float], there: Interval, outcome: Outcome | None) -> list[Row]:
    """Locational price of every LAM with its parts and place."""
    if outcome is None:
        return []
    layout, wam = there.feeder.layout, outcome.wam
    rows: list[Row] = []
    for lam, name in enumerate(layout.lams):
        x, y = layout.coordinates.get(name, (None, None))
        rows.append(
            {
                **key,
                "lam": name,
                "x": x,
                "y": y,
                "price_usd_per_kwh": float(wam.price[lam]),
                "loss_usd_per_kwh": float(wam.parts.loss[lam]),
                "voltage_usd_per_kwh": float(wam.parts.voltage[lam]),
                "congestion_usd_per_kwh": float(wam.parts.congestion[lam]),
                "flow_kw": float(wam.flow_kw[lam]),
            }
        )
    return rows


def figures(tables: Tables) -> list[Figure]:
    """Violations, rents and splits by limit, and a map of prices where limits bind most."""
    from cosim.feeder_setup.lam_table import open_feeder

    limits = tables["limits"].where(sweep="voltage")
    rules = limits.different("rule")

    def by_limit(columns: dict[str, str], label: str) -> Panel:
        return Panel(
            "upper voltage limit [pu]",
            label,
            [
                Series(
                    f"{words}, {rule}" if words else rule,
                    *limits.where(rule=rule, solved=True).medians("upper_pu", column),
                )
                for rule in rules
                for column, words in columns.items()
            ],
        )

    swept = Figure(
        "congestion",
        "AC violations without and with rows, rents of limits, and how far locational prices split.",
        [
            by_limit({"free_violations": "without rows", "limited_violations": "with rows"}, "AC violations"),
            by_limit({"voltage_rent_usd_per_h": ""}, "rent of voltage limits [$/h]"),
            by_limit({"price_split_usd_per_kwh": ""}, "highest less lowest price [$/kWh]"),
            by_limit(
                {"limited_cost_usd_per_h": "with rows", "free_cost_usd_per_h": "without rows"},
                "social cost [$/h]",
            ),
        ],
    )
    layout = open_feeder("", "").layout
    at = layout.coordinates
    lines = [(*at[a], *at[b]) for _, a, b in layout.segments if a in at and b in at]
    maps = []
    for rule in rules:
        shown = limits.where(rule=rule, solved=True)
        if not len(shown):
            continue
        tight = min(shown.values("upper_pu"))
        some = tables["prices"].where(rule=rule, sweep="voltage", upper_pu=tight)
        placed = [row for row in some.rows if row["x"] is not None]
        maps.append(
            FeederMap(
                lines,
                [(float(row["x"] or 0.0), float(row["y"] or 0.0)) for row in placed],
                [float(row["price_usd_per_kwh"] or 0.0) for row in placed],
                "locational price [$/kWh]",
                f"{rule}, at most {tight:g} pu",
            )
        )
    return [
        swept,
        *(
            [Figure("price-map", "Locational prices of the LAMs at the tightest limit.", maps)]
            if maps
            else []
        ),
    ]


def claims(tables: Tables) -> list[Claim]:
    """Whether rows keep the network within its limits."""
    solved = tables["limits"].where(solved=True)
    if not len(solved):
        reason = str(tables["limits"].values("reason")[0])
        return [
            Claim(
                "the market ensures that the network stays feasible", "no limit has an outcome", "no", reason
            )
        ]
    free, limited = solved.numbers("free_violations"), solved.numbers("limited_violations")
    unsolved = len(tables["limits"]) - len(solved)
    rents = solved.numbers("voltage_rent_usd_per_h") + solved.numbers("congestion_rent_usd_per_h")
    split = solved.numbers("price_split_usd_per_kwh")
    return [
        Claim(
            "the market ensures that the network stays feasible",
            f"AC violations: {free.sum():g} without rows, {limited.sum():g} with rows, over {len(solved)} "
            f"limits; {unsolved} without outcome",
            "yes"
            if limited.sum() == 0 and not unsolved
            else "in part"
            if limited.sum() < free.sum()
            else "no",
            "each dispatch is solved by AC power flow; a limit that no trade can keep has no outcome "
            "here, and gives way in a run",
        ),
        Claim(
            "prices split by location where limits bind",
            f"split {split.min():.2g} to {split.max():.2g} $/kWh; rents up to {rents.max():.3g} $/h",
            "yes" if split.max() > split.min() else "no",
            "prices of rows enter each LAM's price with its own sensitivity (DLMP)",
        ),
    ]


CONGESTION = Study(
    name="congestion",
    question="What do limits of the network do to prices, rents and violations?",
    settings=CongestionSettings,
    quick={"prosumers": 500, "upper_pu": (1.05, 1.04), "rating_factor": (1.0,)},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
