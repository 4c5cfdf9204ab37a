"""What an interval's payments are made from: what each side traded, and at which prices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from market.model.case import Grid


@dataclass(frozen=True, kw_only=True)
class ProsumerTrades:
    """What prosumers were allocated and what they used, ``(n,)`` each.

    Attributes
    ----------
    lam
        LAM of each prosumer, 0 to M-1.
    trade_kw, trade_price
        Allocated trade [kW, + bought] and what a buyer pays or a seller gets, fee included [$/kWh].
    metered_kwh
        Metered net import [kWh].
    short_price, long_price
        Price of imbalance where more, or less, was drawn than allocated [$/kWh].
    """

    lam: npt.ArrayLike
    trade_kw: npt.ArrayLike
    trade_price: npt.ArrayLike
    metered_kwh: npt.ArrayLike
    short_price: npt.ArrayLike
    long_price: npt.ArrayLike


@dataclass(frozen=True, kw_only=True)
class LamTrades:
    """What LAMs bought of the WAM, ``(M,)`` each.

    Attributes
    ----------
    net_kw, wam_price
        Net purchase [kW] and its price, fee included [$/kWh].
    alone
        Whether a LAM cleared without the WAM.
    """

    net_kw: npt.ArrayLike
    wam_price: npt.ArrayLike
    alone: npt.ArrayLike


@dataclass(frozen=True, kw_only=True)
class UtilityTrades:
    """What prosumers trade with the utility beside the market, where its rule lets them.

    Attributes
    ----------
    power_kw, price
        Allocated [kW, + bought], and what the utility asks or pays for it [$/kWh], ``(n,)`` each.
    charge, loss_charge
        What each kWh of it pays to the LAM, and what of that, for all that flows, is for losses, ``(M,)``
        each [$/kWh].
    """

    power_kw: npt.ArrayLike
    price: npt.ArrayLike
    charge: npt.ArrayLike
    loss_charge: npt.ArrayLike

    @classmethod
    def none(cls, prosumers: int, lams: int) -> UtilityTrades:
        """Nobody trades with it."""
        nobody, nothing = np.zeros(prosumers), np.zeros(lams)
        return cls(power_kw=nobody, price=nobody, charge=nothing, loss_charge=nothing)


@dataclass(frozen=True, kw_only=True)
class GridTrade:
    """Power at the feeder head as cleared and as measured [kW, + import], and the grid's prices [$/kWh]."""

    scheduled_kw: float
    actual_kw: float
    import_price: float
    export_price: float

    def cost_usd(self, power_kw: float, dt_h: float) -> float:
        """What the grid asks for a power over a time [h]."""
        prices = Grid(self.import_price, self.export_price, math.inf, math.inf)
        return prices.cost(power_kw) * dt_h

    @property
    def residual_kw(self) -> tuple[float, float]:
        """What was imported beyond the schedule, and exported beyond it [kW]."""
        imported = max(self.actual_kw, 0.0) - max(self.scheduled_kw, 0.0)
        exported = max(-self.actual_kw, 0.0) - max(-self.scheduled_kw, 0.0)
        return imported, exported
