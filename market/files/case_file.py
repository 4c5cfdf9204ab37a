"""Case files: JSON in the documented format, checked to the last entry before it becomes arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from market.errors import CaseError
from market.model.arrays import Floats, Ints
from market.model.case import Case, Conjecture, Grid, Network, Resources, Tariff

LARGEST = 1e9
"""Numbers beyond this are units gone wrong, and would drown all others in rounding."""

DEAREST = 1e6
"""The same for prices, fees and costs, which limits must outbid [$/kWh]."""

_Columns = list[float]


class _Prosumers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: list[str]
    lam: list[str]
    demand_kw: _Columns


class _Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prosumer: list[str]
    min_kw: _Columns
    max_kw: _Columns
    cost_linear: _Columns
    cost_quadratic: _Columns


class _Lams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: list[str]
    sensitivity: _Columns
    fee: _Columns
    wam_fee: _Columns


class _Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: list[str]
    matrix: list[_Columns]
    base: _Columns
    lower: _Columns
    upper: _Columns
    kind: list[Literal["voltage", "congestion"]] | None = None


class _Wam(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sensitivity: float
    balance: _Columns | None = None
    balance_offset_kw: float = 0.0
    network: _Network | None = None
    conjecture: Conjecture = "sharing"


class _Grid(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    import_price: float
    export_price: float
    import_limit_kw: float
    export_limit_kw: float


class _Tariff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    retail: float
    feed_in: float


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Annotated[int, msgspec.Meta(ge=1, le=1)]
    prosumers: _Prosumers
    resources: _Resources
    lams: _Lams
    wam: _Wam
    grid: _Grid
    tariff: _Tariff | None = None


def read_case(path: Path) -> Case:
    """Case from a file.

    Raises
    ------
    CaseError
        The file cannot be read or is malformed; names the key and the position.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CaseError(f"{path}: {error.strerror or error}; give the path of a case file") from error
    return decode_case(data)


def decode_case(data: bytes) -> Case:
    """Case from the bytes of a JSON document.

    Raises
    ------
    CaseError
        The document is malformed; names the key and the position.
    """
    try:
        file = msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        words = " ".join(f"{where.rstrip('`') or 'case'}: {what}".split())
        raise CaseError(f"{words}; see the case format") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if place := _not_finite(data):
            raise CaseError(f"{place} is not finite; give a number") from error
        raise CaseError(f"case: not JSON ({error}); see the case format") from error
    lam_id = _names("lams.id", file.lams.id)
    prosumer_id = _names("prosumers.id", file.prosumers.id)
    lam_of = _positions("prosumers.lam", file.prosumers.lam, lam_id, "lams.id", len(prosumer_id))
    empty = np.flatnonzero(np.bincount(lam_of, minlength=len(lam_id)) == 0)
    if empty.size:
        at = int(empty[0])
        raise CaseError(f"lams.id[{at}]: LAM {lam_id[at]!r} has no prosumers; assign some or drop it")
    fee = _column("lams.fee", file.lams.fee, len(lam_id), least=0.0, most=DEAREST)
    wam_fee = _column("lams.wam_fee", file.lams.wam_fee, len(lam_id), least=0.0, most=DEAREST)
    wam = file.wam
    ones = [1.0] * len(lam_id)
    return Case(
        prosumer_id=prosumer_id,
        lam_id=lam_id,
        lam_of=lam_of,
        demand_kw=_column("prosumers.demand_kw", file.prosumers.demand_kw, len(prosumer_id)),
        resources=_resources(file.resources, prosumer_id),
        sensitivity=_sensitivities("lams.sensitivity", file.lams.sensitivity, len(lam_id)),
        fee=fee,
        wam_sensitivity=_sensitivity("wam.sensitivity", wam.sensitivity),
        wam_fee=wam_fee,
        balance=_column("wam.balance", ones if wam.balance is None else wam.balance, len(lam_id)),
        offset_kw=_number("wam.balance_offset_kw", wam.balance_offset_kw),
        network=None if wam.network is None else _network(wam.network, len(lam_id)),
        grid=_grid(file.grid),
        tariff=_tariff(file.tariff, file.grid),
        conjecture=wam.conjecture,
    )


