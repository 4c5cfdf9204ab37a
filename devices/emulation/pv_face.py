"""What SunSpec models an emulated PV inverter shows, and which registers it obeys.

One physics stands behind three faces: model 103 of integers or 113 of floats with the controls of model 123,
or models 701 to 704 as IEEE 1547-2018 asks for.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.emulation.bank import RegisterBank
from devices.emulation.nameplate import put_rating
from devices.physics.grid_support import SERVICE_DELAY_S, SERVICE_HZ, SERVICE_RAMP_S, SERVICE_V_PU, VOLT_VAR_Q
from devices.physics.meter import Phases, power_factor
from devices.registers.columns import scale_factor

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
PvModels = Literal["103", "113", "701"]
# States of the physics, and the codes of models 103 and 113 and of model 701 for them.
OFF, SLEEPING, MPPT, THROTTLED, FAULT = range(5)
_STATES_103 = np.array([1.0, 2.0, 4.0, 5.0, 7.0])
_STATES_701 = np.array([0.0, 1.0, 3.0, 4.0, 6.0])
# Bits of 103.Evt1 and 701.Alrm: the grid is disconnected, and for each of `grid_support.TRIPS` why.
_GRID_DISCONNECT = 1 << 4
_CAUSES = np.array([1 << 10, 1 << 10, 1 << 11, 1 << 11, 1 << 8, 1 << 8, 1 << 9, 1 << 9])
_ACC32 = 2.0**32
_PV = 4
_CATEGORY_B, _CATEGORY_III = 1, 2
_MAX_POWER_MODE = 1


class PvRatings(NamedTuple):
    """What inverters are, ``(n,)`` each: rating [kW], ramp [%/s], voltage to neutral [V], on one phase."""

    rating_kw: Array
    ramp_pct_s: Array
    nominal_v: Array
    single_phase: Flags
    nominal_hz: float


class PvMeasurements(NamedTuple):
    """What inverters do now, ``(n,)``; ``cause`` indexes ``grid_support.TRIPS`` where not connected."""

    p_kw: Array
    q_kvar: Array
    dc_kw: Array
    energy_kwh: Array
    state: NDArray[np.int64]
    connected: Flags
    cause: NDArray[np.int64]
    left_s: Array
    phases: Phases
    hz: float


class PvFace(Protocol):
    """Registers of one kind of PV inverter.

    Attributes
    ----------
    models
        SunSpec models in order.
    connect
        Point that takes it off the grid with 0.
    group, seconds
        Points whose writing starts the revert time, and the point that holds it.
    """

    models: tuple[int, ...]
    connect: str
    group: tuple[str, ...]
    seconds: str

    def limit(self, bank: RegisterBank, held: Flags) -> Array:
        """Share of the rating that registers allow, ``(n,)``; ``held`` where the revert time runs."""
        ...

    def revert(self, bank: RegisterBank, expired: Flags) -> None:
        """Bring the registers of those whose time is over to what they fall back to."""
        ...

    def put_constants(self, bank: RegisterBank, ratings: PvRatings) -> None:
        """Fill in nameplate, settings and scale factors."""
        ...

    def show(self, bank: RegisterBank, measured: PvMeasurements) -> None:
        """Put measurements in."""
        ...


class Classic:
    """Model 103 or 113, with 120, 121 and 123."""

    connect: str = "123.Conn"
    group: tuple[str, ...] = ("123.WMaxLimPct", "123.WMaxLimPct_RvrtTms", "123.WMaxLim_Ena")
    seconds: str = "123.WMaxLimPct_RvrtTms"

    def __init__(self, measures: int) -> None:
        self.models: tuple[int, ...] = (1, measures, 120, 121, 123)
        self._is_float = measures == 113
        self._model = measures

    def limit(self, bank: RegisterBank, held: Flags) -> Array:
        """See `PvFace`."""
        enabled = held & (bank.get("123.WMaxLim_Ena") == 1.0)
        return np.where(enabled, _share(bank.get("123.WMaxLimPct")), np.inf)

    def revert(self, bank: RegisterBank, expired: Flags) -> None:
        """See `PvFace`."""
        bank.put_rows("123.WMaxLim_Ena", expired, 0.0)

    def put_constants(self, bank: RegisterBank, ratings: PvRatings) -> None:
        """See `PvFace`."""
        put_rating(bank, _PV, ratings.rating_kw, ratings.nominal_v)
        if not self._is_float:
            power_sf = scale_factor(2e3 * ratings.rating_kw, bank.layout.points["103.W"])
            scales: dict[str, ArrayLike] = dict.fromkeys(("W_SF", "VA_SF", "VAr_SF", "DCW_SF"), power_sf)
            scales |= {"A_SF": -2, "Hz_SF": -2, "V_SF": -1, "PF_SF": -1, "WH_SF": 0, "Tmp_SF": 0}
            _put(bank, "103", scales)
        bank.put(f"{self._model}.Evt2", 0)
        _put(bank, "121", {"WGra_SF": -1, "WGra": ratings.ramp_pct_s})
        _put(bank, "123", {"WMaxLimPct_SF": -2, "OutPFSet_SF": -2, "Conn": 1, "WMaxLimPct": 100.0})
        bank.put("123.OutPFSet", 1.0)
        for name in ("WMaxLimPct_RvrtTms", "WMaxLim_Ena", "OutPFSet_Ena", "VArPct_Ena"):
            bank.put(f"123.{name}", 0)

    def show(self, bank: RegisterBank, measured: PvMeasurements) -> None:
        """See `PvFace`."""
        energy_wh = 1e3 * measured.energy_kwh
        values: dict[str, ArrayLike] = {
            "W": 1e3 * measured.p_kw,
            "VAr": 1e3 * measured.q_kvar,
            "VA": 1e3 * np.hypot(measured.p_kw, measured.q_kvar),
            "PF": 100.0 * power_factor(measured.p_kw, measured.q_kvar),
            "DCW": 1e3 * measured.dc_kw,
            "A": measured.phases.i_a.sum(axis=1),
            "Hz": measured.hz,
            "WH": energy_wh if self._is_float else np.mod(energy_wh, _ACC32),
            "St": _STATES_103[measured.state],
            "Evt1": _events(measured),
        }
        for k, letter in enumerate("ABC"):
            values[f"Aph{letter}"] = _used(measured.phases.i_a, measured.phases, k)
            values[f"PhVph{letter}"] = _used(measured.phases.v, measured.phases, k)
        _put(bank, str(self._model), values)


class Der:
    """Models 701 to 704; on expiry of its time a limit falls back to the values that clients set for that."""

    models: tuple[int, ...] = (1, 701, 702, 703, 704)
    connect: str = "703.ES"
    group: tuple[str, ...] = tuple(
        f"704.WMaxLimPct{name}" for name in ("Ena", "", "Rvrt", "EnaRvrt", "RvrtTms")
    )
    seconds: str = "704.WMaxLimPctRvrtTms"

    def limit(self, bank: RegisterBank, held: Flags) -> Array:
        """See `PvFace`."""
        now = _share(bank.get("704.WMaxLimPct"))
        reverts = bank.get("704.WMaxLimPctEnaRvrt") == 1.0
        later = np.where(reverts, _share(bank.get("704.WMaxLimPctRvrt")), np.inf)
        return np.where(bank.get("704.WMaxLimPctEna") == 1.0, np.where(held, now, later), np.inf)

    def revert(self, bank: RegisterBank, expired: Flags) -> None:
        """See `PvFace`."""
        for name in ("WMaxLimPctEna", "WMaxLimPct"):
            bank.put_rows(f"704.{name}", expired, bank.get(f"704.{name}Rvrt"))

    def put_constants(self, bank: RegisterBank, ratings: PvRatings) -> None:
        """See `PvFace`."""
        points, rating_w = bank.layout.points, 1e3 * ratings.rating_kw
        power_sf = scale_factor(2.0 * rating_w, points["701.W"])
        rated_sf = scale_factor(rating_w, points["702.WMaxRtg"], finest=-1)
        amps = rating_w / ratings.nominal_v
        _put(
            bank,
            "701",
            {
                **dict.fromkeys(("W_SF", "VA_SF", "Var_SF"), power_sf),
                "A_SF": -2,
                "V_SF": -1,
                "Hz_SF": -3,
                "PF_SF": -3,
                "TotWh_SF": 0,
                "ACType": np.where(ratings.single_phase, 0, 2),
                "TotWhAbs": 0,
            },
        )
        _put(
            bank,
            "702",
            {
                **dict.fromkeys(("W_SF", "VA_SF", "Var_SF"), rated_sf),
                "V_SF": -1,
                "A_SF": scale_factor(amps, points["702.AMax"]),
                **dict.fromkeys(("WMaxRtg", "VAMaxRtg", "WMax", "VAMax"), rating_w),
                **dict.fromkeys(
                    ("VarMaxInjRtg", "VarMaxAbsRtg", "VarMaxInj", "VarMaxAbs"), VOLT_VAR_Q[0] * rating_w
                ),
                **dict.fromkeys(("VNomRtg", "VNom"), ratings.nominal_v),
                **dict.fromkeys(("AMaxRtg", "AMax"), amps),
                "NorOpCatRtg": _CATEGORY_B,
                "AbnOpCatRtg": _CATEGORY_III,
                "CtrlModes": _MAX_POWER_MODE,
            },
        )
        low_hz, high_hz = (ratings.nominal_hz + off for off in SERVICE_HZ)
        _put(
            bank,
            "703",
            {
                "V_SF": -1,
                "Hz_SF": -2,
                "ES": 1,
                "ESVLo": 100.0 * SERVICE_V_PU[0],
                "ESVHi": 100.0 * SERVICE_V_PU[1],
                "ESHzLo": low_hz,
                "ESHzHi": high_hz,
                "ESDlyTms": SERVICE_DELAY_S,
                "ESRmpTms": SERVICE_RAMP_S,
            },
        )
        limits = {"Ena": 0, "": 100.0, "Rvrt": 100.0, "EnaRvrt": 0, "RvrtTms": 0}
        _put(bank, "704", {"WMaxLimPct_SF": -2})
        _put(bank, "704", {f"WMaxLimPct{name}": value for name, value in limits.items()})

    def show(self, bank: RegisterBank, measured: PvMeasurements) -> None:
        """See `PvFace`."""
        used = np.maximum((measured.phases.v > 0.0).sum(axis=1), 1)
        values: dict[str, ArrayLike] = {
            "St": measured.state != OFF,
            "InvSt": _STATES_701[measured.state],
            "ConnSt": measured.connected,
            "Alrm": _events(measured),
            "W": 1e3 * measured.p_kw,
            "Var": 1e3 * measured.q_kvar,
            "VA": 1e3 * np.hypot(measured.p_kw, measured.q_kvar),
            "PF": power_factor(measured.p_kw, measured.q_kvar),
            "A": measured.phases.i_a.sum(axis=1),
            "LNV": measured.phases.v.sum(axis=1) / used,
            "Hz": measured.hz,
            "TotWhInj": 1e3 * measured.energy_kwh,
        }
        for k in range(3):
            values[f"VL{k + 1}"] = _used(measured.phases.v, measured.phases, k)
            values[f"AL{k + 1}"] = _used(measured.phases.i_a, measured.phases, k)
        _put(bank, "701", values)
        bank.put("704.WMaxLimPctRvrtRem", np.where(np.isfinite(measured.left_s), measured.left_s, 0.0))


FACES: Mapping[PvModels, PvFace] = {"103": Classic(103), "113": Classic(113), "701": Der()}


def _put(bank: RegisterBank, model: str, values: Mapping[str, ArrayLike]) -> None:
    for name, value in values.items():
        bank.put(f"{model}.{name}", value)


def _share(percent: Array) -> Array:
    share: Array = np.clip(percent, 0.0, 100.0) / 100.0
    return share


def _used(column: Array, phases: Phases, k: int) -> Array:
    return np.where(phases.v[:, k] > 0.0, column[:, k], np.nan)


def _events(measured: PvMeasurements) -> NDArray[np.int64]:
    return np.where(measured.connected, 0, _GRID_DISCONNECT | _CAUSES[measured.cause])
