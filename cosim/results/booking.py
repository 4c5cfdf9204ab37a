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

from cosim.errors import SharegridError
from market.case import Grid
from market.settlement import imbalance_payment

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS = ("energy", "wholesale", "grid", "imbalance", "residual", "uplift")
ENERGY, WHOLESALE, GRID, IMBALANCE, RESIDUAL, UPLIFT = range(len(KINDS))
COMMON_ACCOUNTS = ("wam", "grid", "utility", "imbalance", "rounding")
MICRO = 1_000_000


class LedgerError(SharegridError):
    """The ledger's file cannot be used, or what should be booked does not add up."""


def account_names(prosumers: Sequence[str], lams: Sequence[str]) -> tuple[str, ...]:
    """Accounts in the order that ``book_interval`` numbers them.

    Parameters
    ----------
    prosumers, lams
        Names of the ``n`` prosumers and the ``M`` LAMs.

    Returns
    -------
    tuple of str
        ``prosumer/NAME`` (0 to n-1), ``lam/NAME`` (n to n+M-1), then ``wam``, ``grid``, ``utility``,
        ``imbalance`` and ``rounding``.
    """
    return (*(f"prosumer/{name}" for name in prosumers), *(f"lam/{name}" for name in lams), *COMMON_ACCOUNTS)


@dataclass(frozen=True)
class Booking:
    """Entries of one interval, and its totals.

    Attributes
    ----------
    kind, account, micro
        One entry each, ``(entries,)``: index into ``KINDS``, account number, amount [µ$], + received.
    energy_usd
        What prosumers pay their LAMs for traded energy, fees included, net [$].
    imbalance_usd
        What prosumers pay for metered minus allocated energy, net [$].
    residual_usd
        What the imbalance account pays the grid for the physical residual [$].
    lam_surplus_usd
        What all LAMs keep together [$].
    wam_surplus_usd
        What the WAM keeps before uplift [$].
    uplift_usd
        What the utility adds where the WAM's surplus is negative [$].
    rounding_micro
        Net balance of the rounding account [µ$].
    """

    kind: npt.NDArray[np.int8]
    account: Ints
    micro: Ints
    energy_usd: float
    imbalance_usd: float
    residual_usd: float
    lam_surplus_usd: float
    wam_surplus_usd: float
    uplift_usd: float
    rounding_micro: int

    @property
    def entries(self) -> int:
        """Number of entries; amounts that round to zero have none."""
        return int(self.micro.size)


