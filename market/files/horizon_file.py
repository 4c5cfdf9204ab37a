"""Case files over a horizon: today's tables, what differs in each interval, and the stores."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np

from market.errors import CaseError
from market.files.case_checks import check_length, column, indices_of, number
from market.files.case_file import case_of, decode_document, document_of
from market.files.case_schema import Column, HorizonTable, IntervalTable, StoreTable
from market.horizon.case import HorizonCase, check
from market.horizon.stores import Stores
from market.model.arrays import Floats
from market.model.case import Case
from sharegrid.text import entry


def decode_any(data: bytes) -> Case | HorizonCase:
    """Case of a document: over a horizon where it has one.

    Raises
    ------
    CaseError
        The document is malformed; names the key and the index.
    """
    document = decode_document(data)
    base = case_of(document)
    table = document.horizon
    if isinstance(table, msgspec.UnsetType):
        return base
    if not table.intervals:
        raise CaseError("horizon.intervals: empty; give at least one, {} where nothing differs")
    intervals = tuple(_interval(base, each, t) for t, each in enumerate(table.intervals))
    case = HorizonCase(
        intervals, _stores(table.stores, base, len(intervals)), number("horizon.hours", table.hours)
    )
    try:
        check(case)
    except CaseError as error:
        raise CaseError(f"horizon: {error}") from error
    return case


def _interval(base: Case, table: IntervalTable, t: int) -> Case:
    """The case of one interval."""
    key = entry("horizon.intervals", t)

    def over(name: str, values: Column | None, old: Floats) -> Floats:
        return old if values is None else column(f"{key}, {name}", values, old.size)

    resources = replace(
        base.resources,
        min_kw=over("min_kw", table.min_kw, base.resources.min_kw),
        max_kw=over("max_kw", table.max_kw, base.resources.max_kw),
    )
    if (resources.min_kw > resources.max_kw).any():
        at = int(np.argmax(resources.min_kw > resources.max_kw))
        raise CaseError(f"{entry(f'{key}, max_kw', at)}: below min_kw; swap or correct them")
    grid = replace(
        base.grid,
        import_price=base.grid.import_price if table.import_price is None else table.import_price,
        export_price=base.grid.export_price if table.export_price is None else table.export_price,
    )
    if not grid.export_price <= grid.import_price:
        raise CaseError(
            f"{key}, export_price: above import_price; energy could be traded in a circle, lower it"
        )
    network = base.network
    if network is None and (table.base or table.lower or table.upper):
        raise CaseError(f"{key}: limits of rows, but wam.network has none; give its rows or leave them out")
    if network is not None:
        network = replace(
            network,
            base=over("base", table.base, network.base),
            lower=over("lower", table.lower, network.lower),
            upper=over("upper", table.upper, network.upper),
        )
        if (network.lower > network.upper).any():
            at = int(np.argmax(network.lower > network.upper))
            raise CaseError(f"{entry(f'{key}, upper', at)}: below lower; swap or correct them")
    offset = base.offset_kw if table.balance_offset_kw is None else table.balance_offset_kw
    demand_kw = over("demand_kw", table.demand_kw, base.demand_kw)
    return replace(
        base, demand_kw=demand_kw, resources=resources, grid=grid, network=network, offset_kw=offset
    )


def _stores(table: StoreTable, base: Case, T: int) -> Stores:
    """Arrays of the stores, a number spread over all intervals."""
    key = "horizon.stores"
    owner = indices_of(f"{key}.prosumer", table.prosumer, base.prosumer_id, "prosumers.id")
    S = owner.size

    def one(name: str, values: Column | None, default: float) -> Floats:
        return np.full(S, default) if values is None else column(f"{key}.{name}", values, S)

    def many(name: str, values: list[float | Column] | None, default: float, length: int) -> Floats:
        if values is None:
            return np.full((S, length), default)
        check_length(f"{key}.{name}", len(values), S)
        rows = [[value] * length if isinstance(value, float) else value for value in values]
        spread = [column(entry(f"{key}.{name}", s), row, length) for s, row in enumerate(rows)]
        return np.stack(spread) if S else np.zeros((0, length))

    return Stores(
        owner=owner,
        initial_kwh=one("initial_kwh", table.initial_kwh, 0.0),
        lower_kwh=many("lower_kwh", table.lower_kwh, 0.0, T + 1),
        upper_kwh=many("upper_kwh", table.upper_kwh, 0.0, T + 1),
        charge_kw=many("charge_kw", table.charge_kw, 0.0, T),
        discharge_kw=many("discharge_kw", table.discharge_kw, 0.0, T),
        charge_efficiency=many("charge_efficiency", table.charge_efficiency, 1.0, T),
        discharge_efficiency=many("discharge_efficiency", table.discharge_efficiency, 1.0, T),
        retention=one("retention", table.retention, 1.0),
        drift_kwh=many("drift_kwh", table.drift_kwh, 0.0, T),
        charge_wear=one("charge_wear", table.charge_wear, 0.0),
        discharge_wear=one("discharge_wear", table.discharge_wear, 0.0),
        end_value=one("end_value", table.end_value, 0.0),
    )


def encode_horizon(case: HorizonCase) -> bytes:
    """Case as a JSON document in the format that ``decode_any`` reads, numbers to full precision.

    What `IntervalTable` does not have must be the same in all intervals.
    """
    stores = case.stores
    columns = {name: values.tolist() for name, values in vars(stores).items() if name != "owner"}
    table = HorizonTable(
        hours=case.hours,
        intervals=[_differing(one) for one in case.intervals],
        stores=StoreTable(prosumer=[case.first.prosumer_id[i] for i in stores.owner], **columns),
    )
    return msgspec.json.encode(msgspec.structs.replace(document_of(case.first), horizon=table))


def _differing(case: Case) -> IntervalTable:
    network = case.network
    rows = (
        {}
        if network is None
        else {name: getattr(network, name).tolist() for name in ("base", "lower", "upper")}
    )
    return IntervalTable(
        demand_kw=case.demand_kw.tolist(),
        min_kw=case.resources.min_kw.tolist(),
        max_kw=case.resources.max_kw.tolist(),
        import_price=case.grid.import_price,
        export_price=case.grid.export_price,
        balance_offset_kw=case.offset_kw,
        **rows,
    )
