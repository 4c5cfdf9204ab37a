"""One interval as a case of the market's core: its messages, checked and brought together as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from broker.messages import LamOutcome, NetworkModel, PositionBatch, WamOutcome, columns
from market.model.arrays import Bools, Floats, Ints
from market.model.case import Case, Resources
from market.participants.network_model import inverters_of, network_of
from market.participants.roster import Roster, Rules, Terms
from market.solver.relaxation import give_way

_RESOURCE_COLUMNS = ("min_kw", "max_kw", "cost_linear", "cost_quadratic", "output_kw")


class Unauditable(Exception):
    """There is no equilibrium to certify; the message says why."""


@dataclass(frozen=True)
class AuditedMessages:
    """Messages of one interval on which the audit rests.

    Attributes
    ----------
    outcome, model
        The WAM's outcome, and the linear model over which it was cleared; ``None`` where not received.
    lam_outcomes, positions
        LAM outcomes and prosumers' positions, by the host that sent them.
    """

    outcome: WamOutcome | None
    model: NetworkModel | None
    lam_outcomes: Mapping[str, LamOutcome]
    positions: Mapping[str, PositionBatch]


def cleared_by(roster: Roster, messages: AuditedMessages) -> tuple[WamOutcome, NetworkModel]:
    """The outcome and its model, where the interval has all that is needed to judge them.

    Raises
    ------
    Unauditable
        Prices were held, LAMs cleared alone, or a message is missing.
    """
    outcome, model = messages.outcome, messages.model
    if outcome is None:
        raise Unauditable("the WAM was silent")
    if outcome.status == "held":
        raise Unauditable("the last prices were held")
    if model is None:
        raise Unauditable("the linear model behind the clearing was not received")
    for host in roster.lam_hosts:
        if host not in messages.lam_outcomes:
            raise Unauditable(f"no outcome from {host}")
        if messages.lam_outcomes[host].alone:
            raise Unauditable(f"{host} cleared its LAMs alone")
    for lam in sorted(set(outcome.fallbacks) & set(roster.lams)):
        raise Unauditable(f"LAM {lam} was silent")
    count = sum(columns.unpack_index(batch.prosumer).size for batch in messages.positions.values())
    if count != len(roster.prosumers):
        raise Unauditable(f"positions of {len(roster.prosumers) - count} prosumers are missing")
    return outcome, model


def row_indices(names: tuple[str, ...], wanted: list[str]) -> Ints:
    """Indices of the rows that an outcome names.

    Raises
    ------
    Unauditable
        The model has no such row.
    """
    index_of = {name: index for index, name in enumerate(names)}
    try:
        return np.array([index_of[name] for name in wanted], dtype=np.intp)
    except KeyError as unknown:
        raise Unauditable(f"the linear model has no row {unknown}") from None


def case_of(
    roster: Roster, rules: Rules, terms: Terms, model: NetworkModel, positions: Mapping[str, PositionBatch]
) -> tuple[Case, Floats]:
    """The interval as one case, and the outputs that the market asked for, ``(r,)`` [kW].

    Parameters
    ----------
    model
        The linear model over which the interval was cleared.
    positions
        True positions by host; together they are of all prosumers.
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
    """The case as the WAM cleared it: with inverters at their set-points, and limits relaxed as it says.

    Where charges for losses rose with what flows, losses are linear around what was cleared.
    """
    network, offset_kw = case.network, case.offset_kw
    assert network is not None
    inverters = inverters_of(model)
    if inverters is not None:
        network, offset_kw = inverters.held(network, offset_kw, np.array(outcome.inverter_kvar))
    balance = case.balance
    if outcome.balance:
        balance = np.array(outcome.balance)
        offset_kw += float((case.balance - balance) @ np.array(outcome.flow_kw))
    by = dict(zip(outcome.relaxed_name, outcome.relaxed_by, strict=True))
    network, grid = give_way(network, case.grid, by)
    return replace(case, network=network, balance=balance, offset_kw=offset_kw, grid=grid)


def members_without_bid(roster: Roster, outcomes: Iterable[LamOutcome]) -> Bools:
    """Prosumers that did not bid and were taken as inflexible, ``(n,)``.

    Raises
    ------
    KeyError
        An outcome names somebody who takes no part in the run.
    """
    index_of = {name: index for index, name in enumerate(roster.prosumers)}
    inflexible = np.zeros(len(roster.prosumers), dtype=bool)
    for outcome in outcomes:
        inflexible[[index_of[name] for name in outcome.missing]] = True
    return inflexible


def as_bid(case: Case, output_kw: Floats, drawn_kw: Floats, inflexible: Bools) -> tuple[Case, Floats]:
    """The case as it was bid, with its outputs: who did not bid draws its allocation, inflexibly.

    Parameters
    ----------
    output_kw
        Outputs of the case's resources, ``(r,)`` [kW].
    drawn_kw, inflexible
        What was allocated in all [kW], and who did not bid, ``(n,)``.
    """
    if not inflexible.any():
        return case, output_kw
    off = inflexible[case.resources.owner]
    resources = replace(
        case.resources,
        min_kw=np.where(off, 0.0, case.resources.min_kw),
        max_kw=np.where(off, 0.0, case.resources.max_kw),
    )
    demand_kw = np.where(inflexible, drawn_kw, case.demand_kw)
    return replace(case, demand_kw=demand_kw, resources=resources), np.where(off, 0.0, output_kw)
