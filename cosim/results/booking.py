"""Double-entry bookkeeping of one interval: from arrays of amounts to whole micro-dollars.

Each leg is computed on its own from the amounts and rounded on its own. What rounding leaves over
goes to an account of its own, by kind of leg, so that every kind of every interval sums to exactly
zero and the size of the leftover can be checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.results.entries import (
    COMMON_ACCOUNTS,
    ENERGY,
    GRID,
    IMBALANCE,
    KINDS,
    MICRO,
    RESIDUAL,
    UPLIFT,
    UTILITY,
    WHOLESALE,
    Booking,
    LedgerError,
    check_booking,
    exact_sum,
    sums_by_kind,
    to_micro,
)
from cosim.results.trades import GridTrade, LamTrades, ProsumerTrades, UtilityTrades
from cosim.scenario.arrays import Floats
from market.analysis.settlement import imbalance_payment


def book_interval(
    dt_h: float,
    prosumers: ProsumerTrades,
    lams: LamTrades,
    grid: GridTrade,
    utility: UtilityTrades | None = None,
) -> Booking:
    """Payments of one interval as double entries (market.md, sections 3 and 4).

    Prosumers pay their LAM, the LAM the WAM, the WAM the grid; a negative payment flows back. A LAM that
    cleared alone settles with the utility, and where all did, the utility also stands for the WAM towards the
    grid. What members trade with the utility besides they pay it, and what is charged for that their LAM; the
    WAM hands on what is for losses, and the utility pays the grid G(P) = import_price P⁺ - export_price P⁻.

    Parameters
    ----------
    dt_h
        Length of the interval [h].
    prosumers, lams, grid, utility
        What each side traded, and at which prices; without ``utility`` the WAM pays the grid.

    Returns
    -------
    Booking
        Entries that sum to zero for every kind.

    Raises
    ------
    LedgerError
        A value is not finite, a shape does not fit, or the sums do not come out as computed independently.
    """
    trade_kw, trade_price, metered_kwh, short_price, long_price = _columns(
        prosumers, "prosumer", ("trade_kw", "trade_price", "metered_kwh", "short_price", "long_price")
    )
    net_kw, wam_price = _columns(lams, "LAM", ("net_kw", "wam_price"))
    through_utility = utility is not None
    utility = utility or UtilityTrades.none(trade_kw.size, net_kw.size)
    utility_kw, utility_price = _columns(utility, "prosumer", ("power_kw", "price"))
    charge, loss_charge = _columns(utility, "LAM", ("charge", "loss_charge"))
    _check_numbers(dt_h=dt_h, **{f"grid {name}": value for name, value in vars(grid).items()})
    lam, alone = _groups(prosumers.lam, lams.alone, trade_kw.size, net_kw.size)

    energy = (trade_price * trade_kw + charge[lam] * utility_kw) * dt_h
    bought_kw = np.bincount(lam, weights=utility_kw, minlength=net_kw.size)
    deviation = metered_kwh - (trade_kw + utility_kw) * dt_h
    scheduled = grid.cost_usd(grid.scheduled_kw, dt_h)
    booking = _booked(
        _Amounts(
            energy=energy,
            energy_of_lam=np.bincount(lam, weights=energy, minlength=net_kw.size).astype(np.float64),
            wholesale=(wam_price * net_kw + charge * bought_kw) * dt_h,
            losses=float(loss_charge @ (net_kw + bought_kw)) * dt_h,
            utility=utility_price * utility_kw * dt_h,
            through_utility=through_utility,
            deviation=imbalance_payment(deviation, short_price, long_price),
            scheduled=scheduled,
            residual=grid.cost_usd(grid.actual_kw, dt_h) - scheduled,
            alone=alone,
        )
    )
    short_kwh, long_kwh = np.maximum(deviation, 0.0), np.minimum(deviation, 0.0)
    imported_kw, exported_kw = grid.residual_kw
    check_booking(
        booking,
        imbalance_account=trade_kw.size + net_kw.size + COMMON_ACCOUNTS.index("imbalance"),
        imbalance_usd=float(short_price @ short_kwh + long_price @ long_kwh)
        - (grid.import_price * imported_kw - grid.export_price * exported_kw) * dt_h,
    )
    return booking


@dataclass(frozen=True)
class _Amounts:
    """Payments of an interval before rounding [$], positive when paid by who is named first.

    Attributes
    ----------
    energy, deviation
        Prosumers to their LAMs, and to the imbalance account, ``(n,)`` each.
    energy_of_lam, wholesale
        What LAMs receive of their members, and pay to the WAM or the utility, ``(M,)`` each.
    losses
        The WAM to the utility.
    utility
        Prosumers to the utility, ``(n,)``.
    through_utility
        Whether the utility pays the grid.
    scheduled, residual
        The WAM or the utility, and the imbalance account, to the grid.
    alone
        Whether a LAM cleared without the WAM, ``(M,)``.
    """

    energy: Floats
    energy_of_lam: Floats
    wholesale: Floats
    deviation: Floats
    losses: float
    utility: Floats
    through_utility: bool
    scheduled: float
    residual: float
    alone: npt.NDArray[np.bool_]


def _booked(amounts: _Amounts) -> Booking:
    """Entries of an interval: every leg rounded on its own, and what that leaves to the rounding account."""
    n, m = amounts.energy.size, amounts.wholesale.size
    prosumers, lams = np.arange(n), n + np.arange(m)
    wam, grid, utility, imbalance, rounding = n + m + np.arange(len(COMMON_ACCOUNTS))
    operator = utility if amounts.through_utility or amounts.alone.all() else wam

    wholesale, alone = amounts.wholesale, amounts.alone
    losses = amounts.losses
    energy_usd, imbalance_usd, utility_usd = map(
        exact_sum, (amounts.energy, amounts.deviation, amounts.utility)
    )
    wholesale_micro = to_micro([exact_sum(wholesale[~alone]) - losses, exact_sum(wholesale[alone]) + losses])
    scheduled_micro, residual_micro = to_micro([amounts.scheduled]), to_micro([amounts.residual])
    surplus_micro = int(wholesale_micro[0] - (scheduled_micro[0] if operator == wam else 0))
    uplift_micro = np.array([max(0, -surplus_micro)])

    legs = [
        (ENERGY, prosumers, -to_micro(amounts.energy)),
        (ENERGY, lams, to_micro(amounts.energy_of_lam)),
        (WHOLESALE, lams, -to_micro(wholesale)),
        (WHOLESALE, np.array([wam, utility]), wholesale_micro),
        (GRID, np.array([operator]), -scheduled_micro),
        (GRID, np.array([grid]), scheduled_micro),
        (IMBALANCE, prosumers, -to_micro(amounts.deviation)),
        (IMBALANCE, np.array([imbalance]), to_micro([imbalance_usd])),
        (RESIDUAL, np.array([imbalance]), -residual_micro),
        (RESIDUAL, np.array([grid]), residual_micro),
        (UPLIFT, np.array([utility]), -uplift_micro),
        (UPLIFT, np.array([wam]), uplift_micro),
        (UTILITY, prosumers, -to_micro(amounts.utility)),
        (UTILITY, np.array([utility]), to_micro([utility_usd])),
    ]
    kind = np.concatenate([np.full(account.size, kind, dtype=np.int8) for kind, account, _ in legs])
    account = np.concatenate([account for _, account, _ in legs])
    micro = np.concatenate([amount for _, _, amount in legs])

    leftover = -sums_by_kind(kind, micro)
    stored, left = micro != 0, np.flatnonzero(leftover)
    return Booking(
        kind=np.concatenate([kind[stored], left.astype(np.int8)]),
        account=np.concatenate([account[stored], np.full(left.size, rounding)]),
        micro=np.concatenate([micro[stored], leftover[left]]),
        energy_usd=energy_usd,
        imbalance_usd=imbalance_usd,
        residual_usd=amounts.residual,
        lam_surplus=amounts.energy_of_lam - wholesale,
        wam_surplus_usd=surplus_micro / MICRO,
        uplift_usd=int(uplift_micro[0]) / MICRO,
        utility_usd=utility_usd,
        rounding_micro=int(leftover.sum()),
        rounded=np.bincount(kind, minlength=len(KINDS)),
    )


def _check_numbers(**numbers: float) -> None:
    for name, number in numbers.items():
        if not math.isfinite(number):
            raise LedgerError(f"{name} is {number}: nothing can be booked without a finite number")


def _groups(
    lam: npt.ArrayLike, alone: npt.ArrayLike, prosumers: int, lams: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """LAM of each prosumer and flag of each LAM as arrays; raises ``LedgerError`` where they do not fit."""
    lam_of, is_alone = np.asarray(lam, dtype=np.intp), np.asarray(alone, dtype=bool)
    fits = lam_of.shape == (prosumers,) and is_alone.shape == (lams,)
    if not fits or (prosumers and not 0 <= lam_of.min() <= lam_of.max() < lams):
        raise LedgerError(
            f"lam must hold one of {lams} LAMs for each of {prosumers} prosumers, and alone one flag per LAM"
        )
    return lam_of, is_alone


def _columns(
    trades: ProsumerTrades | LamTrades | UtilityTrades, party: str, names: Sequence[str]
) -> list[Floats]:
    """Columns of trades as arrays of one length; raises ``LedgerError`` where they are not, or not finite."""
    arrays = [np.asarray(getattr(trades, name), dtype=np.float64) for name in names]
    for name, array in zip(names, arrays, strict=True):
        if array.shape != arrays[0].shape or array.ndim != 1:
            raise LedgerError(f"{name} has shape {array.shape}: it must hold one value per {party}")
        finite = np.isfinite(array)
        if not finite.all():
            at = int(np.argmin(finite))
            raise LedgerError(f"{name}[{at}] is {array[at]}: nothing can be booked without a finite number")
    return arrays
