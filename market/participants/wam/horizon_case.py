"""The case of a clearing over a horizon: hosts' bids, the feeder's last linear model, expected prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from broker.messages import NetworkModel
from market.horizon.case import HorizonCase
from market.horizon.stores import Stores, joined_stores
from market.model.arrays import Floats, Ints
from market.model.case import Case, Network, Resources
from market.participants.horizon_bids import Prospect
from market.participants.network_model import inverters_of, network_of
from market.participants.roster import Roster, Rules, Terms


@dataclass(frozen=True)
class Bids:
    """All hosts' bids over T intervals, as one.

    Attributes
    ----------
    prospect
        Of all N prosumers, whose indices are the owners.
    stores_of
        Which of the stores are each host's, in its own order.
    """

    prospect: Prospect
    stores_of: dict[str, Ints]


def join_bids(roster: Roster, bids: Mapping[str, tuple[Ints, Prospect]]) -> Bids:
    """Bids of all hosts together, over as many intervals as each of them tells of.

    Parameters
    ----------
    bids
        Members of each host, ``(n,)`` indices, and what it expects of them; together they are everybody.
    """
    T = min(prospect.intervals for _, prospect in bids.values())
    demand_kw = np.zeros((len(roster.prosumers), T))
    owner, stores, stores_of, first = [], [], {}, 0
    for host, (members, prospect) in bids.items():
        demand_kw[members] = prospect.demand_kw[:, :T]
        owner.append(members[prospect.owner])
        stores.append(_shortened(replace(prospect.stores, owner=members[prospect.stores.owner]), T))
        stores_of[host] = np.arange(first, first + len(prospect.stores))
        first += len(prospect.stores)
    all_of = [prospect for _, prospect in bids.values()]
    joined = Prospect(
        demand_kw=demand_kw,
        owner=np.concatenate(owner),
        max_kw=np.concatenate([prospect.max_kw[:, :T] for prospect in all_of]),
        cost_linear=np.concatenate([prospect.cost_linear for prospect in all_of]),
        cost_quadratic=np.concatenate([prospect.cost_quadratic for prospect in all_of]),
        stores=joined_stores(stores),
        kind=tuple(kind for prospect in all_of for kind in prospect.kind),
    )
    return Bids(joined, stores_of)


def horizon_case(
    rules: Rules,
    prospect: Prospect,
    models: Sequence[NetworkModel | None],
    expected: Sequence[Terms],
    hours: float,
) -> HorizonCase:
    """Case over T intervals.

    Parameters
    ----------
    prospect
        What all N prosumers expect.
    models
        Linear model of the feeder in each, ``(T,)``; without one there are neither losses nor limits.
    expected
        Prices and limits of each interval, ``(T,)``.
    """
    # Interval by interval: what looks at one of them then reads no memory of the others.
    demand_kw, max_kw = (np.ascontiguousarray(each.T) for each in (prospect.demand_kw, prospect.max_kw))
    over: dict[int, Case] = {}
    for model in models:
        if id(model) not in over:
            over[id(model)] = _over(rules.case, model)
    intervals = tuple(
        _interval(over[id(models[t])], prospect, demand_kw[t], max_kw[t], terms)
        for t, terms in enumerate(expected)
    )
    return HorizonCase(intervals, prospect.stores, hours)


def _interval(over: Case, prospect: Prospect, demand_kw: Floats, max_kw: Floats, terms: Terms) -> Case:
    """A case over a linear model in one interval, with its demand ``(N,)`` and largest outputs ``(r,)``."""
    resources = Resources(
        prospect.owner, np.zeros(max_kw.size), max_kw, prospect.cost_linear, prospect.cost_quadratic
    )
    return replace(over, demand_kw=demand_kw, resources=resources, grid=terms.grid, tariff=terms.tariff)


def _over(case: Case, model: NetworkModel | None) -> Case:
    """A case over a linear model of the feeder."""
    network, offset_kw = _network(model)
    balance = case.balance if model is None else np.array(model.balance)
    return replace(case, balance=balance, offset_kw=offset_kw, network=network)


def _network(model: NetworkModel | None) -> tuple[Network | None, float]:
    """Rows and offset of a linear model, with inverters at their present set-points."""
    if model is None:
        return None, 0.0
    network, inverters = network_of(model), inverters_of(model)
    if inverters is None:
        return network, model.offset_kw
    return inverters.held(network, model.offset_kw, inverters.present_kvar)


def _shortened(stores: Stores, intervals: int) -> Stores:
    """The same stores over the first of their intervals."""
    wide = {
        each.name: getattr(stores, each.name)[:, : intervals + each.name.endswith("er_kwh")]
        for each in fields(stores)
        if getattr(stores, each.name).ndim == 2
    }
    return replace(stores, **wide)
