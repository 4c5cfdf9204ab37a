"""Case files: JSON in the documented format, checked to the last entry before it becomes arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from market.errors import CaseError
from market.files.case_checks import (
    HIGHEST_PRICE,
    check_length,
    check_order,
    column,
    indices_of,
    names_of,
    number,
)
from market.files.case_rule import lam_parameters, parameters_of, wam_parameters
from market.files.case_schema import (
    CaseDocument,
    GridTable,
    LamTable,
    NetworkTable,
    ProsumerTable,
    ResourceTable,
    TariffTable,
    WamTable,
)
from market.model.case import Case, Grid, Network, Resources, Tariff
from sharegrid.decoding import decode_json
from sharegrid.expected import explained
from sharegrid.text import entry, in_words

T = TypeVar("T")


def read_case(path: Path) -> Case:
    """Case of one interval from a file.

    Raises
    ------
    CaseError
        The file cannot be read or is malformed; names the key and the index.
    """
    return read_from(path, decode_case)


def read_from(path: Path, decode: Callable[[bytes], T]) -> T:
    """What a case file holds, decoded; errors as ``read_case``."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror or error}; give the path of a case file") from error
    try:
        return decode(data)
    except CaseError as error:
        raise CaseError(f"{path}: {error}") from error


def decode_case(data: bytes) -> Case:
    """Case of one interval from the bytes of a JSON document.

    Raises
    ------
    CaseError
        The document is malformed; names the key and the index.
    """
    document = decode_document(data)
    if document.horizon is not msgspec.UNSET:
        raise CaseError("horizon: one interval is asked for here; leave the key out")
    return case_of(document)


def decode_document(data: bytes) -> CaseDocument:
    """Tables of a case file, their entries not yet checked; errors as ``decode_case``."""
    try:
        return decode_json(data, CaseDocument)
    except msgspec.ValidationError as error:
        _check_syntax(data)
        where, remedy = explained(error)
        words = " ".join(f"{in_words(where) or 'case'}: {remedy}".split())
        raise CaseError(f"{words}; see docs/case-format.md") from error
    except msgspec.DecodeError as error:
        raise _no_json(data, error) from error


def _check_syntax(data: bytes) -> None:
    """Refuse what is no JSON further on, as a file that was cut off; what a key should hold comes after."""
    try:
        decode_json(data)
    except msgspec.DecodeError as error:
        raise _no_json(data, error) from error


def _no_json(data: bytes, error: Exception) -> CaseError:
    if place := _not_finite(data):
        return CaseError(f"{place} is not finite; give a number")
    return CaseError(f"case: not JSON ({error}); see docs/case-format.md")


def case_of(file: CaseDocument) -> Case:
    """Arrays of a document's tables, once all their entries are checked; errors as ``decode_case``."""
    lam_id = names_of("lams.id", file.lams.id)
    prosumer_id = names_of("prosumers.id", file.prosumers.id)
    lam_of = indices_of("prosumers.lam", file.prosumers.lam, lam_id, "lams.id", len(prosumer_id))
    empty = np.flatnonzero(np.bincount(lam_of, minlength=len(lam_id)) == 0)
    if empty.size:
        at = int(empty[0])
        raise CaseError(
            f"{entry('lams.id', at)}: LAM {lam_id[at]!r} has no prosumers; assign some or drop it"
        )
    wam = file.wam
    ones = [1.0] * len(lam_id)
    tariff = _tariff(file.tariff, file.grid)
    parameters = parameters_of(file, len(lam_id), tariff)
    return Case(
        prosumer_id=prosumer_id,
        lam_id=lam_id,
        lam_of=lam_of,
        demand_kw=column("prosumers.demand_kw", file.prosumers.demand_kw, len(prosumer_id)),
        resources=_resources(file.resources, prosumer_id),
        sensitivity=parameters.sensitivity,
        fee=parameters.fee,
        wam_sensitivity=parameters.wam_sensitivity,
        wam_fee=parameters.wam_fee,
        balance=column("wam.balance", ones if wam.balance is None else wam.balance, len(lam_id)),
        offset_kw=number("wam.balance_offset_kw", wam.balance_offset_kw),
        network=None if wam.network is None else _network(wam.network, len(lam_id)),
        grid=_grid(file.grid),
        tariff=tariff,
        rule=parameters.rule,
    )


def _not_finite(data: bytes) -> str | None:
    """Place and value of the first NaN or infinity: JSON has none, but many programs write them."""

    def walk(value: object, place: str) -> str | None:
        if isinstance(value, float):
            return None if math.isfinite(value) else f"{place}: {value}"
        parts: Iterable[tuple[str, object]] = ()
        if isinstance(value, dict):
            parts = ((f"{place}.{key}".lstrip("."), part) for key, part in value.items())
        elif isinstance(value, list):
            parts = ((entry(place, at), part) for at, part in enumerate(value))
        return next((found for at, part in parts if (found := walk(part, at))), None)

    try:
        return walk(json.loads(data), "")
    except (ValueError, RecursionError):
        return None


