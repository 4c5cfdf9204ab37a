"""What emulated SunSpec devices say about themselves: identity (model 1) and ratings (models 120, 121)."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from devices.emulation.bank import RegisterBank
from devices.registers.columns import scale_factor

Array = NDArray[np.float64]
_SERIAL_BYTES = 32


def put_identity(bank: RegisterBank, kind: str, ids: Iterable[str]) -> None:
    """Fill in the common model: maker, model, version and serial number."""
    count = len(bank)
    bank.put_text("1.Mn", ["sharegrid"] * count)
    bank.put_text("1.Md", [f"emulated {kind}"] * count)
    bank.put_text("1.Vr", ["1"] * count)
    bank.put_text("1.SN", [name.encode()[:_SERIAL_BYTES].decode(errors="ignore") for name in ids])


def put_rating(bank: RegisterBank, der_type: int, rating_kw: Array, nominal_v: Array) -> None:
    """Fill in nameplate and basic settings: the settings are as the nameplate says, at unity power factor.

    Parameters
    ----------
    bank
        Registers of devices that serve models 120 and 121.
    der_type
        4 for PV, 82 for PV with storage, the one type the model has for storage.
    rating_kw
        Rating [kW], ``(n,)``.
    nominal_v
        Voltage to neutral [V], ``(n,)``.
    """
    points = bank.layout.points
    rating_w = 1e3 * rating_kw
    power_sf = scale_factor(rating_w, points["120.WRtg"], finest=-1)
    current_sf = scale_factor(rating_w / nominal_v, points["120.ARtg"])
    scales: dict[str, ArrayLike] = {
        "120.WRtg_SF": power_sf,
        "120.VARtg_SF": power_sf,
        "120.VArRtg_SF": 0,
        "120.ARtg_SF": current_sf,
        "120.PFRtg_SF": -2,
        "121.WMax_SF": power_sf,
        "121.VRef_SF": -1,
        "121.VRefOfs_SF": -1,
    }
    for name, sf in scales.items():
        bank.put(name, sf)
    bank.put("120.DERTyp", der_type)
    bank.put("120.WRtg", rating_w)
    bank.put("120.VARtg", rating_w)
    bank.put("120.ARtg", rating_w / nominal_v)
    for quadrant in range(1, 5):
        bank.put(f"120.VArRtgQ{quadrant}", 0)
        bank.put(f"120.PFRtgQ{quadrant}", 1)
    bank.put("121.WMax", rating_w)
    bank.put("121.VRef", nominal_v)
    bank.put("121.VRefOfs", 0)
