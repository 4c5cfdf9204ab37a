"""The market over a horizon: what prosumers tell of the intervals to come, and what comes back to them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from broker.messages.columns import Column, Index
from broker.messages.declaration import message
from broker.messages.fields import Count, Duration, Extent, Figure, StoreKind, Values
from broker.messages.header import Message


@message(
    "horizon-bid/{host}",
    sender=("population host", "live host"),
    receivers="WAM",
    writer="host",
    size="batch",
)
class HorizonBid(Message, frozen=True, tag="horizon-bid"):
    """What a host's prosumers expect of ``ahead`` intervals, this one first, and what their stores can do.

    Columns are over prosumers, resources or stores. Those that change from interval to interval have
    ``ahead`` values of each, one prosumer after the other; where nothing changes there is one value of each.
    Fields of stores are those of `market.horizon.stores.Stores`, bounds of energy those at intervals' ends.
    What cannot be meant costs its own member the horizon; a bid that is longer than what is asked for is cut.
    """

    ahead: Annotated[int, Values("count", sums="ahead")]
    prosumer: Annotated[Index, Values(size="prosumer", of="prosumer")]
    demand_kw: Annotated[Column, Values("kw", "prosumer*ahead", steady=True, apart=True)]
    owner: Annotated[Index, Values(size="resource", of="prosumer")]
    max_kw: Annotated[Column, Values("kw", "resource*ahead", steady=True, apart=True)]
    cost_linear: Annotated[Column, Values("price", "resource", apart=True)]
    cost_quadratic: Annotated[Column, Values("price", "resource", apart=True)]
    store: Annotated[Index, Values(size="store", of="prosumer")]
    store_kind: Annotated[list[StoreKind], Values(size="store")]
    initial_kwh: Annotated[Column, Values("kwh", "store", apart=True)]
    lower_kwh: Annotated[Column, Values("kwh", "store*ahead", steady=True, apart=True)]
    upper_kwh: Annotated[Column, Values("kwh", "store*ahead", steady=True, apart=True)]
    charge_kw: Annotated[Column, Values("kw", "store*ahead", steady=True, apart=True)]
    discharge_kw: Annotated[Column, Values("kw", "store*ahead", steady=True, apart=True)]
    charge_efficiency: Annotated[Column, Values("figure", "store*ahead", steady=True, apart=True)]
    discharge_efficiency: Annotated[Column, Values("figure", "store*ahead", steady=True, apart=True)]
    retention: Annotated[Column, Values("share", "store", apart=True)]
    drift_kwh: Annotated[Column, Values("kwh", "store*ahead", steady=True, apart=True)]
    charge_wear: Annotated[Column, Values("price", "store", apart=True)]
    discharge_wear: Annotated[Column, Values("price", "store", apart=True)]
    end_value: Annotated[Column, Values("price", "store", apart=True)]


@message(
    "energy-value/{host}",
    sender="WAM",
    receivers=("population host", "live host"),
    reader="host",
    size="batch",
)
class EnergyValue(Message, frozen=True, tag="energy-value"):
    """What a kWh more is worth at the end of this interval to each store of a host [$/kWh], as it named them.

    ``power_kw`` is its power in this interval by the horizon's plan, + discharges: it decides where resources
    of one owner are worth the same. Nothing where no horizon was cleared: its prosumers then bid by their
    own outlook. So does who has infinity: what was said of its horizon could not be meant.
    """

    value: Annotated[Column, Values("price", "store", infinite=True)]
    power_kw: Annotated[Column, Values("kw", "store")]


class HorizonProof(msgspec.Struct, frozen=True, kw_only=True):
    """How far a clearing over a horizon is from equilibrium (docs/market.md, section 8).

    Misses of stores' energy [kWh] and of its worth [$/kWh], the most that a store's owner could gain by
    another plan, and the duality gap [$].
    """

    energy_kwh: Figure
    value_error: Figure
    store_gain: Figure
    duality_gap: Figure


@message("outlook", sender="WAM", receivers="recorder", size="batch")
class Outlook(Message, frozen=True, tag="outlook"):
    """Prices of the intervals to come, this one first, as the clearing over the horizon has them.

    Of LAM i in interval t: local ``price``, and the parts of the wide-area price but the energy's, which is
    the same for all; columns hold one LAM after the other. Of each store, by owner and kind: its energy at
    the end of the present interval, what a kWh more is worth there, and the most that its owner could gain by
    another plan over all intervals [$]. ``beyond`` names figures of the certificate that are beyond their
    tolerance; ``shortfall_kwh`` is energy that stores cannot have in time. Nothing but notes where no horizon
    was cleared.
    """

    ahead: Annotated[int, Values("count", sums="ahead")]
    energy_price: Annotated[list[float], Values("dual", "ahead")]
    grid_kw: Annotated[list[float], Values("net_kw", "ahead")]
    price: Annotated[Column, Values("dual", "lams*ahead")]
    loss: Annotated[Column, Values("dual", "lams*ahead")]
    voltage: Annotated[Column, Values("dual", "lams*ahead")]
    congestion: Annotated[Column, Values("dual", "lams*ahead")]
    net_kw: Annotated[Column, Values("net_kw", "lams*ahead")]
    store: Annotated[Index, Values(size="store", of="prosumer")]
    store_kind: Annotated[list[StoreKind], Values(size="store")]
    state_kwh: Annotated[Column, Values("kwh", "store")]
    energy_value: Annotated[Column, Values("dual", "store")]
    store_gain: Annotated[Column, Values("usd", "store")]
    stored_kwh: Annotated[list[float], Values("net_kwh")]
    shortfall_kwh: Extent
    proof: HorizonProof | None
    beyond: list[str]
    notes: list[str]
    iterations: Count
    seconds: Duration