def _resources(table: ResourceTable, prosumer_id: tuple[str, ...]) -> Resources:
    owner = indices_of("resources.prosumer", table.prosumer, prosumer_id, "prosumers.id")
    size = owner.size
    low = column("resources.min_kw", table.min_kw, size)
    high = column("resources.max_kw", table.max_kw, size)
    check_order("resources", low, high, "min_kw", "max_kw")
    return Resources(
        owner=owner,
        min_kw=low,
        max_kw=high,
        cost_linear=column("resources.cost_linear", table.cost_linear, size, most=HIGHEST_PRICE),
        cost_quadratic=column(
            "resources.cost_quadratic", table.cost_quadratic, size, least=0.0, most=HIGHEST_PRICE
        ),
    )


def _network(table: NetworkTable, lams: int) -> Network:
    rows = len(table.name)
    name = names_of("wam.network.name", table.name) if rows else ()
    check_length("wam.network.matrix", len(table.matrix), rows)
    matrix = np.zeros((rows, lams))
    for i, line in enumerate(table.matrix):
        matrix[i] = column(entry("wam.network.matrix", i), line, lams)
    lower = column("wam.network.lower", table.lower, rows)
    upper = column("wam.network.upper", table.upper, rows)
    check_order("wam.network", lower, upper, "lower", "upper")
    kind = ["congestion"] * rows if table.kind is None else table.kind
    check_length("wam.network.kind", len(kind), rows)
    base = column("wam.network.base", table.base, rows)
    return Network(matrix, base, lower, upper, np.array([k == "voltage" for k in kind], dtype=bool), name)


def _grid(table: GridTable) -> Grid:
    if table.export_price > table.import_price:
        raise CaseError(
            f"grid.export_price: {table.export_price} above import_price {table.import_price}; "
            "energy could be traded in a circle, lower it"
        )
    return Grid(
        import_price=number("grid.import_price", table.import_price, most=HIGHEST_PRICE),
        export_price=number("grid.export_price", table.export_price, most=HIGHEST_PRICE),
        import_limit_kw=number("grid.import_limit_kw", table.import_limit_kw, least=0.0),
        export_limit_kw=number("grid.export_limit_kw", table.export_limit_kw, least=0.0),
    )


def _tariff(table: TariffTable | None, grid: GridTable) -> Tariff:
    if table is None:
        return Tariff(retail=grid.import_price, feed_in=grid.export_price)
    retail = number("tariff.retail", table.retail, most=HIGHEST_PRICE)
    feed_in = number("tariff.feed_in", table.feed_in, most=HIGHEST_PRICE)
    if feed_in > retail:
        raise CaseError(f"tariff.feed_in: {feed_in} above retail {retail}; swap or correct them")
    return Tariff(retail, feed_in)


def encode_case(case: Case) -> bytes:
    """Case as a JSON document in the format that ``decode_case`` reads, numbers to full precision."""
    return msgspec.json.encode(document_of(case))


def document_of(case: Case) -> CaseDocument:
    """Tables of a case of one interval."""
    network = case.network
    rows = None
    if network is not None:
        rows = NetworkTable(
            name=list(network.name) or [f"row{i}" for i in range(network.base.size)],
            matrix=network.matrix.tolist(),
            base=network.base.tolist(),
            lower=network.lower.tolist(),
            upper=network.upper.tolist(),
            kind=["voltage" if v else "congestion" for v in network.is_voltage],
        )
    resources, grid = case.resources, case.grid
    return CaseDocument(
        format=1,
        prosumers=ProsumerTable(
            list(case.prosumer_id), [case.lam_id[i] for i in case.lam_of], case.demand_kw.tolist()
        ),
        resources=ResourceTable(
            [case.prosumer_id[i] for i in resources.owner],
            resources.min_kw.tolist(),
            resources.max_kw.tolist(),
            resources.cost_linear.tolist(),
            resources.cost_quadratic.tolist(),
        ),
        lams=LamTable(list(case.lam_id), **lam_parameters(case)),
        wam=WamTable(
            balance=case.balance.tolist(),
            balance_offset_kw=case.offset_kw,
            network=rows,
            **wam_parameters(case),
        ),
        grid=GridTable(grid.import_price, grid.export_price, grid.import_limit_kw, grid.export_limit_kw),
        tariff=TariffTable(case.tariff.retail, case.tariff.feed_in),
        rule=case.rule.name if case.rule.has_utility else msgspec.UNSET,
    )
