"""One interval as the core sees it: its messages as a case, an allocation and prices of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from broker.messages import LamOutcome, NetworkModel, PositionBatch, WamOutcome, columns
from market.model.arrays import Bools, Floats, Ints
from market.model.case import Case, Resources
from market.participants.network import inverters_of, network_of
from market.participants.roster import Roster, Rules, Terms
from market.solver.relaxation import give_way

_RESOURCE_COLUMNS = ("min_kw", "max_kw", "cost_linear", "cost_quadratic", "output_kw")


class Unauditable(Exception):
    """There is no equilibrium to certify; the message says why."""


@dataclass(frozen=True)
class Said:
    """What was said of an interval that the audit rests on.

    Attributes
    ----------
    outcome, model
        The WAM's outcome, and the linear model that cleared it; ``None`` where not heard.
    lam_outcomes, positions
        By the host that sent them.
    """

    outcome: WamOutcome | None
    model: NetworkModel | None
    lam_outcomes: Mapping[str, LamOutcome]
    positions: Mapping[str, PositionBatch]


@dataclass(frozen=True)
class Allocation:
    """The LAM hosts' outcomes side by side.

    Attributes
    ----------
    trade_kw, payment
        Trades [kW] and what they cost at the announced prices [$/h], ``(n,)``.
    price, net_kw
        Local prices [$/kWh] and net purchases [kW], ``(M,)``.
    silent
        Members that did not bid and were taken as inflexible, ``(n,)``.
    """

    trade_kw: Floats
    payment: Floats
    price: Floats
    net_kw: Floats
    silent: Bools


def cleared(roster: Roster, said: Said) -> tuple[WamOutcome, NetworkModel]:
    """The outcome and its model where everything is there to judge them by; else raises ``Unauditable``."""
    outcome, model = said.outcome, said.model
    if outcome is None:
        raise Unauditable("the WAM was silent")
    if outcome.status == "held":
        raise Unauditable("the last prices were held")
    if model is None:
        raise Unauditable("the linear model behind the clearing was not heard")
    for host in roster.lam_hosts:
        if host not in said.lam_outcomes:
            raise Unauditable(f"no outcome from {host}")
        if said.lam_outcomes[host].alone:
            raise Unauditable(f"{host} cleared its LAMs alone")
    for lam in sorted(set(outcome.fallbacks) & set(roster.lams)):
        raise Unauditable(f"LAM {lam} was silent")
    told = sum(columns.unpack_index(batch.prosumer).size for batch in said.positions.values())
    if told != len(roster.prosumers):
        raise Unauditable(f"positions of {len(roster.prosumers) - told} prosumers are missing")
    return outcome, model


def row_places(names: tuple[str, ...], wanted: list[str]) -> Ints:
    """Positions of the rows that an outcome names; raises ``Unauditable`` at a row that the model has not."""
    at = {name: place for place, name in enumerate(names)}
    try:
        return np.array([at[name] for name in wanted], dtype=np.intp)
    except KeyError as unknown:
        raise Unauditable(f"the linear model has no row {unknown}") from None


def case_of(
    roster: Roster, rules: Rules, terms: Terms, model: NetworkModel, positions: Mapping[str, PositionBatch]
) -> tuple[Case, Floats]:
    """The interval as one case, and the outputs that the market asked for, ``(r,)`` [kW].

    Parameters
    ----------
    model
        The linear model by which the interval was cleared.
    positions
        True positions by host; together they cover all prosumers.
    """
    demand_kw = np.zeros(len(roster.prosumers))
    owner: list[Ints] = []
    parts: dict[str, list[Floats]] = {key: [] for key in _RESOURCE_COLUMNS}
    for host in sorted(positions):
        batch = positions[host]
        prosumer = columns.unpack_index(batch.prosumer)
        demand_kw[prosumer] = columns.unpack(batch.demand_kw, prosumer.size)
        owner.append(columns.unpack_index(batch.owner))
        for key in _RESOURCE_COLUMNS:
            parts[key].append(columns.unpack(getattr(batch, key), owner[-1].size))
    joined = {key: np.concatenate(arrays) for key, arrays in parts.items()}
    output_kw = joined.pop("output_kw")
    case = replace(
        rules.case,
        demand_kw=demand_kw,
        resources=Resources(owner=np.concatenate(owner), **joined),
        balance=np.array(model.balance),
        offset_kw=model.offset_kw,
        network=network_of(model),
        grid=terms.grid,
        tariff=terms.tariff,
    )
    return case, output_kw


def as_cleared(case: Case, model: NetworkModel, outcome: WamOutcome) -> Case:
    """The case as the WAM cleared it: inverters at their set-points, and limits that gave way."""
    network, offset_kw = case.network, case.offset_kw
    assert network is not None
    inverters = inverters_of(model)
    if inverters is not None:
        network, offset_kw = inverters.held(network, offset_kw, np.array(outcome.inverter_kvar))
    by = dict(zip(outcome.relaxed_name, outcome.relaxed_by, strict=True))
    network, grid = give_way(network, case.grid, by)
    return replace(case, network=network, offset_kw=offset_kw, grid=grid)


def allocation_of(roster: Roster, lam_outcomes: Mapping[str, LamOutcome]) -> Allocation:
    """Everyone's trade and every LAM's price, from hosts that together speak for all."""
    n, m = len(roster.prosumers), len(roster.lams)
    trade_kw, trade_price = np.zeros(n), np.zeros(n)
    price, net_kw = np.zeros(m), np.zeros(m)
    silent = np.zeros(n, dtype=bool)
    place = {name: at for at, name in enumerate(roster.prosumers)}
    for host in sorted(lam_outcomes):
        told = lam_outcomes[host]
        lam, prosumer = columns.unpack_index(told.lam), columns.unpack_index(told.prosumer)
        price[lam], net_kw[lam] = columns.unpack(told.price, lam.size), columns.unpack(told.net_kw, lam.size)
        trade_kw[prosumer] = columns.unpack(told.trade_kw, prosumer.size)
        trade_price[prosumer] = columns.unpack(told.trade_price, prosumer.size)
        silent[[place[name] for name in told.missing]] = True
    return Allocation(trade_kw, trade_price * trade_kw, price, net_kw, silent)


def as_bid(case: Case, output_kw: Floats, allocation: Allocation) -> tuple[Case, Floats]:
    """The case as the market heard it, with outputs: who was silent draws its allocation, inflexibly."""
    silent = allocation.silent
    if not silent.any():
        return case, output_kw
    still = silent[case.resources.owner]
    resources = replace(
        case.resources,
        min_kw=np.where(still, 0.0, case.resources.min_kw),
        max_kw=np.where(still, 0.0, case.resources.max_kw),
    )
    demand_kw = np.where(silent, allocation.trade_kw, case.demand_kw)
    return replace(case, demand_kw=demand_kw, resources=resources), np.where(still, 0.0, output_kw)
