"""What SunSpec models an emulated battery shows, and which registers it obeys.

Power is set through model 704 (``WSet`` in watts or ``WSetPct``, while ``WSetEna`` is set) and kept within
the band of model 124 (``OutWRte`` above, ``-InWRte`` below, each while its bit of ``StorCtl_Mod`` is set).
Both have revert times. Without a set-point the battery idles, unless the band forces it: where there is no
model 704, both edges of the band at one power are the set-point.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.emulation.bank import RegisterBank
from devices.emulation.nameplate import put_rating
from devices.physics.meter import Phases
from devices.registers.columns import scale_factor

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
BatteryModels = Literal["701", "802"]
_MODELS: dict[BatteryModels, tuple[int, ...]] = {
    "701": (1, 120, 121, 124, 704, 713, 701),
    "802": (1, 103, 120, 121, 124, 802),
}
_SET = ("WSetEna", "WSetMod", "WSet", "WSetPct", "WSetEnaRvrt", "WSetRvrt", "WSetPctRvrt", "WSetRvrtTms")
_BAND = ("StorCtl_Mod", "OutWRte", "InWRte", "InOutWRte_RvrtTms")
_SET_POINTS = tuple(f"704.{name}" for name in _SET)
_BAND_POINTS = tuple(f"124.{name}" for name in _BAND)
_PV_WITH_STORAGE = 82
_WATTS = 1.0
_CHARGE_BIT, _DISCHARGE_BIT = 1, 2
_RUNNING, _STANDBY = 3.0, 7.0
_RUNNING_103, _STANDBY_103 = 4.0, 8.0
_LITHIUM, _CONNECTED = 4, 3
_ACC32 = 2.0**32
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2.0, 3.0, 4.0, 5.0, 6.0


class BatteryRatings(NamedTuple):
    """What batteries are, ``(n,)`` each.

    Rating [kW], energy [kWh], ramp [%/s], voltage to neutral [V], and whether on one phase.
    """

    rating_kw: Array
    capacity_kwh: Array
    ramp_pct_s: Array
    nominal_v: Array
    single_phase: Flags
    nominal_hz: float


class BatteryMeasurements(NamedTuple):
    """What batteries do now, ``(n,)``; ``left_s`` is what remains of the set-point's revert time."""

    p_kw: Array
    soc: Array
    capacity_kwh: Array
    discharged_kwh: Array
    charged_kwh: Array
    left_s: Array
    phases: Phases


