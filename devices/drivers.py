"""What a gateway wants of a meter or an inverter, read through whatever profile the device has.

Meters give power positive on import; inverters positive on generation or discharge.
"""

from collections.abc import Iterable

import msgspec

from devices import battery
from devices.endpoint import Endpoint
from devices.modbus import Connection, merge_spans
from devices.profiles import FlatMap, meter_map
from devices.registers import decode, word_count
from devices.sunspec_unit import SunSpecUnit

_PHASES = (1, 2, 3)
_LETTERS = "ABC"
_FLAT_METER = {
    "p_kw": ("P", 1e-3),
    "q_kvar": ("Q", 1e-3),
    "import_kwh": ("import_kwh", 1.0),
    "export_kwh": ("export_kwh", 1.0),
    "import_kvarh": ("import_kvarh", 1.0),
    "export_kvarh": ("export_kvarh", 1.0),
}
_IMPORT_QUADRANTS = ("203.TotVArhImpQ1", "203.TotVArhImpQ2")
_EXPORT_QUADRANTS = ("203.TotVArhExpQ3", "203.TotVArhExpQ4")
_SUNSPEC_METER = (
    "203.W",
    "203.VAR",
    "203.TotWhImp",
    "203.TotWhExp",
    *(f"203.PhVph{letter}" for letter in _LETTERS),
    *_IMPORT_QUADRANTS,
    *_EXPORT_QUADRANTS,
)
_RATINGS = ("121.WMax", "120.WRtg", "120.MaxChaRte", "120.MaxDisChaRte", "124.WChaMax", "120.WHRtg")


class MeterValues(msgspec.Struct, frozen=True):
    """One reading of a meter; ``None`` where it does not tell.

    Power [kW, kvar] and counters [kWh, kvarh] are positive on import; ``v_v`` is the voltage to neutral of
    each connected phase [V].
    """

    p_kw: float | None
    q_kvar: float | None
    v_v: tuple[float, ...]
    import_kwh: float | None
    export_kwh: float | None
    import_kvarh: float | None
    export_kvarh: float | None


class InverterValues(msgspec.Struct, frozen=True):
    """One reading of an inverter: power [kW], feasible range [kW] and state of charge [0..1]."""

    p_kw: float | None
    min_kw: float | None
    max_kw: float | None
    soc: float | None = None


class Ratings(msgspec.Struct, frozen=True):
    """What an inverter says it can do [kW, kWh]; ``None`` where it does not tell."""

    power_kw: float | None
    charge_kw: float | None
    discharge_kw: float | None
    capacity_kwh: float | None


class FlatMeter:
    """Client of a meter with points at fixed addresses."""

    def __init__(self, connection: Connection, endpoint: Endpoint) -> None:
        self._connection = connection
        self._unit = endpoint.unit
        self._map: FlatMap = meter_map(endpoint.profile)
        names = [name for name, _ in _FLAT_METER.values()] + [f"V_L{k}" for k in _PHASES]
        self._points = {name: self._map.points[name] for name in names}
        spans = [(p.at, p.at + word_count(p)) for p in self._points.values()]
        self._spans = merge_spans(spans, self._map.max_registers, self._map.max_registers)

    async def values(self) -> MeterValues:
        """Read the meter once; raises `DeviceError`."""
        cells: dict[int, int] = {}
        for first, last in self._spans:
            words = await self._connection.read(self._unit, first, last - first, self._map.function)
            cells.update(enumerate(words, start=first))
        read = {
            name: decode(point, [cells[point.at + k] for k in range(word_count(point))])
            for name, point in self._points.items()
        }
        scaled = {field: _times(read[name], factor) for field, (name, factor) in _FLAT_METER.items()}
        return MeterValues(v_v=_present(read[f"V_L{k}"] for k in _PHASES), **scaled)


class SunSpecMeter:
    """Client of a meter with model 203."""

    def __init__(self, connection: Connection, endpoint: Endpoint) -> None:
        self._unit = SunSpecUnit(connection, endpoint)

    async def values(self) -> MeterValues:
        """Read the meter once; raises `DeviceError`."""
        read = await self._unit.read(_SUNSPEC_METER)
        return MeterValues(
            p_kw=_times(read["203.W"], 1e-3),
            q_kvar=_times(read["203.VAR"], 1e-3),
            v_v=_present(read[f"203.PhVph{letter}"] for letter in _LETTERS),
            import_kwh=_times(read["203.TotWhImp"], 1e-3),
            export_kwh=_times(read["203.TotWhExp"], 1e-3),
            import_kvarh=_sum_kilo([read[name] for name in _IMPORT_QUADRANTS]),
            export_kvarh=_sum_kilo([read[name] for name in _EXPORT_QUADRANTS]),
        )


class Inverter:
    """Client of a SunSpec inverter, of PV or of a battery."""

    def __init__(self, connection: Connection, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.unit = SunSpecUnit(connection, endpoint)
        self._ratings: Ratings | None = None

    async def ratings(self) -> Ratings:
        """Ratings, asked for once; raises `DeviceError`."""
        if self._ratings is None:
            kilo = {name: _times(value, 1e-3) for name, value in (await self.unit.read(_RATINGS)).items()}
            power = kilo["121.WMax"] or kilo["120.WRtg"]
            self._ratings = Ratings(
                power,
                kilo["124.WChaMax"] or kilo["120.MaxChaRte"] or power,
                kilo["120.MaxDisChaRte"] or power,
                kilo["120.WHRtg"],
            )
        return self._ratings

    async def pv_values(self) -> InverterValues:
        """Generation and what it can be limited to: zero to the rating, sun permitting."""
        rating_kw = (await self.ratings()).power_kw
        name = "701.W" if 701 in await self.unit.models() else "103.W"
        p_kw = _times((await self.unit.read([name]))[name], 1e-3)
        return InverterValues(p_kw, None if rating_kw is None else 0.0, rating_kw)

    async def battery_values(self, efficiency: float, horizon_s: float) -> InverterValues:
        """Power, state of charge and the power that could be held for ``horizon_s`` seconds.

        Parameters
        ----------
        efficiency
            One-way efficiency of the battery.
        horizon_s
            Length of the interval for which a set-point will hold [s].
        """
        ratings = await self.ratings()
        models = await self.unit.models()
        power = "701.W" if 701 in models else "103.W"
        charge = "713.SoC" if 713 in models else "124.ChaState"
        read = await self.unit.read([power, charge, "713.WHRtg"])
        p_kw, soc = _times(read[power], 1e-3), _times(read[charge], 1e-2)
        capacity = _times(read["713.WHRtg"], 1e-3) or ratings.capacity_kwh
        if soc is None or capacity is None or ratings.charge_kw is None or ratings.discharge_kw is None:
            return InverterValues(p_kw, None, None, soc)
        charge_kw, discharge_kw = battery.limits_kw(
            soc,
            capacity,
            [ratings.charge_kw, ratings.discharge_kw],
            efficiency,
            horizon_s / 3600.0,
        )
        return InverterValues(p_kw, -float(charge_kw[0]), float(discharge_kw[1]), soc)


def _times(value: float | str | None, factor: float) -> float | None:
    return None if value is None or isinstance(value, str) else value * factor


def _present(values: Iterable[float | str | None]) -> tuple[float, ...]:
    return tuple(float(v) for v in values if v is not None and not isinstance(v, str) and v > 0.0)


def _sum_kilo(values: list[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return 1e-3 * sum(told) if told else None
