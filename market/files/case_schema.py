"""Tables and keys of a case file, as they stand in its JSON."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, UnsetType

from market.model.rule import Anchor, Conjecture, RuleName

Column = list[float]


class ProsumerTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prosumers: name, LAM and inflexible net demand [kW] of each."""

    id: list[str]
    lam: list[str]
    demand_kw: Column


class ResourceTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resources: owner, limits [kW] and cost coefficients [$/kWh, $/kWh per kW] of each."""

    prosumer: list[str]
    min_kw: Column
    max_kw: Column
    cost_linear: Column
    cost_quadratic: Column


class LamTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """LAMs: name, and what their rule needs of sensitivity, fees [$/kWh] and price slope of each."""

    id: list[str]
    sensitivity: Column | UnsetType = UNSET
    fee: Column | UnsetType = UNSET
    wam_fee: Column | UnsetType = UNSET
    price_slope: Column | UnsetType = UNSET


class NetworkTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rows of the linear network model over the LAMs' net purchases."""

    name: list[str]
    matrix: list[Column]
    base: Column
    lower: Column
    upper: Column
    kind: list[Literal["voltage", "congestion"]] | None = None


class WamTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Wide-area market: balance at the feeder head, network, and what its rule needs."""

    sensitivity: float | UnsetType = UNSET
    balance: Column | None = None
    balance_offset_kw: float = 0.0
    network: NetworkTable | None = None
    conjecture: Conjecture | UnsetType = UNSET
    anchor: Anchor | UnsetType = UNSET


class GridTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Grid at the feeder head: prices [$/kWh] and limits [kW]."""

    import_price: float
    export_price: float
    import_limit_kw: float
    export_limit_kw: float


class TariffTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Utility's prices outside the market [$/kWh]."""

    retail: float
    feed_in: float


class IntervalTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What differs in one interval of a horizon from the tables beside it; all else is as there."""

    demand_kw: Column | None = None
    min_kw: Column | None = None
    max_kw: Column | None = None
    import_price: float | None = None
    export_price: float | None = None
    balance_offset_kw: float | None = None
    base: Column | None = None
    lower: Column | None = None
    upper: Column | None = None


class StoreTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stores: `market.horizon.stores.Stores` in a file; a number stands for one in every interval."""

    prosumer: list[str]
    initial_kwh: Column
    upper_kwh: list[float | Column]
    charge_kw: list[float | Column]
    discharge_kw: list[float | Column]
    lower_kwh: list[float | Column] | None = None
    charge_efficiency: list[float | Column] | None = None
    discharge_efficiency: list[float | Column] | None = None
    retention: Column | None = None
    drift_kwh: list[float | Column] | None = None
    charge_wear: Column | None = None
    discharge_wear: Column | None = None
    end_value: Column | None = None


class HorizonTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Intervals to clear together, their length [h], and the stores that couple them."""

    hours: float
    intervals: list[IntervalTable]
    stores: StoreTable


class CaseDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A case file; docs/case-format.md says what each key means."""

    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    prosumers: ProsumerTable
    resources: ResourceTable
    lams: LamTable
    wam: WamTable
    grid: GridTable
    tariff: TariffTable | None = None
    rule: RuleName | UnsetType = UNSET
    horizon: HorizonTable | UnsetType = UNSET