class BatteryFace:
    """Registers of one kind of battery: 120, 121 and 124, with 701, 704 and 713 or with 103 and 802.

    Attributes
    ----------
    models
        SunSpec models in order.
    set_points, set_seconds
        Points of the set-point, whose writing starts its revert time, and the point that holds it.
    band_points, band_seconds
        The same of the band.
    """

    band_points = _BAND_POINTS
    band_seconds = "124.InOutWRte_RvrtTms"

    def __init__(self, models: BatteryModels) -> None:
        self._is_der = models == "701"
        self.models = _MODELS[models]
        self.set_points = _SET_POINTS if self._is_der else ()
        self.set_seconds = "704.WSetRvrtTms" if self._is_der else self.band_seconds

    def target_kw(self, bank: RegisterBank, rating_kw: Array, set_holds: Flags, band_holds: Flags) -> Array:
        """Power that registers ask for [kW], ``(n,)``; the flags say where the revert times run."""
        share = rating_kw / 100.0
        wanted = _wanted_kw(bank, share, set_holds) if self._is_der else np.zeros_like(share)
        mode = np.where(band_holds, np.nan_to_num(bank.get("124.StorCtl_Mod")), 0.0).astype(np.int64)
        most_kw = np.where(mode & _DISCHARGE_BIT, bank.get("124.OutWRte") * share, rating_kw)
        least_kw = np.where(mode & _CHARGE_BIT, -bank.get("124.InWRte") * share, -rating_kw)
        within = np.minimum(np.maximum(np.nan_to_num(wanted), least_kw), most_kw)
        target: Array = np.clip(np.nan_to_num(within), -rating_kw, rating_kw)
        return target

    def revert(self, bank: RegisterBank, set_expired: Flags, band_expired: Flags) -> None:
        """Bring the registers of those whose time is over to what they fall back to."""
        for name in ("WSetEna", "WSet", "WSetPct") if self._is_der else ():
            bank.put_rows(f"704.{name}", set_expired, bank.get(f"704.{name}Rvrt"))
        bank.put_rows("124.StorCtl_Mod", band_expired, 0.0)

    def put_constants(self, bank: RegisterBank, ratings: BatteryRatings) -> None:
        """Fill in nameplate, settings and scale factors."""
        put_rating(bank, _PV_WITH_STORAGE, ratings.rating_kw, ratings.nominal_v)
        points = bank.layout.points
        rating_w, capacity_wh = 1e3 * ratings.rating_kw, 1e3 * ratings.capacity_kwh
        # Watts are int16 in all three models.
        power_sf = scale_factor(2.0 * rating_w, points["701.W" if self._is_der else "103.W"])
        capacity_sf = scale_factor(capacity_wh, points["120.WHRtg"], finest=0)
        rate_sf = scale_factor(rating_w, points["124.WChaMax"], finest=-1)
        scales: dict[str, ArrayLike] = {
            "120.WHRtg_SF": capacity_sf,
            "120.MaxChaRte_SF": rate_sf,
            "120.MaxDisChaRte_SF": rate_sf,
            "124.WChaMax_SF": rate_sf,
            "124.WChaDisChaGra_SF": -1,
            "124.ChaState_SF": -2,
            "124.InOutWRte_SF": -2,
            "701.W_SF": power_sf,
            "701.VA_SF": power_sf,
            "701.Var_SF": power_sf,
            "701.A_SF": -2,
            "701.V_SF": -1,
            "701.Hz_SF": -3,
            "701.PF_SF": -3,
            "701.TotWh_SF": 0,
            "704.WSet_SF": -1,
            "704.WSetPct_SF": -2,
            "713.WH_SF": capacity_sf,
            "713.Pct_SF": -2,
            **dict.fromkeys(("103.W_SF", "103.VA_SF", "103.VAr_SF", "802.W_SF"), power_sf),
            **dict.fromkeys(("103.A_SF", "103.Hz_SF", "802.SoC_SF", "802.DoD_SF"), -2),
            **dict.fromkeys(("103.V_SF", "103.PF_SF"), -1),
            **dict.fromkeys(("103.WH_SF", "802.SoH_SF"), 0),
            "802.WHRtg_SF": capacity_sf,
            "802.WChaDisChaMax_SF": rate_sf,
        }
        values: dict[str, ArrayLike] = {
            "120.WHRtg": capacity_wh,
            "120.MaxChaRte": rating_w,
            "120.MaxDisChaRte": rating_w,
            "124.WChaMax": rating_w,
            "124.WChaGra": ratings.ramp_pct_s,
            "124.WDisChaGra": ratings.ramp_pct_s,
            "124.StorCtl_Mod": 0,
            "124.OutWRte": 100,
            "124.InWRte": 100,
            "124.InOutWRte_RvrtTms": 0,
            "124.ChaGriSet": 1,
            "701.ACType": np.where(ratings.single_phase, 0, 2),
            "701.St": 1,
            "701.ConnSt": 1,
            "701.Alrm": 0,
            "701.Var": 0,
            "701.PF": 1,
            "701.Hz": ratings.nominal_hz,
            "704.WSetMod": _WATTS,
            "713.WHRtg": capacity_wh,
            "713.SoH": 100,
            "713.Sta": 0,
            "103.VAr": 0,
            "103.Hz": ratings.nominal_hz,
            "103.Evt1": 0,
            "103.Evt2": 0,
            "802.WHRtg": capacity_wh,
            "802.WChaRteMax": rating_w,
            "802.WDisChaRteMax": rating_w,
            "802.SoH": 100,
            "802.LocRemCtl": 0,
            "802.Typ": _LITHIUM,
            "802.State": _CONNECTED,
            "802.Evt1": 0,
        }
        for name in _SET:
            values.setdefault(f"704.{name}", 0)
        bank.put_known(scales | values)

    def show(self, bank: RegisterBank, measured: BatteryMeasurements) -> None:
        """Put measurements in; the phases are those of the battery's own terminals."""
        p_kw, soc, phases, left_s = measured.p_kw, measured.soc, measured.phases, measured.left_s
        idle, used = p_kw == 0.0, phases.v > 0.0
        charge_states = [p_kw > 0.0, p_kw < 0.0, soc <= 0.0, soc >= 1.0]
        charge_state = np.select(charge_states, [_DISCHARGING, _CHARGING, _EMPTY, _FULL], default=_HOLDING)
        power_w, soc_pct = 1e3 * p_kw, 100.0 * soc
        values: dict[str, ArrayLike] = {
            "701.InvSt": np.where(idle, _STANDBY, _RUNNING),
            "103.St": np.where(idle, _STANDBY_103, _RUNNING_103),
            "701.LNV": phases.v.sum(axis=1) / np.maximum(used.sum(axis=1), 1),
            "701.TotWhInj": 1e3 * measured.discharged_kwh,
            "701.TotWhAbs": 1e3 * measured.charged_kwh,
            "103.WH": np.mod(1e3 * measured.discharged_kwh, _ACC32),
            "103.PF": 100.0,
            "713.WHAvail": 1e3 * soc * measured.capacity_kwh,
            "713.SoC": soc_pct,
            "802.SoC": soc_pct,
            "802.DoD": 100.0 - soc_pct,
            "802.W": power_w,
            "124.ChaState": soc_pct,
            "124.ChaSt": charge_state,
            "802.ChaSt": charge_state,
            "704.WSetRvrtRem": np.where(np.isfinite(left_s), left_s, 0.0),
        }
        for model in ("103", "701"):
            values |= {f"{model}.W": power_w, f"{model}.VA": np.abs(power_w)}
            values[f"{model}.A"] = phases.i_a.sum(axis=1)
        for k, letter in enumerate("ABC"):
            volts = np.where(used[:, k], phases.v[:, k], np.nan)
            amps = np.where(used[:, k], phases.i_a[:, k], np.nan)
            values |= {f"701.VL{k + 1}": volts, f"103.PhVph{letter}": volts}
            values |= {f"701.AL{k + 1}": amps, f"103.Aph{letter}": amps}
        bank.put_known(values)


def _wanted_kw(bank: RegisterBank, share: Array, set_holds: Flags) -> Array:
    """What model 704 asks for."""
    enabled = bank.get("704.WSetEna") == 1.0
    reverts = bank.get("704.WSetEnaRvrt") == 1.0
    in_watts = bank.get("704.WSetMod") == _WATTS
    now_kw = np.where(in_watts, bank.get("704.WSet") / 1e3, bank.get("704.WSetPct") * share)
    later_kw = np.where(in_watts, bank.get("704.WSetRvrt") / 1e3, bank.get("704.WSetPctRvrt") * share)
    wanted: Array = np.where(enabled, np.where(set_holds, now_kw, np.where(reverts, later_kw, 0.0)), 0.0)
    return wanted
