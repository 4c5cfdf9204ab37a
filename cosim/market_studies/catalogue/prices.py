"""Where prices stand: the utility's, a LAM's and its members', in a surplus and in a shortage LAM."""

from __future__ import annotations

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
from market.solver.clearing import clear

ROUNDING = 1e-9
"""Prices may stand out of their order by this much [$/kWh]."""


class PricesSettings(Settings, frozen=True):
    """Keys of the study."""

    lams: Annotated[int, Meta(ge=2, le=1000, description="Number of LAMs")] = 8
    members: Annotated[int, Meta(ge=2, le=10_000, description="Members of each LAM")] = 16
    price_span: Annotated[float, Meta(gt=0, le=10, description="k_i times N_i [$/kWh per kW]")] = 0.08
    unlike: Annotated[
        float, Meta(ge=0, le=1, description="Part by which every other LAM has more PV than the mean")
    ] = 0.7
    seed: Annotated[int, Meta(ge=0, description="Of the draws")] = 1


def tasks(settings: PricesSettings) -> list[Task]:
    """One clearing."""
    return [{key: getattr(settings, key) for key in settings.__struct_fields__}]


def measure(*, lams: int, members: int, price_span: float, unlike: float, seed: int) -> Measured:
    """Prices of the LAM with the largest surplus and of the one with the largest shortage."""
    case = by_quantity(communities(seed, lams, members, unlike=unlike), price_span)
    outcome = clear(case)
    net_kw, k = outcome.wam.net_kw, case.slope
    value = outcome.price[case.lam_of] + k[case.lam_of] * outcome.trade_kw
    both = {"surplus": int(net_kw.argmin()), "shortage": int(net_kw.argmax())}
    return {
        "lams": [
            {
                "kind": kind,
                "lam": case.lam_id[lam],
                "net_kw": float(net_kw[lam]),
                "price_usd_per_kwh": float(outcome.price[lam]),
                "intercept_usd_per_kwh": float(outcome.price[lam] - k[lam] * net_kw[lam]),
                "retail_usd_per_kwh": case.tariff.retail,
                "feed_in_usd_per_kwh": case.tariff.feed_in,
            }
            for kind, lam in both.items()
        ],
        "members": [
            {
                "kind": kind,
                "prosumer": case.prosumer_id[j],
                "trade_kw": float(outcome.trade_kw[j]),
                "utility_kw": float(outcome.utility_kw[j]),
                "value_usd_per_kwh": float(value[j]),
            }
            for kind, lam in both.items()
            for j in np.flatnonzero(case.lam_of == lam).tolist()
        ],
    }


def figures(tables: Tables) -> list[Figure]:
    """Figure 2 of the paper."""
    panels = []
    for lam in tables["lams"].rows:
        members = tables["members"].where(kind=lam["kind"])
        trade_kw, value = members.numbers("trade_kw"), members.numbers("value_usd_per_kwh")
        order = np.argsort(value, kind="stable")
        place = np.arange(1.0, order.size + 1.0)
        sides = {"sellers": trade_kw[order] < 0, "buyers": trade_kw[order] >= 0}
        panels.append(
            Panel(
                "members by their marginal value",
                "price [$/kWh]",
                [
                    Series(side, place[mask].tolist(), value[order][mask].tolist(), points=True)
                    for side, mask in sides.items()
                ],
                f"{lam['kind']} LAM, buys {lam['net_kw']:.2f} kW",
                steady={
                    "retail W+": float(lam["retail_usd_per_kwh"] or 0.0),
                    "price of the LAM": float(lam["price_usd_per_kwh"] or 0.0),
                    "intercept w0": float(lam["intercept_usd_per_kwh"] or 0.0),
                    "feed-in W-": float(lam["feed_in_usd_per_kwh"] or 0.0),
                },
            )
        )
    caption = "Marginal values of sellers and buyers beside the LAM's price, its intercept and the utility's."
    return [Figure("prices", f"{caption} (Figure 2 of the paper.)", panels)]


def claims(tables: Tables) -> list[Claim]:
    """The order of prices."""
    off = []
    for lam in tables["lams"].rows:
        members = tables["members"].where(kind=lam["kind"])
        price = float(lam["price_usd_per_kwh"] or 0.0)
        value, trade_kw = members.numbers("value_usd_per_kwh"), members.numbers("trade_kw")
        intercept = float(lam["intercept_usd_per_kwh"] or 0.0)
        sign = 1.0 if lam["kind"] == "shortage" else -1.0
        off += [
            float(np.max(value[trade_kw < 0] - price, initial=0.0)),
            float(np.max(price - value[trade_kw > 0], initial=0.0)),
            float(value.max() - float(lam["retail_usd_per_kwh"] or 0.0)),
            float(float(lam["feed_in_usd_per_kwh"] or 0.0) - value.min()),
            sign * (intercept - price),
        ]
    worst = max(*off, 0.0)
    return [
        Claim(
            "W- <= sellers' value <= price of the LAM <= buyers' value <= W+; the price is above its "
            "intercept in a shortage and below in a surplus",
            f"missed by at most {worst:.1e} $/kWh",
            "yes" if worst <= ROUNDING else "no",
            "follows from the members' best replies (market.md, section 7)",
        )
    ]


PRICES = Study(
    name="prices",
    question="Where do the prices of members, of their LAM and of the utility stand to each other?",
    settings=PricesSettings,
    quick={"lams": 4, "members": 8},
    tasks=tasks,
    measure=measure,
    figures=figures,
    claims=claims,
)
