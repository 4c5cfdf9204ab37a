"""What a run tells a federation of each interval, by name and unit, from what is said on its bus."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from broker.messages import FeederState, LamOutcome, Message, Settled, WamOutcome, columns
from broker.topics import Topics


class Told(NamedTuple):
    """A kind of value: its name, of which things there is one each, its unit to HELICS, and what it is."""

    name: str
    per: str
    unit: str
    meaning: str


TOLD = (
    Told("head_kw", "", "kW", "power at the feeder head, mean of the interval, + import"),
    Told("head_kvar", "", "kVAR", "its reactive power"),
    Told("losses_kw", "", "kW", "losses of the feeder"),
    Told("v_pu", "node", "pu", "voltage with which the interval ends, as in `nodes.parquet`"),
    Told("metered_kw", "lam", "kW", "mean net power of the members of a LAM, as metered"),
    Told("cleared_kw", "lam", "kW", "net purchase of a LAM, as cleared"),
    Told("price", "lam", "$/kWh", "local price"),
    Told("wam_price", "lam", "$/kWh", "price (DLMP) at the LAM"),
    Told("energy_price", "", "$/kWh", "price at the feeder head"),
    Told("bought_kwh", "", "kWh", "bought by prosumers, from whomever"),
    Told("traded_lam_kwh", "", "kWh", "bought by members inside their own LAM"),
    Told("traded_wam_kwh", "", "kWh", "bought by LAMs from other LAMs"),
    Told("confirmed", "", "", "1 where AC power flow confirmed the clearing, else 0"),
)
"""One publication each, or one for each node or LAM, such as ``feeder/v_pu/83.1``."""

_OF_FEEDER = {"head_kw": "source_kw", "head_kvar": "source_kvar", "losses_kw": "losses_kw"}
_OF_SETTLED = ("bought_kwh", "traded_lam_kwh", "traded_wam_kwh")


def keys(nodes: Sequence[str], lams: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Key and unit of everything that is told."""
    things = {"": ("",), "node": nodes, "lam": lams}
    for told in TOLD:
        for thing in things[told.per]:
            yield f"{told.name}/{thing}" if thing else told.name, told.unit


class Figures:
    """Values of one interval by key, gathered from messages.

    Parameters
    ----------
    nodes, lams
        Names of the feeder's nodes and of the LAMs, in their order.
    """

    def __init__(self, nodes: Sequence[str], lams: Sequence[str]) -> None:
        self._nodes, self._lams = nodes, lams
        self._tick = -1
        self._values: dict[str, float] = {}
        self._heard: set[type[Message]] = set()

    @staticmethod
    def topics(topics: Topics) -> tuple[str, ...]:
        """What to listen to."""
        return topics.wam_outcome, topics.lam_outcome("+"), topics.feeder_state, topics.settled

    def take(self, message: Message) -> None:
        """Take in what is said of an interval; a later one begins anew."""
        if message.tick != self._tick:
            self._tick, self._values, self._heard = message.tick, {}, set()
        self._heard.add(type(message))
        self._values.update(self._of(message))

    def is_whole(self, tick: int) -> bool:
        """Whether the feeder's state and the settlement of an interval are heard, which come last."""
        return self._tick == tick and {FeederState, Settled} <= self._heard

    def values(self, tick: int) -> dict[str, float]:
        """What is known of an interval, by key; only numbers."""
        known = self._values if self._tick == tick else {}
        return {key: value for key, value in known.items() if math.isfinite(value)}

    def _of(self, message: Message) -> Iterator[tuple[str, float]]:
        if isinstance(message, WamOutcome):
            yield "energy_price", message.energy_price
            yield "confirmed", float(message.status == "confirmed")
            yield from self._by("cleared_kw", self._lams, message.net_kw)
            yield from self._by("wam_price", self._lams, message.price)
        elif isinstance(message, LamOutcome):
            names = [self._lams[place] for place in columns.unpack_index(message.lam)]
            yield from self._by("price", names, columns.unpack(message.price).tolist())
        elif isinstance(message, Settled):
            for name in _OF_SETTLED:
                yield name, getattr(message, name)
        elif isinstance(message, FeederState):
            yield from self._feeder(message)

    def _feeder(self, state: FeederState) -> Iterator[tuple[str, float]]:
        for key, name in _OF_FEEDER.items():
            if (value := getattr(state, name)) is not None:
                yield key, value
        yield from self._by("metered_kw", self._lams, columns.unpack(state.lam_kw).tolist())
        v_pu = columns.unpack(state.v_pu)
        # A node without source has no voltage, which is 0 to whoever is connected to it.
        yield from self._by("v_pu", self._nodes if v_pu.size else (), np.abs(v_pu).tolist())

    @staticmethod
    def _by(name: str, things: Sequence[str], values: Sequence[float]) -> Iterator[tuple[str, float]]:
        for thing, value in zip(things, values, strict=True):
            yield f"{name}/{thing}", value
