"""What a LAM host shares out among its members: what was cleared, or what the tariffs leave it alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from broker.messages import Exchange, Step, WamOutcome
from broker.node import Node
from market.model.curves import Curves, Floats, respond, shift
from market.participants.lam.bid_book import Seats
from market.participants.roster import Roster, Terms
from market.rounds import Tally

UNHEARD_KW = 1e-6
"""The WAM's solver misses a LAM's limits by less than this where it heard the LAM's bid."""


@dataclass(frozen=True)
class Shares:
    """What a host's M LAMs and n members get.

    Attributes
    ----------
    net_kw, wam_price
        Net purchases [kW] and what they cost each LAM [$/kWh], ``(M,)``.
    price
        Local prices, ``(M,)`` [$/kWh].
    trade_kw
        Allocations, ``(n,)`` [kW].
    """

    net_kw: Floats
    wam_price: Floats
    price: Floats
    trade_kw: Floats


class Members(Protocol):
    """What a LAM host knows of its members, by one form of bids."""

    @property
    def missing(self) -> list[str]:
        """Members who are taken as inflexible in this interval, for nothing was heard of them."""
        ...

    @property
    def refused(self) -> list[str]:
        """Members whose bids were refused in this interval."""
        ...

    async def open(self, step: Step) -> None:
        """Gather what members say before the gate, and bid into the WAM."""
        ...

    async def talk(self, step: Step) -> None:
        """Answer the WAM's prices, round by round, until cancelled."""
        ...

    async def share(self, step: Step, outcome: WamOutcome | None) -> Shares:
        """Share out the WAM's outcome; without one, against the tariffs."""
        ...

    def talks(self) -> Exchange:
        """What the interval's exchange of bids took."""
        ...


def band(terms: Terms) -> tuple[float, float]:
    """Middle of the utility's tariffs and how far they are from it [$/kWh]: price and fee of who is alone."""
    tariff = terms.tariff
    return 0.5 * (tariff.retail + tariff.feed_in), 0.5 * (tariff.retail - tariff.feed_in)


def alone(values: Curves, terms: Terms) -> Floats:
    """Trade of each party that faces only the utility's tariffs, ``(n,)`` [kW] (market.md, section 4)."""
    middle, fee = band(terms)
    return respond(shift(values, 0.0, fee), np.full(len(values), middle))


def tariff_price(net_kw: Floats, terms: Terms) -> Floats:
    """What the utility asks of those who buy and pays to those who sell, ``(M,)`` [$/kWh]."""
    return np.where(net_kw > 0, terms.tariff.retail, terms.tariff.feed_in)


def absorbed(
    node: Node, roster: Roster, seats: Seats, outcome: WamOutcome, low_kw: Floats, high_kw: Floats
) -> Floats:
    """What the WAM cleared, as far as the members can take it; the rest is flagged, ``(M,)`` [kW].

    They cannot take it all where the WAM did not hear a LAM and put its last metered net load instead, or
    where no source feeds it; only the first is worth a flag.
    """
    net_kw = np.array(outcome.net_kw)[seats.lams]
    taken: Floats = np.clip(net_kw, low_kw, high_kw)
    for place in np.flatnonzero(np.abs(net_kw - taken) > UNHEARD_KW):
        if seats.lams[place] in outcome.unserved:
            continue
        node.flag(
            f"LAM {roster.lams[seats.lams[place]]} can take {taken[place]:.3f} kW"
            f" of the {net_kw[place]:.3f} kW that the WAM cleared for it"
        )
    return taken


def told(tally: Tally, rounds: int) -> Exchange:
    """A tally as it goes over the wire."""
    return Exchange(
        rounds=rounds,
        messages=tally.messages,
        bytes=tally.bytes,
        damped=tally.damped,
        accelerated=tally.accelerated,
    )
