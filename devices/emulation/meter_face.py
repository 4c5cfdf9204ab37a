"""Registers of emulated meters: an SDM630, a SunSpec meter, or any profile with points at fixed addresses."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.emulation.bank import RegisterBank
from devices.emulation.nameplate import put_identity
from devices.emulation.prosumer import EmulatedProsumer
from devices.emulation.sdm630_settings import settings
from devices.physics.meter import Phases, power_factor
from devices.registers.columns import scale_factor
from devices.registers.profiles import load_profile
from devices.registers.schema import QUANTITIES, Profile, conversion
from devices.registers.sunspec import SunSpecPlace, flat_layout, sunspec_layout

Array = NDArray[np.float64]
MeterModel = Literal["203", "213"]
_LETTERS = "ABC"
_ACC32 = 2.0**32


def sdm630_bank(prosumers: Sequence[EmulatedProsumer], frequency_hz: float) -> RegisterBank:
    """Registers of SDM630 meters, ``(n,)``; what the emulator does not measure reads 0."""
    bank = RegisterBank(flat_layout(load_profile("sdm630")), len(prosumers))
    bank.words[:] = 0
    bank.holding = {row: settings(p.id, len(p.phases)) for row, p in enumerate(prosumers)}
    bank.put("frequency", frequency_hz)
    return bank


def sunspec_meter_bank(
    ids: Sequence[str],
    largest_kw: Array,
    frequency_hz: float,
    model: MeterModel = "203",
    place: SunSpecPlace = SunSpecPlace(),  # noqa: B008  # frozen
) -> RegisterBank:
    """Registers of SunSpec three-phase meters, of integers (model 203) or floats (213).

    Integers have a resolution of power that holds ``largest_kw`` [kW], ``(n,)``.
    """
    bank = RegisterBank(sunspec_layout((1, int(model)), place), len(ids))
    put_identity(bank, "meter", ids)
    if model == "213":
        bank.put("213.Hz", frequency_hz)
        bank.put("213.Evt", 0)
        return bank
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
    # Scaled by what was put just now.
    bank.put("203.Hz", frequency_hz)
    bank.put("203.Evt", 0)
    return bank


def show_sdm630(
    bank: RegisterBank, phases: Phases, energy_kwh: Array, reactive_kvarh: Array, frequency_hz: float
) -> None:
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
    frequency_hz
        Frequency of the grid [Hz].
    """
    bank.put("frequency", frequency_hz)
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


def show_sunspec_meter(
    model: MeterModel,
    bank: RegisterBank,
    phases: Phases,
    energy_kwh: Array,
    reactive_kvarh: Array,
    frequency_hz: float,
) -> None:
    """Put measurements into SunSpec registers; parameters as in `show_sdm630`. Integer counters wrap."""
    whole_wh = np.inf if model == "213" else _ACC32
    bank.put(f"{model}.Hz", frequency_hz)
    used = phases.v > 0.0
    for k, letter in enumerate(_LETTERS):
        bank.put(f"{model}.PhVph{letter}", np.where(used[:, k], phases.v[:, k], np.nan))
        bank.put(f"{model}.Aph{letter}", np.where(used[:, k], phases.i_a[:, k], np.nan))
        bank.put(f"{model}.Wph{letter}", np.where(used[:, k], phases.p_w[:, k], np.nan))
        bank.put(f"{model}.VARph{letter}", np.where(used[:, k], phases.q_var[:, k], np.nan))
    p, q = phases.p_w.sum(axis=1), phases.q_var.sum(axis=1)
    bank.put(f"{model}.A", phases.i_a.sum(axis=1))
    bank.put(f"{model}.PhV", phases.v.sum(axis=1) / np.maximum(used.sum(axis=1), 1))
    bank.put(f"{model}.W", p)
    bank.put(f"{model}.VAR", q)
    bank.put(f"{model}.VA", np.hypot(p, q))
    bank.put(f"{model}.PF", 100.0 * power_factor(p, q))
    bank.put(f"{model}.TotWhImp", np.mod(1e3 * energy_kwh[0], whole_wh))
    bank.put(f"{model}.TotWhExp", np.mod(1e3 * energy_kwh[1], whole_wh))
    for name, counter in zip(("ImpQ1", "ImpQ2", "ExpQ3", "ExpQ4"), reactive_kvarh, strict=True):
        bank.put(f"{model}.TotVArh{name}", np.mod(1e3 * counter, whole_wh))


def show_profile(
    profile: Profile,
    bank: RegisterBank,
    phases: Phases,
    energy_kwh: Array,
    reactive_kvarh: Array,
    frequency_hz: float,  # noqa: ARG001 - profiles have no such quantity; the signature is `show_sdm630`'s
) -> None:
    """Put the quantities of any profile with points at fixed addresses into its registers.

    Of points that add up to a quantity the first holds all of it.
    """
    values = {
        "p_kw": 1e-3 * phases.p_w.sum(axis=1),
        "q_kvar": 1e-3 * phases.q_var.sum(axis=1),
        "import_kwh": energy_kwh[0],
        "export_kwh": energy_kwh[1],
        "import_kvarh": reactive_kvarh[:2].sum(axis=0),
        "export_kvarh": reactive_kvarh[2:].sum(axis=0),
        **{f"v_l{k + 1}_v": phases.v[:, k] for k in range(3)},
    }
    for quantity, column in values.items():
        for terms in profile.alternatives(quantity):
            (first, sign), *others = terms
            factor = conversion(profile.point(first).unit, QUANTITIES["meter"][quantity]) or 1.0
            bank.put(first, sign * column / factor)
            for name, _ in others:
                bank.put(name, 0.0)
