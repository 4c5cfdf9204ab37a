"""What members say in rounds of bidding, checked: their ranges, then their bids at announced prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from broker.messages import Opening, OpeningBatch
from broker.messages.batches import check_prosumers
from market.model.arrays import Bools, Floats, Ints
from market.participants.batches import read_values

SLACK_KW = 1e-6
"""An intercept carries rounding of price times sensitivity: an answer may be this far out of its range."""


@dataclass(frozen=True)
class BidRanges:
    """What ``m`` prosumers can trade at any price.

    Attributes
    ----------
    prosumer
        Prosumer indices, ``(m,)``.
    low_kw, high_kw
        Least and largest trades, ``(m,)`` [kW].
    reactive_kvar
        Expected reactive power, ``(m,)`` [kvar].
    valid
        Ranges that passed their checks, ``(m,)``.
    """

    prosumer: Ints
    low_kw: Floats
    high_kw: Floats
    reactive_kvar: Floats
    valid: Bools


@dataclass(frozen=True)
class RoundAnswers:
    """Valid answers of ``m`` members at the prices of a round.

    Attributes
    ----------
    place
        Indices into the host's members, ``(m,)``.
    kw, slope
        Trades [kW] and how steeply they fall with the price [kW per $/kWh], ``(m,)``.
    """

    place: Ints
    kw: Floats
    slope: Floats


def read_range(message: Opening, member: int, rating_kw: float) -> BidRanges:
    """Range of one prosumer.

    Raises
    ------
    ValueError
        Its ends are in the wrong order, or it is beyond the connection's rating.
    """
    found = _checked_ranges(
        np.array([member]),
        np.array([message.low_kw]),
        np.array([message.high_kw]),
        np.array([message.reactive_kvar]),
        np.array([rating_kw]),
    )
    if not found.valid[0]:
        raise ValueError(
            f"range {message.low_kw:g} to {message.high_kw:g} kW with {message.reactive_kvar:g} kvar must"
            f" ascend and be within the connection's rating of {rating_kw:g} kW"
        )
    return found


def read_ranges(batch: OpeningBatch, prosumer: Ints, rating_kw: Floats) -> BidRanges:
    """Ranges of a population host's prosumers, ``(m,)``; a wrong one is not ``valid``, and spoils no other.

    Raises
    ------
    ValueError
        The batch is about other prosumers, or a column has a wrong length.
    """
    check_prosumers(batch, prosumer)
    return _checked_ranges(
        prosumer,
        read_values(batch.low_kw, prosumer.size),
        read_values(batch.high_kw, prosumer.size),
        read_values(batch.reactive_kvar, prosumer.size),
        rating_kw,
    )


def _checked_ranges(
    prosumer: Ints, low_kw: Floats, high_kw: Floats, reactive_kvar: Floats, rating_kw: Floats
) -> BidRanges:
    # Comparisons are written so that NaN fails them.
    valid: Bools = (
        (low_kw <= high_kw)
        & (np.abs(low_kw) <= rating_kw)
        & (np.abs(high_kw) <= rating_kw)
        & (np.abs(reactive_kvar) <= rating_kw)
    )
    return BidRanges(prosumer, low_kw, high_kw, reactive_kvar, valid)


@dataclass(frozen=True)
class RoundRequest:
    """What a host's members are asked in the present round.

    Attributes
    ----------
    price
        Local price of each, ``(n,)`` [$/kWh]; NaN for a member that is not asked.
    sensitivity
        Slope ``a`` of each one's demand function, ``(n,)`` [kW per $/kWh].
    low_kw, high_kw
        Range of each one's trade, ``(n,)`` [kW].
    with_slope
        Whether bids hold a slope.
    """

    price: Floats
    sensitivity: Floats
    low_kw: Floats
    high_kw: Floats
    with_slope: bool

    def read(self, place: Ints, intercept_kw: Floats, slope: Floats) -> tuple[RoundAnswers, Bools]:
        """Check the bids of some members.

        Parameters
        ----------
        place
            Indices into the host's members, ``(m,)``.
        intercept_kw, slope
            Their bids, ``(m,)`` [kW, kW per $/kWh]; no slopes in plain bids.

        Returns
        -------
        answers
            What the valid bids say.
        valid
            Bids that are valid, ``(m,)``.

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
        # Comparisons are written so that NaN fails them.
        valid: Bools = (
            (kw >= self.low_kw[place] - SLACK_KW)
            & (kw <= self.high_kw[place] + SLACK_KW)
            & (slope >= 0.0)
            & np.isfinite(slope)
        )
        some = place[valid]
        kw = np.clip(kw[valid], self.low_kw[some], self.high_kw[some])
        return RoundAnswers(some, kw, slope[valid]), valid