def _not_finite(data: bytes) -> str | None:
    """Place and value of the first NaN or infinity, which many programs write though JSON has none."""

    def walk(value: object, place: str) -> str | None:
        if isinstance(value, float):
            return None if math.isfinite(value) else f"{place}: {value}"
        parts: Iterable[tuple[str, object]] = ()
        if isinstance(value, dict):
            parts = ((f"{place}.{key}".lstrip("."), part) for key, part in value.items())
        elif isinstance(value, list):
            parts = ((f"{place}[{at}]", part) for at, part in enumerate(value))
        return next((found for at, part in parts if (found := walk(part, at))), None)

    try:
        return walk(json.loads(data), "")
    except (ValueError, RecursionError):
        return None


def _names(key: str, names: list[str]) -> tuple[str, ...]:
    if not names:
        raise CaseError(f"{key}: empty; give at least one")
    seen: dict[str, int] = {}
    for i, name in enumerate(names):
        if seen.setdefault(name, i) != i:
            raise CaseError(f"{key}[{i}]: {name!r} is already entry {seen[name]}; names must be unique")
    return tuple(names)


def _positions(
    key: str, names: list[str], known: tuple[str, ...], where: str, size: int | None = None
) -> Ints:
    if size is not None:
        _length(key, len(names), size)
    place = {name: i for i, name in enumerate(known)}
    for i, name in enumerate(names):
        if name not in place:
            raise CaseError(f"{key}[{i}]: unknown {name!r}; use a name of {where}")
    return np.array([place[name] for name in names], dtype=np.intp)


def _length(key: str, have: int, want: int) -> None:
    if have != want:
        raise CaseError(f"{key}: {have} entries where {want} are needed; give one per row of its table")


def _column(
    key: str, values: list[float], size: int, least: float | None = None, most: float = LARGEST
) -> Floats:
    _length(key, len(values), size)
    column = np.array(values, dtype=np.float64)
    bad = np.flatnonzero(~(np.abs(column) <= most))
    if bad.size:
        at = int(bad[0])
        raise CaseError(f"{key}[{at}]: {column[at]} is not finite or beyond {most:g}; check the unit")
    if least is not None and (column < least).any():
        at = int(np.argmax(column < least))
        raise CaseError(f"{key}[{at}]: {column[at]} is below {least:g}; it must not be negative")
    return column


def _sensitivities(key: str, values: list[float], size: int) -> Floats:
    column = _column(key, values, size)
    return np.array([_sensitivity(f"{key}[{i}]", value) for i, value in enumerate(column.tolist())])


def _sensitivity(key: str, value: float) -> float:
    # Its inverse is a slope, and a number of the case like all others.
    if not value > 0:
        raise CaseError(f"{key}: {value} is not positive; give kW per $/kWh")
    if value < 1.0 / LARGEST:
        raise CaseError(f"{key}: {value} is below {1.0 / LARGEST:g}; check the unit, kW per $/kWh")
    return _number(key, value)


def _number(key: str, value: float, least: float | None = None, most: float = LARGEST) -> float:
    if not abs(value) <= most:
        raise CaseError(f"{key}: {value} is not finite or beyond {most:g}; check the unit")
    if least is not None and value < least:
        raise CaseError(f"{key}: {value} is below {least:g}; it must not be negative")
    return value


def _ordered(key: str, low: Floats, high: Floats, low_name: str, high_name: str) -> None:
    if (low > high).any():
        at = int(np.argmax(low > high))
        what = f"{high_name} {high[at]} below {low_name} {low[at]}"
        raise CaseError(f"{key}.{high_name}[{at}]: {what}; swap or correct them")


