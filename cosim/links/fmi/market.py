"""A market as a unit: demand and resources of each prosumer in, prices, trades and outputs out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from cosim.links.fmi.model import Port
from market.files.case_file import case_of, document_of
from market.model.case import Case
from market.solver.clearing import Outcome, clear

_PRICES = {"import_price": "grid", "export_price": "grid", "retail": "tariff", "feed_in": "tariff"}


class MarketModel:
    """See `cosim.links.fmi.model.Model`; each step is one clearing, and its length changes nothing.

    Parameters
    ----------
    case
        The market; inputs stand in for its own demand, resources and prices.
    """

    def __init__(self, case: Case) -> None:
        self._case = case
        self._resources = list(_named(case))
        self.inputs = {port.name: port.start for port in self._in()}
        self.outputs: dict[str, float] = {}

    def ports(self) -> tuple[list[Port], list[Port]]:
        """See `Model.ports`."""
        if not self.outputs:
            self.begin()
        case = self._case
        out = [
            Port("grid_kw", 0.0, "kW", "power at the feeder head, + import"),
            Port("social_cost", 0.0, "$/h", "cost of resources and of the grid's energy"),
            *(Port(f"net_kw.{lam}", 0.0, "kW", f"net purchase of LAM {lam}") for lam in case.lam_id),
            *(Port(f"price.{lam}", 0.0, "$/kWh", f"local price of LAM {lam}") for lam in case.lam_id),
            *(Port(f"wam_price.{lam}", 0.0, "$/kWh", f"price (DLMP) at LAM {lam}") for lam in case.lam_id),
            *(Port(f"trade_kw.{name}", 0.0, "kW", f"bought by {name}") for name in case.prosumer_id),
            *(Port(f"output_kw.{name}", 0.0, "kW", f"output of resource {name}") for name in self._resources),
        ]
        return self._in(), [port._replace(start=self.outputs[port.name]) for port in out]

    def begin(self) -> None:
        """See `Model.begin`."""
        self._tell(clear(self._present()))

    def step(self, step_s: float) -> None:  # noqa: ARG002 - a clearing takes no time
        """See `Model.step`."""
        self.begin()

    def _in(self) -> list[Port]:
        case, of = self._case, self._case.resources
        ports = [
            Port(f"demand_kw.{name}", float(kw), "kW", f"inflexible net demand of {name}")
            for name, kw in zip(case.prosumer_id, case.demand_kw, strict=True)
        ]
        for name, low, high in zip(self._resources, of.min_kw, of.max_kw, strict=True):
            ports.append(Port(f"min_kw.{name}", float(low), "kW", f"least output of resource {name}"))
            ports.append(Port(f"max_kw.{name}", float(high), "kW", f"largest output of resource {name}"))
        for name, part in _PRICES.items():
            start = float(getattr(getattr(case, part), name))
            ports.append(Port(name, start, "$/kWh", f"{part}: {name.replace('_', ' ')}"))
        return ports

    def _present(self) -> Case:
        """The case with the inputs in it, checked as a file would be."""
        of, told = self._case, self.inputs
        resources = replace(
            of.resources,
            min_kw=np.array([told[f"min_kw.{name}"] for name in self._resources]),
            max_kw=np.array([told[f"max_kw.{name}"] for name in self._resources]),
        )
        prices = {
            part: replace(
                getattr(of, part), **{name: told[name] for name in _PRICES if _PRICES[name] == part}
            )
            for part in ("grid", "tariff")
        }
        demand_kw = np.array([told[f"demand_kw.{name}"] for name in of.prosumer_id])
        return case_of(document_of(replace(of, demand_kw=demand_kw, resources=resources, **prices)))

    def _tell(self, outcome: Outcome) -> None:
        case, wam = self._case, outcome.wam
        told: dict[str, float] = {"grid_kw": wam.grid_kw, "social_cost": outcome.social_cost}
        for name, things, values in (
            ("net_kw", case.lam_id, wam.net_kw),
            ("price", case.lam_id, outcome.price),
            ("wam_price", case.lam_id, wam.price),
            ("trade_kw", case.prosumer_id, outcome.trade_kw),
            ("output_kw", self._resources, outcome.output_kw),
        ):
            told |= {f"{name}.{thing}": float(value) for thing, value in zip(things, values, strict=True)}
        self.outputs = told


def _named(case: Case) -> Iterator[str]:
    """Name of each resource: its owner's, and its number among the owner's from 1."""
    count = [0] * len(case.prosumer_id)
    for owner in case.resources.owner:
        count[owner] += 1
        yield f"{case.prosumer_id[owner]}.{count[owner]}"
