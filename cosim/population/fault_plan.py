"""Faults that a scenario orders, drawn: which device of which prosumer, in which intervals."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from cosim.population.members import Population
from cosim.population.noise import generator
from cosim.scenario import Scenario, ScenarioError
from cosim.scenario.faults import FaultOrder
from devices.faults.fault import SIZES, Fault, can_have
from sharegrid.text import entry


def plan_faults(
    scenario: Scenario, population: Population, intervals: int, outside: Container[str] = ()
) -> tuple[Fault, ...]:
    """Faults of a run, in the order of the scenario; the same seed draws the same.

    Prosumers with devices ``outside`` the run are never affected.

    Raises
    ------
    ScenarioError
        A fault cannot happen at such a device, or a prosumer has none that is emulated; names the entry.
    """
    planned: list[Fault] = []
    for number, order in enumerate(scenario.faults):
        rng = generator(scenario.run.seed, "faults", number)
        where = entry("faults", number)
        if not can_have(order.kind, order.device):
            raise ScenarioError(
                f"{where}: a {order.device} cannot have {order.kind!r}; choose another device"
            )
        taken = {fault.prosumer for fault in planned}
        for prosumer in _affected(order, where, population, outside, taken, rng):
            planned += [
                Fault(
                    kind=order.kind,
                    prosumer=prosumer,
                    device=order.device,
                    first=first,
                    last=min(first + order.intervals, intervals) - 1,
                    size=order.size or SIZES.get(order.kind, 0.0),
                )
                for first in _beginnings(order, intervals, rng)
            ]
    return tuple(planned)


def _affected(
    order: FaultOrder,
    where: str,
    population: Population,
    outside: Container[str],
    taken: set[str],
    rng: np.random.Generator,
) -> list[str]:
    has = population.live.copy()
    if order.device == "pv":
        has &= population.pv_kwp > 0.0
    elif order.device == "battery":
        has &= population.has_battery
    owners = [population.id[k] for k in np.flatnonzero(has) if population.id[k] not in outside]
    for prosumer in order.prosumers:
        if prosumer not in owners:
            raise ScenarioError(f"{where}: {prosumer} has no emulated {order.device}; name a live prosumer")
    if order.prosumers:
        return list(order.prosumers)
    if not owners or not order.share:
        raise ScenarioError(f"{where}: nobody has a {order.device} to fail; give prosumers, or share above 0")
    shuffled = [owners[k] for k in rng.permutation(len(owners))]
    shuffled.sort(key=taken.__contains__)
    return sorted(shuffled[: max(1, round(order.share * len(owners)))])


def _beginnings(order: FaultOrder, intervals: int, rng: np.random.Generator) -> list[int]:
    if not order.rate:
        return [order.first_interval] if order.first_interval < intervals else []
    found, tick = [], order.first_interval
    while tick < intervals:
        if rng.random() < order.rate:
            found.append(tick)
            tick += order.intervals
        else:
            tick += 1
    return found