def _resources(table: _Resources, prosumer_id: tuple[str, ...]) -> Resources:
    owner = _positions("resources.prosumer", table.prosumer, prosumer_id, "prosumers.id")
    size = owner.size
    low = _column("resources.min_kw", table.min_kw, size)
    high = _column("resources.max_kw", table.max_kw, size)
    _ordered("resources", low, high, "min_kw", "max_kw")
    return Resources(
        owner=owner,
        min_kw=low,
        max_kw=high,
        cost_linear=_column("resources.cost_linear", table.cost_linear, size, most=DEAREST),
        cost_quadratic=_column(
            "resources.cost_quadratic", table.cost_quadratic, size, least=0.0, most=DEAREST
        ),
    )


def _network(table: _Network, lams: int) -> Network | None:
    rows = len(table.name)
    if rows == 0:
        _length("wam.network.matrix", len(table.matrix), 0)
    name = _names("wam.network.name", table.name) if rows else ()
    _length("wam.network.matrix", len(table.matrix), rows)
    matrix = np.zeros((rows, lams))
    for i, line in enumerate(table.matrix):
        matrix[i] = _column(f"wam.network.matrix[{i}]", line, lams)
    lower = _column("wam.network.lower", table.lower, rows)
    upper = _column("wam.network.upper", table.upper, rows)
    _ordered("wam.network", lower, upper, "lower", "upper")
    kind = ["congestion"] * rows if table.kind is None else table.kind
    _length("wam.network.kind", len(kind), rows)
    base = _column("wam.network.base", table.base, rows)
    return Network(matrix, base, lower, upper, np.array([k == "voltage" for k in kind], dtype=bool), name)


def _grid(table: _Grid) -> Grid:
    if table.export_price > table.import_price:
        raise CaseError(
            f"grid.export_price: {table.export_price} above import_price {table.import_price}; "
            "energy could be traded in a circle, lower it"
        )
    return Grid(
        import_price=_number("grid.import_price", table.import_price, most=DEAREST),
        export_price=_number("grid.export_price", table.export_price, most=DEAREST),
        import_limit_kw=_number("grid.import_limit_kw", table.import_limit_kw, least=0.0),
        export_limit_kw=_number("grid.export_limit_kw", table.export_limit_kw, least=0.0),
    )


def _tariff(table: _Tariff | None, grid: _Grid) -> Tariff:
    if table is None:
        return Tariff(retail=grid.import_price, feed_in=grid.export_price)
    retail = _number("tariff.retail", table.retail, most=DEAREST)
    feed_in = _number("tariff.feed_in", table.feed_in, most=DEAREST)
    if feed_in > retail:
        raise CaseError(f"tariff.feed_in: {feed_in} above retail {retail}; swap or correct them")
    return Tariff(retail, feed_in)


def encode_case(case: Case) -> bytes:
    """Case as a JSON document in the format that ``decode_case`` reads, numbers to full precision."""
    network = case.network
    rows = None
    if network is not None:
        is_voltage = np.zeros(network.base.size, dtype=bool) if network.voltage is None else network.voltage
        rows = _Network(
            name=list(network.name) or [f"row{i}" for i in range(network.base.size)],
            matrix=network.matrix.tolist(),
            base=network.base.tolist(),
            lower=network.lower.tolist(),
            upper=network.upper.tolist(),
            kind=["voltage" if v else "congestion" for v in is_voltage],
        )
    resources, grid = case.resources, case.grid
    file = _File(
        format=1,
        prosumers=_Prosumers(
            list(case.prosumer_id), [case.lam_id[i] for i in case.lam_of], case.demand_kw.tolist()
        ),
        resources=_Resources(
            [case.prosumer_id[i] for i in resources.owner],
            resources.min_kw.tolist(),
            resources.max_kw.tolist(),
            resources.cost_linear.tolist(),
            resources.cost_quadratic.tolist(),
        ),
        lams=_Lams(list(case.lam_id), case.sensitivity.tolist(), case.fee.tolist(), case.wam_fee.tolist()),
        wam=_Wam(case.wam_sensitivity, case.balance.tolist(), case.offset_kw, rows, case.conjecture),
        grid=_Grid(grid.import_price, grid.export_price, grid.import_limit_kw, grid.export_limit_kw),
        tariff=_Tariff(case.tariff.retail, case.tariff.feed_in),
    )
    return msgspec.json.encode(file)
