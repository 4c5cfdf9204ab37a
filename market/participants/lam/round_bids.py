"""What members say in rounds of bidding, checked: their ranges, then their bids at announced prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from broker.messages import Opening, OpeningBatch, columns
from market.model.arrays import Bools, Floats, Ints
from market.participants.lam.bid_book import numbers

SLACK_KW = 1e-6
"""An intercept carries rounding of price times sensitivity: an answer may be this far out of its range."""


@dataclass(frozen=True)
class Openings:
    """Ranges of ``m`` prosumers ``(m,)`` [kW], their reactive power [kvar], and whose are valid."""

    prosumer: Ints
    low_kw: Floats
    high_kw: Floats
    reactive_kvar: Floats
    valid: Bools


@dataclass(frozen=True)
class AnsweredBids:
    """Valid answers: places at the host ``(m,)``, powers [kW] and slopes [kW per $/kWh]."""

    place: Ints
    kw: Floats
    slope: Floats


def read_opening(opening: Opening, member: int, rating_kw: float) -> Openings:
    """Range of one prosumer; raises ``ValueError`` where it is none or beyond the connection's rating."""
    opened = _openings(
        np.array([member]),
        np.array([opening.low_kw]),
        np.array([opening.high_kw]),
        np.array([opening.reactive_kvar]),
        np.array([rating_kw]),
    )
    if not opened.valid[0]:
        raise ValueError(
            f"range {opening.low_kw:g} to {opening.high_kw:g} kW with {opening.reactive_kvar:g} kvar must"
            f" ascend and be within the connection's rating of {rating_kw:g} kW"
        )
    return opened


def read_openings(batch: OpeningBatch, prosumer: Ints, rating_kw: Floats) -> Openings:
    """Ranges of the prosumers that a batch must speak for, ``(m,)``; some may not be ``valid``."""
    if not np.array_equal(columns.unpack_index(batch.prosumer), prosumer):
        raise ValueError(f"{batch.sender} must bid for its own prosumers, all and in order")
    return _openings(
        prosumer,
        numbers(batch.low_kw, prosumer.size),
        numbers(batch.high_kw, prosumer.size),
        numbers(batch.reactive_kvar, prosumer.size),
        rating_kw,
    )


def _openings(
    prosumer: Ints, low_kw: Floats, high_kw: Floats, reactive_kvar: Floats, rating_kw: Floats
) -> Openings:
    # Written so that a value that is not a number fails, too.
    valid: Bools = (
        (low_kw <= high_kw)
        & (np.abs(low_kw) <= rating_kw)
        & (np.abs(high_kw) <= rating_kw)
        & (np.abs(reactive_kvar) <= rating_kw)
    )
    return Openings(prosumer, low_kw, high_kw, reactive_kvar, valid)


@dataclass(frozen=True)
class Asked:
    """What a host's members are asked in the present round.

    Attributes
    ----------
    price
        Local price of each, ``(n,)`` [$/kWh]; NaN for who is not asked.
    sensitivity
        Slope ``a`` of each one's demand function, ``(n,)`` [kW per $/kWh].
    low_kw, high_kw
        What each one said that it can trade, ``(n,)`` [kW].
    with_slope
        Whether bids tell their slope.
    """

    price: Floats
    sensitivity: Floats
    low_kw: Floats
    high_kw: Floats
    with_slope: bool

    def read(self, place: Ints, intercept_kw: Floats, slope: Floats) -> tuple[AnsweredBids, Bools]:
        """Answers of the members at ``place``, ``(m,)``: the valid ones, and which these are.

        Raises
        ------
        ValueError
            Columns do not fit each other or the form of bids.
        """
        if intercept_kw.size != place.size or slope.size != (place.size if self.with_slope else 0):
            form = "an intercept and a slope" if self.with_slope else "an intercept and no slope"
            raise ValueError(f"each bid of a round must have {form}")
        kw = intercept_kw - self.sensitivity[place] * self.price[place]
        slope = slope if self.with_slope else np.zeros(place.size)
        # Written so that a value that is not a number fails, too.
        valid: Bools = (
            (kw >= self.low_kw[place] - SLACK_KW)
            & (kw <= self.high_kw[place] + SLACK_KW)
            & (slope >= 0.0)
            & np.isfinite(slope)
        )
        some = place[valid]
        kw = np.clip(kw[valid], self.low_kw[some], self.high_kw[some])
        return AnsweredBids(some, kw, slope[valid]), valid