def book_interval(
    *,
    dt_h: float,
    lam: npt.ArrayLike,
    trade_kw: npt.ArrayLike,
    trade_price: npt.ArrayLike,
    metered_kwh: npt.ArrayLike,
    short_price: npt.ArrayLike,
    long_price: npt.ArrayLike,
    net_kw: npt.ArrayLike,
    wam_price: npt.ArrayLike,
    alone: npt.ArrayLike,
    grid_scheduled_kw: float,
    grid_actual_kw: float,
    import_price: float,
    export_price: float,
) -> Booking:
    """Payments of one interval as double entries (market.md, sections 3 and 4).

    Prosumers pay their LAM, the LAM the WAM, the WAM the grid; a negative payment flows back. A LAM that
    cleared alone settles with the utility, and where all did, the utility also stands for the WAM
    towards the grid. The grid costs G(P) = import_price P⁺ - export_price P⁻.

    Parameters
    ----------
    dt_h
        Length of the interval [h].
    lam
        LAM of each prosumer, ``(n,)``, 0 to M-1.
    trade_kw, trade_price
        Allocated trade [kW, + bought] and what a buyer pays or a seller gets, fee included [$/kWh], ``(n,)``.
    metered_kwh
        Metered net import [kWh], ``(n,)``.
    short_price, long_price
        Price of imbalance where more, or less, was drawn than allocated [$/kWh], ``(n,)``.
    net_kw, wam_price
        Net purchase of each LAM [kW] and its price there, fee included [$/kWh], ``(M,)``.
    alone
        Whether a LAM cleared without the WAM, ``(M,)``.
    grid_scheduled_kw, grid_actual_kw
        Power at the feeder head as cleared and as measured [kW, + import].
    import_price, export_price
        The grid's prices [$/kWh].

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
        "prosumer",
        trade_kw=trade_kw,
        trade_price=trade_price,
        metered_kwh=metered_kwh,
        short_price=short_price,
        long_price=long_price,
    )
    net_kw, wam_price = _columns("LAM", net_kw=net_kw, wam_price=wam_price)
    for name, number in (
        ("dt_h", dt_h),
        ("grid_scheduled_kw", grid_scheduled_kw),
        ("grid_actual_kw", grid_actual_kw),
        ("import_price", import_price),
        ("export_price", export_price),
    ):
        if not math.isfinite(number):
            raise LedgerError(f"{name} is {number}: nothing can be booked without a finite number")
    n, m = trade_kw.size, net_kw.size
    lam = np.asarray(lam, dtype=np.intp)
    alone = np.asarray(alone, dtype=bool)
    if lam.shape != (n,) or alone.shape != (m,) or (n and not 0 <= lam.min() <= lam.max() < m):
        raise LedgerError(
            f"lam must hold one of {m} LAMs for each of {n} prosumers, and alone one flag per LAM"
        )

    prosumers, lams = np.arange(n), n + np.arange(m)
    wam, grid, utility, imbalance, rounding = n + m + np.arange(5)
    operator = utility if alone.all() else wam

    energy = trade_price * trade_kw * dt_h
    energy_of_lam = np.bincount(lam, weights=energy, minlength=m)
    wholesale = wam_price * net_kw * dt_h
    deviation = metered_kwh - trade_kw * dt_h
    deviation_payment = imbalance_payment(deviation, short_price, long_price)
    grid_prices = Grid(import_price, export_price, math.inf, math.inf)
    scheduled = grid_prices.cost(grid_scheduled_kw) * dt_h
    residual = grid_prices.cost(grid_actual_kw) * dt_h - scheduled

    wholesale_micro = _micro([math.fsum(wholesale[~alone]), math.fsum(wholesale[alone])])
    scheduled_micro = _micro([scheduled])
    surplus_micro = int(wholesale_micro[0] - (scheduled_micro[0] if operator == wam else 0))
    uplift_micro = np.array([max(0, -surplus_micro)])

    legs = [
        (ENERGY, prosumers, -_micro(energy)),
        (ENERGY, lams, _micro(energy_of_lam)),
        (WHOLESALE, lams, -_micro(wholesale)),
        (WHOLESALE, np.array([wam, utility]), wholesale_micro),
        (GRID, np.array([operator]), -scheduled_micro),
        (GRID, np.array([grid]), scheduled_micro),
        (IMBALANCE, prosumers, -_micro(deviation_payment)),
        (IMBALANCE, np.array([imbalance]), _micro([math.fsum(deviation_payment)])),
        (RESIDUAL, np.array([imbalance]), -_micro([residual])),
        (RESIDUAL, np.array([grid]), _micro([residual])),
        (UPLIFT, np.array([utility]), -uplift_micro),
        (UPLIFT, np.array([wam]), uplift_micro),
    ]
    kind = np.concatenate([np.full(account.size, kind, dtype=np.int8) for kind, account, _ in legs])
    account = np.concatenate([account for _, account, _ in legs])
    micro = np.concatenate([amount for _, _, amount in legs])

    leftover = -_sums(kind, micro)
    stored = micro != 0
    left = np.flatnonzero(leftover)
    booking = Booking(
        kind=np.concatenate([kind[stored], left.astype(np.int8)]),
        account=np.concatenate([account[stored], np.full(left.size, rounding)]),
        micro=np.concatenate([micro[stored], leftover[left]]),
        energy_usd=math.fsum(energy),
        imbalance_usd=math.fsum(deviation_payment),
        residual_usd=residual,
        lam_surplus_usd=math.fsum(energy_of_lam) - math.fsum(wholesale),
        wam_surplus_usd=surplus_micro / MICRO,
        uplift_usd=int(uplift_micro[0]) / MICRO,
        rounding_micro=int(leftover.sum()),
    )
    short_kwh, long_kwh = np.maximum(deviation, 0.0), np.minimum(deviation, 0.0)
    bought = max(grid_actual_kw, 0.0) - max(grid_scheduled_kw, 0.0)
    sold = max(-grid_actual_kw, 0.0) - max(-grid_scheduled_kw, 0.0)
    check_booking(
        booking,
        imbalance_account=int(imbalance),
        imbalance_usd=float(short_price @ short_kwh + long_price @ long_kwh)
        - (import_price * bought - export_price * sold) * dt_h,
    )
    return booking


def check_booking(booking: Booking, *, imbalance_account: int, imbalance_usd: float) -> None:
    """Compare a booking with what must hold of it.

    Parameters
    ----------
    booking
        The entries.
    imbalance_account
        Number of the imbalance account; the rounding account is the next one.
    imbalance_usd
        Balance that the imbalance account must have by an independent computation [$].

    Raises
    ------
    LedgerError
        A kind does not sum to zero, rounding took more than 1 µ$ per entry, or the imbalance account's
        balance is another.
    """
    rounding = booking.account == imbalance_account + 1
    left = _sums(booking.kind[rounding], booking.micro[rounding])
    allowed = np.bincount(booking.kind[~rounding], minlength=len(KINDS))
    sums = _sums(booking.kind, booking.micro)
    for kind, name in enumerate(KINDS):
        if sums[kind]:
            raise LedgerError(
                f"{name}: the entries sum to {sums[kind]} µ$ instead of zero; nothing was booked"
            )
        if abs(left[kind]) > max(allowed[kind], 1):
            raise LedgerError(
                f"{name}: {left[kind]} µ$ are left over, more than rounding {allowed[kind]} entries explains;"
                " the two sides of a payment differ"
            )
    balance = int(booking.micro[booking.account == imbalance_account].sum())
    expected = imbalance_usd * MICRO
    if not abs(balance - expected) <= 2.0 + 1e-9 * abs(expected):
        raise LedgerError(
            f"imbalance: the account's balance is {balance} µ$,"
            f" but deviations and the grid's residual give {expected:.1f} µ$"
        )


def _micro(usd: npt.ArrayLike) -> Ints:
    return np.rint(np.asarray(usd, dtype=np.float64) * MICRO).astype(np.int64)


def _sums(kind: npt.NDArray[np.int8], micro: Ints) -> Ints:
    return np.array([micro[kind == each].sum() for each in range(len(KINDS))], dtype=np.int64)


def _columns(party: str, **columns: npt.ArrayLike) -> list[Floats]:
    arrays = [np.asarray(column, dtype=np.float64) for column in columns.values()]
    for name, array in zip(columns, arrays, strict=True):
        if array.shape != arrays[0].shape or array.ndim != 1:
            raise LedgerError(f"{name} has shape {array.shape}: it must hold one value per {party}")
        finite = np.isfinite(array)
        if not finite.all():
            at = int(np.argmin(finite))
            raise LedgerError(f"{name}[{at}] is {array[at]}: nothing can be booked without a finite number")
    return arrays
