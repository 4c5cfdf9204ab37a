"""Which registers carry out a set-point: the choice follows from the models that a device has.

A PV limit goes through model 123, or 704 where only that is there; a battery's power through model 704, or
through the band of model 124 (upper and lower edge at the same power), which many inverters have alone.
"""

import math
from collections.abc import Collection

from devices.errors import MissingControl
from devices.sunspec_unit import Command

_LONGEST_UINT16_S = 0xFFFE
_BOTH_EDGES = 3.0
_WATTS = 1.0


def pv_limit(
    models: Collection[int], rating_kw: float | None, power_kw: float | None, valid_s: float, where: str
) -> Command:
    """Registers that limit a PV inverter.

    Parameters
    ----------
    models
        SunSpec models of the inverter.
    rating_kw
        Power that counts as 100 % [kW].
    power_kw
        The most it may generate [kW], or ``None`` to lift the limit.
    valid_s
        Seconds after which the limit falls away by itself; 0 means never.
    where
        Name of the device for the error.

    Raises
    ------
    MissingControl
        The inverter has neither model 123 nor 704, or does not tell its rating.
    """
    if power_kw is None:
        if 123 in models:
            return Command([{"123.WMaxLim_Ena": 0}], renew=False)
        if 704 in models:
            return Command([{"704.WMaxLimPctEna": 0}], renew=False)
        raise MissingControl(
            f"{where} has neither model 123 nor 704, so it cannot be limited; use another unit"
        )
    if not rating_kw or not {123, 704} & set(models):
        raise MissingControl(f"{where} tells no rating or has no model 123 or 704; it cannot be limited")
    percent = 100.0 * min(max(power_kw / rating_kw, 0.0), 1.0)
    seconds = math.ceil(valid_s)
    if 123 in models:
        block: dict[str, float] = {
            "123.WMaxLimPct": percent,
            "123.WMaxLimPct_WinTms": 0,
            "123.WMaxLimPct_RvrtTms": min(seconds, _LONGEST_UINT16_S),
            "123.WMaxLimPct_RmpTms": 0,
            "123.WMaxLim_Ena": 1,
        }
        return Command([block], frozenset(name for name in block if name.endswith("Tms")))
    return Command(
        [{"704.WMaxLimPctRvrtTms": seconds}, {"704.WMaxLimPctEna": 1, "704.WMaxLimPct": percent}],
        frozenset({"704.WMaxLimPctRvrtTms"}),
    )


def battery_power(
    models: Collection[int],
    charge_max_kw: float | None,
    discharge_max_kw: float | None,
    power_kw: float | None,
    valid_s: float,
    where: str,
) -> Command:
    """Registers that set a battery's power.

    Parameters
    ----------
    models
        SunSpec models of the inverter.
    charge_max_kw, discharge_max_kw
        Powers that count as 100 % in model 124 [kW].
    power_kw
        Power [kW], + discharges, or ``None`` to give control back.
    valid_s
        Seconds after which the set-point falls away by itself; 0 means never.
    where
        Name of the device for the error.

    Raises
    ------
    MissingControl
        The inverter has neither model 704 nor 124, or does not tell its ratings.
    """
    seconds = math.ceil(valid_s)
    if 704 in models:
        if power_kw is None:
            return Command([{"704.WSetEna": 0}], renew=False)
        block = {"704.WSetEna": 1.0, "704.WSetMod": _WATTS, "704.WSet": 1e3 * power_kw}
        return Command([{"704.WSetRvrtTms": seconds}, block], frozenset({"704.WSetRvrtTms"}))
    if 124 not in models or not charge_max_kw or not discharge_max_kw:
        raise MissingControl(f"{where} has no model 704 nor 124 with ratings; its battery cannot be set")
    if power_kw is None:
        return Command([{"124.StorCtl_Mod": 0}], renew=False)
    band = {
        "124.OutWRte": 100.0 * power_kw / discharge_max_kw,
        "124.InWRte": -100.0 * power_kw / charge_max_kw,
        "124.InOutWRte_WinTms": 0,
        "124.InOutWRte_RvrtTms": min(seconds, _LONGEST_UINT16_S),
        "124.InOutWRte_RmpTms": 0,
    }
    return Command(
        [band, {"124.StorCtl_Mod": _BOTH_EDGES}], frozenset(name for name in band if name.endswith("Tms"))
    )
