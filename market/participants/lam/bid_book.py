"""Curve bids of one interval: checked, and brought together as one curve per member."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import ge, le

import numpy as np

from broker.messages import BidBatch, CurveBid, columns
from broker.messages.batches import check_prosumers
from market.model.arrays import Bools, Floats, Ints
from market.model.curve_checks import check_curve, find_faults
from market.model.curves import Curves, join, starts, take
from market.participants.batches import read_values
from market.participants.lam.participants import Participants


@dataclass(frozen=True)
class BidBook:
    """The bids of a host's members in one interval.

    Attributes
    ----------
    curves
        One curve per member, in member order.
    reactive_kvar
        Expected reactive power of each member, ``(n,)`` [kvar].
    has_bid
        Members whose own bid is in, ``(n,)``; the others are fixed at their last good metered power.
    """

    curves: Curves
    reactive_kvar: Floats
    has_bid: Bools


@dataclass(frozen=True)
class BatchBids:
    """Bids of a population host.

    Attributes
    ----------
    curves
        ``m`` curves.
    prosumer
        Whose they are: prosumer indices, ``(m,)``.
    reactive_kvar
        Expected reactive power, ``(m,)`` [kvar].
    valid
        Bids that passed their checks, ``(m,)``.
    """

    curves: Curves
    prosumer: Ints
    reactive_kvar: Floats
    valid: Bools


def collect_bids(
    participants: Participants, live: Mapping[str, CurveBid], batches: Iterable[BatchBids]
) -> BidBook:
    """One curve per member, from single bids and from the valid ones of batches."""
    n = participants.members.size
    pieces = [Curves(np.zeros(n), participants.last_kw.copy(), np.arange(n + 1))]
    source = np.arange(n)
    reactive_kvar = participants.last_kvar.copy()
    has_bid = np.zeros(n, dtype=bool)
    offset = n
    for batch in batches:
        mine, places = participants.places_of(batch.prosumer)
        mine, places = mine[batch.valid[mine]], places[batch.valid[mine]]
        pieces.append(batch.curves)
        source[places] = offset + mine
        reactive_kvar[places] = batch.reactive_kvar[mine]
        has_bid[places] = True
        offset += len(batch.curves)
    bids = [(place, live[name]) for place, name in enumerate(participants.names) if name in live]
    if bids:
        places = np.array([place for place, _ in bids])
        pieces.append(
            Curves(
                np.fromiter(chain.from_iterable(bid.price for _, bid in bids), np.float64),
                np.fromiter(chain.from_iterable(bid.kw for _, bid in bids), np.float64),
                starts(np.array([len(bid.price) for _, bid in bids])),
            )
        )
        source[places] = offset + np.arange(places.size)
        reactive_kvar[places] = [bid.reactive_kvar for _, bid in bids]
        has_bid[places] = True
    return BidBook(take(join(pieces), source), reactive_kvar, has_bid)


def check_bid(bid: CurveBid, rating_kw: float) -> None:
    """Refuse a bid that is no curve, or does not fit through its prosumer's connection.

    Raises
    ------
    ValueError
        Says what is wrong.
    """
    if not _is_curve(bid.price, bid.kw, rating_kw):
        check_curve(np.array(bid.price), np.array(bid.kw), rating_kw)
    if not abs(bid.reactive_kvar) <= rating_kw:
        raise ValueError(f"reactive power is beyond the connection's rating of {rating_kw:g} kW")


def _is_curve(price: Sequence[float], kw: Sequence[float], rating_kw: float) -> bool:
    """Whether a few vertices are a curve within a rating; quick, where `check_curve` tells what is wrong."""
    return (
        0 < len(price) == len(kw)
        and all(map(le, price, price[1:]))
        and all(map(ge, kw, kw[1:]))
        and all(map(math.isfinite, (price[0], price[-1], kw[0], kw[-1])))
        and kw[0] <= rating_kw
        and kw[-1] >= -rating_kw
    )


def read_batch(batch: BidBatch, prosumer: Ints, rating_kw: Floats) -> BatchBids:
    """Bids of a population host; a single bid that is wrong is not ``valid``, and spoils no other.

    Parameters
    ----------
    prosumer, rating_kw
        The sender's prosumers: indices, and the largest trade of each one's connection, ``(m,)`` [kW].

    Raises
    ------
    ValueError
        The batch is about other prosumers, or cannot be divided into their curves.
    """
    check_prosumers(batch, prosumer)
    count = columns.unpack_index(batch.count)
    if count.size != prosumer.size or (count < 1).any():
        raise ValueError("every prosumer of a batch needs at least one vertex")
    start = starts(count)
    price, kw = read_values(batch.price, int(start[-1])), read_values(batch.kw, int(start[-1]))
    reactive_kvar = read_values(batch.reactive_kvar, prosumer.size)
    valid = find_faults(price, kw, start, rating_kw).none & (np.abs(reactive_kvar) <= rating_kw)
    return BatchBids(Curves(price, kw, start), prosumer, reactive_kvar, valid)
