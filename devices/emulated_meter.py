"""Emulated meters: an SDM630 or a SunSpec meter (model 203) that show the same quantities."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.bank import Bank
from devices.meter import Phases, power_factor
from devices.nameplate import put_identity
from devices.profiles import meter_map
from devices.registers import scale_factor
from devices.sunspec import flat_layout, sunspec_layout

Array = NDArray[np.float64]
_LETTERS = "ABC"


def sdm630_bank(count: int, frequency_hz: float) -> Bank:
    """Registers of ``count`` SDM630 meters; what the emulator does not measure reads 0."""
    bank = Bank(flat_layout(meter_map("sdm630")), count)
    bank.words[:] = 0
    bank.put("frequency", frequency_hz)
    return bank


def sunspec_meter_bank(ids: Sequence[str], largest_kw: Array, frequency_hz: float) -> Bank:
    """Registers of SunSpec three-phase meters; ``largest_kw`` sets the resolution of power [kW], ``(n,)``."""
    bank = Bank(sunspec_layout((1, 203)), len(ids))
    put_identity(bank, "meter", ids)
    power_sf = scale_factor(1e3 * largest_kw, bank.layout.points["203.W"])
    scales: dict[str, ArrayLike] = {
        "203.A_SF": -1,
        "203.V_SF": -1,
        "203.Hz_SF": -2,
        "203.W_SF": power_sf,
        "203.VA_SF": power_sf,
        "203.VAR_SF": power_sf,
        "203.PF_SF": -1,
        "203.TotWh_SF": 0,
        "203.TotVArh_SF": 0,
    }
    for name, sf in scales.items():
        bank.put(name, sf)
    bank.put("203.Hz", frequency_hz)
    bank.put("203.Evt", 0)
    return bank


def show_sdm630(bank: Bank, phases: Phases, energy_kwh: Array, reactive_kvarh: Array) -> None:
    """Put measurements into SDM630 registers.

    Parameters
    ----------
    bank
        From `sdm630_bank`.
    phases
        Quantities per phase, ``(n, 3)``.
    energy_kwh
        Counters of import and export [kWh], ``(2, n)``.
    reactive_kvarh
        Counters of reactive energy by quadrant [kvarh], ``(4, n)``; the first two are import.
    """
    for k in range(3):
        bank.put(f"V_L{k + 1}", phases.v[:, k])
        bank.put(f"I_L{k + 1}", phases.i_a[:, k])
        bank.put(f"P_L{k + 1}", phases.p_w[:, k])
        bank.put(f"S_L{k + 1}", phases.s_va[:, k])
        bank.put(f"Q_L{k + 1}", phases.q_var[:, k])
        bank.put(f"PF_L{k + 1}", phases.power_factor[:, k])
    p, q = phases.p_w.sum(axis=1), phases.q_var.sum(axis=1)
    bank.put("P", p)
    bank.put("Q", q)
    bank.put("S", np.hypot(p, q))
    bank.put("PF", power_factor(p, q))
    bank.put("import_kwh", energy_kwh[0])
    bank.put("export_kwh", energy_kwh[1])
    bank.put("import_kvarh", reactive_kvarh[:2].sum(axis=0))
    bank.put("export_kvarh", reactive_kvarh[2:].sum(axis=0))
    bank.put("total_kwh", energy_kwh.sum(axis=0))
    bank.put("total_kvarh", reactive_kvarh.sum(axis=0))


def show_sunspec_meter(bank: Bank, phases: Phases, energy_kwh: Array, reactive_kvarh: Array) -> None:
    """Put measurements into SunSpec meter registers; parameters as in `show_sdm630`."""
    used = phases.v > 0.0
    for k, letter in enumerate(_LETTERS):
        bank.put(f"203.PhVph{letter}", np.where(used[:, k], phases.v[:, k], np.nan))
        bank.put(f"203.Aph{letter}", np.where(used[:, k], phases.i_a[:, k], np.nan))
        bank.put(f"203.Wph{letter}", np.where(used[:, k], phases.p_w[:, k], np.nan))
        bank.put(f"203.VARph{letter}", np.where(used[:, k], phases.q_var[:, k], np.nan))
    p, q = phases.p_w.sum(axis=1), phases.q_var.sum(axis=1)
    bank.put("203.A", phases.i_a.sum(axis=1))
    bank.put("203.PhV", phases.v.sum(axis=1) / np.maximum(used.sum(axis=1), 1))
    bank.put("203.W", p)
    bank.put("203.VAR", q)
    bank.put("203.VA", np.hypot(p, q))
    bank.put("203.PF", 100.0 * power_factor(p, q))
    bank.put("203.TotWhImp", 1e3 * energy_kwh[0])
    bank.put("203.TotWhExp", 1e3 * energy_kwh[1])
    for name, counter in zip(("ImpQ1", "ImpQ2", "ExpQ3", "ExpQ4"), reactive_kvarh, strict=True):
        bank.put(f"203.TotVArh{name}", 1e3 * counter)
