"""Emulated batteries: physics behind SunSpec models 120, 121, 124 and 701, 704, 713, or 103 and 802.

Power is set through model 704 (``WSet`` in watts or ``WSetPct``, while ``WSetEna`` is set) and kept within
the band of model 124 (``OutWRte`` above, ``-InWRte`` below, each while its bit of ``StorCtl_Mod`` is set).
Both have revert times. Without a set-point the battery idles, unless the band forces it: where there is no
model 704, both edges of the band at one power are the set-point.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from broker.snapshot import Values, array_of, part
from devices.emulation.bank import RegisterBank
from devices.emulation.nameplate import put_identity, put_rating
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.revert import RevertTimers
from devices.physics import battery
from devices.physics.inverter import Motion, ramp
from devices.physics.meter import Phases
from devices.registers.columns import scale_factor
from devices.registers.sunspec import SunSpecPlace, sunspec_layout

Array = NDArray[np.float64]
_REMEMBERED = ("soc", "p_kw", "discharged_kwh", "charged_kwh")
BatteryModels = Literal["701", "802"]
MODELS: dict[BatteryModels, tuple[int, ...]] = {
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
_ROUNDING_KW = 1e-6
_EMPTY, _DISCHARGING, _CHARGING, _FULL, _HOLDING = 2.0, 3.0, 4.0, 5.0, 6.0


class BatteryUnits:
    """All batteries of a fleet.

    Parameters
    ----------
    prosumers
        Whose batteries, ``(n,)``.
    frequency_hz
        Frequency of the grid [Hz].
    models
        Which registers they show besides 120, 121 and 124: 701, 704 and 713, or 103 and 802.
    place
        Where the registers begin.

    Attributes
    ----------
    p_kw
        Power now [kW], ``(n,)``, + discharges.
    soc
        State of charge now [0..1], ``(n,)``.
    discharged_kwh, charged_kwh
        Energy at the terminals since the start [kWh], ``(n,)``.
    """

    def __init__(
        self,
        prosumers: Sequence[EmulatedProsumer],
        frequency_hz: float,
        models: BatteryModels = "701",
        place: SunSpecPlace = SunSpecPlace(),  # noqa: B008  # frozen
    ) -> None:
        ids = [p.id for p in prosumers]
        self._is_der = models == "701"
        set_points = _SET_POINTS if self._is_der else ()
        self.bank = RegisterBank(
            sunspec_layout(MODELS[models], place), len(ids), (*set_points, *_BAND_POINTS)
        )
        self.rating_kw = np.array([p.battery_kw for p in prosumers])
        self.capacity_kwh = np.array([p.battery_kwh for p in prosumers])
        self.efficiency = np.array([p.battery_efficiency for p in prosumers])
        self.soc = np.array([p.battery_soc for p in prosumers])
        self.p_kw = np.zeros(len(ids))
        self.discharged_kwh = np.zeros(len(ids))
        self.charged_kwh = np.zeros(len(ids))
        ramp_pct_s = np.array([p.battery_ramp_pct_s for p in prosumers])
        self._rate_kw_s = ramp_pct_s / 100.0 * self.rating_kw
        seconds = "704.WSetRvrtTms" if self._is_der else "124.InOutWRte_RvrtTms"
        self._set_timers = RevertTimers(self.bank, set_points, seconds)
        self._band_timers = RevertTimers(self.bank, _BAND_POINTS, "124.InOutWRte_RvrtTms")
        put_identity(self.bank, "battery", ids)
        nominal_v = np.array([p.nominal_v for p in prosumers])
        put_rating(self.bank, _PV_WITH_STORAGE, self.rating_kw, nominal_v)
        self._put_constants(ramp_pct_s, frequency_hz, np.array([len(p.phases) == 1 for p in prosumers]))
        self.bank.keep_defaults()

    def restart(self, row: int) -> None:
        """Let one battery forget its commands, as after a loss of supply."""
        self.bank.restart(row)
        self._set_timers.stop(row)
        self._band_timers.stop(row)

    def step(self, dt_s: float) -> Array:
        """Let ``dt_s`` seconds pass with the set-points now in the registers.

        Set-points may run out within the step, so it has up to three parts. A battery that runs empty or
        full within the step delivers what was left and then stands still.

        Parameters
        ----------
        dt_s
            Length of the step [s], positive.

        Returns
        -------
        NDArray
            Mean power [kW], ``(n,)``, + discharges.
        """
        set_s = self._set_timers.begin()
        band_s = self._band_timers.begin()
        edges = np.sort(
            np.stack([np.zeros_like(set_s), np.minimum(set_s, dt_s), np.minimum(band_s, dt_s)]), 0
        )
        spans = np.diff(edges, axis=0, append=dt_s)
        up_kws, down_kws, end_kw = np.zeros_like(set_s), np.zeros_like(set_s), self.p_kw
        for begin_s, span_s in zip(edges, spans, strict=True):
            target_kw = self._target_kw(begin_s < set_s, begin_s < band_s)
            motion: Motion = ramp(end_kw, target_kw, self._rate_kw_s, span_s)
            up_kws, down_kws, end_kw = up_kws + motion.up_kws, down_kws + motion.down_kws, motion.end_kw
        self._revert(self._set_timers.pass_time(dt_s), self._band_timers.pass_time(dt_s))
        return self._store(up_kws / dt_s, down_kws / dt_s, end_kw, dt_s / 3600.0)

    def snapshot(self) -> Values:
        """Registers, charge, power and energy."""
        return {
            "words": self.bank.words,
            "set_timers": self._set_timers.snapshot(),
            "band_timers": self._band_timers.snapshot(),
            **{name: getattr(self, name) for name in _REMEMBERED},
        }

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another fleet's."""
        self._set_timers.restore(part(values, "set_timers"))
        self._band_timers.restore(part(values, "band_timers"))
        for name in _REMEMBERED:
            setattr(self, name, array_of(values, name, getattr(self, name)))
        self.bank.put_words(array_of(values, "words", self.bank.words))

    def show(self, phases: Phases) -> None:
        """Put measurements into the registers; ``phases`` are those of the battery's own terminals."""
        idle, used, left_s = self.p_kw == 0.0, phases.v > 0.0, self._set_timers.remaining_s
        charge_states = [self.p_kw > 0.0, self.p_kw < 0.0, self.soc <= 0.0, self.soc >= 1.0]
        charge_state = np.select(charge_states, [_DISCHARGING, _CHARGING, _EMPTY, _FULL], default=_HOLDING)
        power_w, soc_pct = 1e3 * self.p_kw, 100.0 * self.soc
        values: dict[str, ArrayLike] = {
            "701.InvSt": np.where(idle, _STANDBY, _RUNNING),
            "103.St": np.where(idle, _STANDBY_103, _RUNNING_103),
            "701.LNV": phases.v.sum(axis=1) / np.maximum(used.sum(axis=1), 1),
            "701.TotWhInj": 1e3 * self.discharged_kwh,
            "701.TotWhAbs": 1e3 * self.charged_kwh,
            "103.WH": np.mod(1e3 * self.discharged_kwh, _ACC32),
            "103.PF": 100.0,
            "713.WHAvail": 1e3 * self.soc * self.capacity_kwh,
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
        self.bank.put_known(values)

    def _target_kw(self, set_holds: NDArray[np.bool_], band_holds: NDArray[np.bool_]) -> Array:
        bank, share = self.bank, self.rating_kw / 100.0
        wanted = self._wanted_kw(set_holds) if self._is_der else np.zeros_like(share)
        mode = np.where(band_holds, np.nan_to_num(bank.get("124.StorCtl_Mod")), 0.0).astype(np.int64)
        most_kw = np.where(mode & _DISCHARGE_BIT, bank.get("124.OutWRte") * share, self.rating_kw)
        least_kw = np.where(mode & _CHARGE_BIT, -bank.get("124.InWRte") * share, -self.rating_kw)
        within = np.minimum(np.maximum(np.nan_to_num(wanted), least_kw), most_kw)
        target: Array = np.clip(np.nan_to_num(within), -self.rating_kw, self.rating_kw)
        return target

    def _wanted_kw(self, set_holds: NDArray[np.bool_]) -> Array:
        """What model 704 asks for."""
        bank = self.bank
        enabled = bank.get("704.WSetEna") == 1.0
        reverts = bank.get("704.WSetEnaRvrt") == 1.0
        in_watts = bank.get("704.WSetMod") == _WATTS
        share = self.rating_kw / 100.0
        now_kw = np.where(in_watts, bank.get("704.WSet") / 1e3, bank.get("704.WSetPct") * share)
        later_kw = np.where(in_watts, bank.get("704.WSetRvrt") / 1e3, bank.get("704.WSetPctRvrt") * share)
        wanted: Array = np.where(enabled, np.where(set_holds, now_kw, np.where(reverts, later_kw, 0.0)), 0.0)
        return wanted

    def _revert(self, set_expired: NDArray[np.bool_], band_expired: NDArray[np.bool_]) -> None:
        bank = self.bank
        for name in ("WSetEna", "WSet", "WSetPct") if self._is_der else ():
            bank.put_rows(f"704.{name}", set_expired, bank.get(f"704.{name}Rvrt"))
        bank.put_rows("124.StorCtl_Mod", band_expired, 0.0)

    def _store(self, up_kw: Array, down_kw: Array, end_kw: Array, dt_h: float) -> Array:
        """Take the energy from or to the cells; what they cannot give or take does not happen."""
        charge_max, discharge_max = battery.limits_kw(
            self.soc, self.capacity_kwh, self.rating_kw, self.efficiency, dt_h
        )
        charged, discharged = np.minimum(-down_kw, charge_max), np.minimum(up_kw, discharge_max)
        full = (-down_kw > charge_max + _ROUNDING_KW) & (end_kw < 0.0)
        empty = (up_kw > discharge_max + _ROUNDING_KW) & (end_kw > 0.0)
        self.p_kw = np.where(full | empty, 0.0, end_kw)
        for power_kw in (-charged, discharged):
            self.soc = battery.advance(self.soc, power_kw, self.capacity_kwh, self.efficiency, dt_h)
        self.charged_kwh = self.charged_kwh + charged * dt_h
        self.discharged_kwh = self.discharged_kwh + discharged * dt_h
        return discharged - charged

    def _put_constants(self, ramp_pct_s: Array, frequency_hz: float, single_phase: NDArray[np.bool_]) -> None:
        bank, points = self.bank, self.bank.layout.points
        rating_w, capacity_wh = 1e3 * self.rating_kw, 1e3 * self.capacity_kwh
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
            "124.WChaGra": ramp_pct_s,
            "124.WDisChaGra": ramp_pct_s,
            "124.StorCtl_Mod": 0,
            "124.OutWRte": 100,
            "124.InWRte": 100,
            "124.InOutWRte_RvrtTms": 0,
            "124.ChaGriSet": 1,
            "701.ACType": np.where(single_phase, 0, 2),
            "701.St": 1,
            "701.ConnSt": 1,
            "701.Alrm": 0,
            "701.Var": 0,
            "701.PF": 1,
            "701.Hz": frequency_hz,
            "704.WSetMod": _WATTS,
            "713.WHRtg": capacity_wh,
            "713.SoH": 100,
            "713.Sta": 0,
            "103.VAr": 0,
            "103.Hz": frequency_hz,
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
