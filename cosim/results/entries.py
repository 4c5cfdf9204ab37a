"""What the ledger is made of: accounts, kinds of entries, and the entries of one interval.

Every kind of every interval sums to exactly zero, in whole micro-dollars; ``check_booking`` sees to it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosim.scenario.arrays import Floats
from sharegrid.errors import SharegridError

Ints = npt.NDArray[np.int64]

KINDS = ("energy", "wholesale", "grid", "imbalance", "residual", "uplift", "utility")
ENERGY, WHOLESALE, GRID, IMBALANCE, RESIDUAL, UPLIFT, UTILITY = range(len(KINDS))
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
    lam_surplus
        What each LAM keeps, ``(M,)`` [$].
    wam_surplus_usd
        What the WAM keeps before uplift [$].
    uplift_usd
        What the utility adds where the WAM's surplus is negative [$].
    utility_usd
        What prosumers pay the utility beside the market, net [$].
    rounding_micro
        Net balance of the rounding account [µ$].
    rounded
        How many amounts were rounded, by kind; those that rounding made zero have no entry.
    """

    kind: npt.NDArray[np.int8]
    account: Ints
    micro: Ints
    energy_usd: float
    imbalance_usd: float
    residual_usd: float
    lam_surplus: Floats
    wam_surplus_usd: float
    uplift_usd: float
    utility_usd: float
    rounding_micro: int
    rounded: Ints

    @property
    def lam_surplus_usd(self) -> float:
        """What all LAMs keep together [$]."""
        return exact_sum(self.lam_surplus)

    def paid_usd(self, kind: int, accounts: int) -> Floats:
        """What each of the first accounts pays net by entries of a kind, ``(accounts,)`` [$, + paid]."""
        mine = (self.kind == kind) & (self.account < accounts)
        received = np.bincount(self.account[mine], self.micro[mine], minlength=accounts)
        return np.asarray(-received / MICRO, dtype=np.float64)

    @property
    def entries(self) -> int:
        """Number of entries; amounts that round to zero have none."""
        return int(self.micro.size)


def exact_sum(values: Floats) -> float:
    """Sum of an array, rounded once; of Python's own numbers, which it reads five times as fast."""
    return math.fsum(values.tolist())


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
        A kind does not sum to zero, rounding took more than 1 µ$ per amount, or the imbalance account's
        balance is another.
    """
    rounding = booking.account == imbalance_account + 1
    left = sums_by_kind(booking.kind[rounding], booking.micro[rounding])
    allowed = booking.rounded
    sums = sums_by_kind(booking.kind, booking.micro)
    for kind, name in enumerate(KINDS):
        if sums[kind]:
            raise LedgerError(
                f"{name}: the entries sum to {sums[kind]} µ$ instead of zero; nothing was booked"
            )
        if abs(left[kind]) > max(allowed[kind], 1):
            raise LedgerError(
                f"{name}: {left[kind]} µ$ are left over, more than rounding {allowed[kind]} amounts explains;"
                " the two sides of a payment differ"
            )
    balance = int(booking.micro[booking.account == imbalance_account].sum())
    expected = imbalance_usd * MICRO
    if not abs(balance - expected) <= 2.0 + 1e-9 * abs(expected):
        raise LedgerError(
            f"imbalance: the account's balance is {balance} µ$,"
            f" but deviations and the grid's residual give {expected:.1f} µ$"
        )


def to_micro(usd: npt.ArrayLike) -> Ints:
    """Whole micro-dollars."""
    return np.rint(np.asarray(usd, dtype=np.float64) * MICRO).astype(np.int64)


def sums_by_kind(kind: npt.NDArray[np.int8], micro: Ints) -> Ints:
    """Sum of the entries of each kind, in the order of ``KINDS`` [µ$]."""
    return np.array([micro[kind == each].sum() for each in range(len(KINDS))], dtype=np.int64)
