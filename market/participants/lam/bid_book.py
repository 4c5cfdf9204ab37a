"""Who sits in a LAM host's LAMs, and their bids of one interval, checked and set out one per member."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from broker.messages import BidBatch, CurveBid, MeteredBatch, columns
from market.model.arrays import Bools, Floats, Ints
from market.model.curves import Curves, join, take
from market.participants.roster import Roster


@dataclass(frozen=True)
class Seats:
    """Members of a LAM host's LAMs, and what stands in for one that does not bid.

    Attributes
    ----------
    lams
        Ints of the host's LAMs, ascending, ``(M,)``.
    names, members
        Names and prosumer indices of the members, ascending, ``(n,)``.
    group
        Position of each one's LAM in ``lams``, ``(n,)``.
    live
        Places of those who speak for themselves, by name.
    rating_kw
        What each one's connection carries, ``(n,)``.
    last_kw, last_kvar
        Last good metered power, ``(n,)``; written as meters report.
    """

    lams: Ints
    names: tuple[str, ...]
    members: Ints
    group: Ints
    live: dict[str, int]
    rating_kw: Floats
    last_kw: Floats
    last_kvar: Floats

    @classmethod
    def of(cls, roster: Roster, host: str) -> Seats:
        """Seats of an operator host at the beginning of a run."""
        lams = roster.lam_hosts[host]
        members = np.flatnonzero(np.isin(roster.lam, lams))
        names = tuple(roster.prosumers[member] for member in members)
        return cls(
            lams=lams,
            names=names,
            members=members,
            group=np.searchsorted(lams, roster.lam[members]),
            live={names[place]: int(place) for place in np.flatnonzero(roster.live[members])},
            rating_kw=roster.rating_kw[members],
            last_kw=np.zeros(members.size),
            last_kvar=np.zeros(members.size),
        )

    def total(self, values: Floats) -> Floats:
        """Sum of members' values by LAM, in members' order, ``(M,)``."""
        return np.asarray(np.bincount(self.group, values, minlength=self.lams.size), dtype=np.float64)

    def absent(self, heard: Bools) -> list[str]:
        """Names of those not heard."""
        return [self.names[place] for place in np.flatnonzero(~heard)]


@dataclass(frozen=True)
class Book:
    """The bids of a host's members in one interval.

    Attributes
    ----------
    curves
        One curve per member, in member order.
    reactive_kvar
        Expected reactive power of each member, ``(n,)``.
    heard
        Whether a member's own bid is in, ``(n,)``; the others are fixed at their last good metered power.
    """

    curves: Curves
    reactive_kvar: Floats
    heard: Bools


@dataclass(frozen=True)
class BatchBids:
    """Curves, prosumer indices and reactive power of a population host's ``m`` bids, and which are valid."""

    curves: Curves
    prosumer: Ints
    reactive_kvar: Floats
    valid: Bools


def gather(seats: Seats, live: Mapping[str, CurveBid], batches: Iterable[BatchBids]) -> Book:
    """One curve per member from single bids and batches that passed their checks."""
    n = seats.members.size
    pieces = [Curves(np.zeros(n), seats.last_kw.copy(), np.arange(n + 1))]
    source = np.arange(n)
    reactive = seats.last_kvar.copy()
    heard = np.zeros(n, dtype=bool)
    offset = n
    for batch in batches:
        mine = np.flatnonzero(batch.valid & np.isin(batch.prosumer, seats.members))
        places = np.searchsorted(seats.members, batch.prosumer[mine])
        pieces.append(batch.curves)
        source[places] = offset + mine
        reactive[places] = batch.reactive_kvar[mine]
        heard[places] = True
        offset += len(batch.curves)
    for place, name in enumerate(seats.names):
        bid = live.get(name)
        if bid is not None:
            pieces.append(Curves(np.array(bid.price), np.array(bid.kw), np.array([0, len(bid.price)])))
            source[place] = offset
            reactive[place] = bid.reactive_kvar
            heard[place] = True
            offset += 1
    return Book(take(join(pieces), source), reactive, heard)


def check_curve(price: Floats, kw: Floats, rating_kw: float) -> None:
    """Raise ``ValueError`` unless a bid is a non-increasing price response within the rating."""
    if price.size == 0 or price.size != kw.size:
        raise ValueError("prices and trades must be equally many, at least one")
    if not (np.isfinite(price).all() and np.isfinite(kw).all()):
        raise ValueError("a value is not finite")
    if (np.diff(price) < 0).any() or (np.diff(kw) > 0).any():
        raise ValueError("the curve is not monotone: prices ascend, trades do not increase")
    if (np.abs(kw) > rating_kw).any():
        raise ValueError(f"a trade is beyond the connection's rating of {rating_kw:g} kW")


def check_reactive(reactive_kvar: float, rating_kw: float) -> None:
    """Raise ``ValueError`` unless a bid's reactive power fits through its connection."""
    if not abs(reactive_kvar) <= rating_kw:
        raise ValueError(f"reactive power is beyond the connection's rating of {rating_kw:g} kW")


def read_batch(batch: BidBatch, prosumer: Ints, rating_kw: Floats) -> BatchBids:
    """Bids of a batch that must speak for the prosumers ``prosumer``, ``(m,)``, with their ratings.

    A single curve that is not a bid is left out by ``valid``; a batch that cannot be told apart into curves
    raises ``ValueError``.
    """
    if not np.array_equal(columns.unpack_index(batch.prosumer), prosumer):
        raise ValueError(f"{batch.sender} must bid for its own prosumers, all and in order")
    count = columns.unpack_index(batch.count)
    if count.size != prosumer.size or (count < 1).any():
        raise ValueError("every prosumer of a batch needs at least one vertex")
    start = np.concatenate([[0], np.cumsum(count)])
    price = numbers(batch.price, int(start[-1]))
    kw = numbers(batch.kw, int(start[-1]))
    reactive_kvar = numbers(batch.reactive_kvar, prosumer.size)
    # Written so that a value that is not a number fails, too, and spoils its own curve alone.
    right = np.isfinite(price) & (np.abs(kw) <= np.repeat(rating_kw, count))
    follows = (price[1:] >= price[:-1]) & (kw[1:] <= kw[:-1])
    follows[start[1:-1] - 1] = True
    right[1:] &= follows
    valid = np.logical_and.reduceat(right, start[:-1]) & (np.abs(reactive_kvar) <= rating_kw)
    return BatchBids(Curves(price, kw, start), prosumer, reactive_kvar, valid)


def read_metered(batch: MeteredBatch, prosumer: Ints) -> tuple[Floats, Floats]:
    """Energy [kWh] and reactive energy [kvarh] of the prosumers that a batch must speak for, ``(m,)`` each.

    Raises ``ValueError`` where it speaks for others, or a value is missing or not finite.
    """
    if not np.array_equal(columns.unpack_index(batch.prosumer), prosumer):
        raise ValueError(f"{batch.sender} must report its own prosumers, all and in order")
    return columns.unpack(batch.energy_kwh, prosumer.size), columns.unpack(
        batch.reactive_kvarh, prosumer.size
    )


def numbers(column: bytes, length: int) -> Floats:
    """Values of a column, finite or not; raises ``ValueError`` at a wrong length."""
    values = np.frombuffer(column, dtype="<f8").astype(np.float64)
    if values.size != length:
        raise ValueError(f"a column has {values.size} values where {length} belong")
    return values
