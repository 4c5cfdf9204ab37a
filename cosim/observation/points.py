"""What is said on a run's bus as points in time, in the line protocol that time series databases read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from influxdb_client.client.write.point import Point

from broker.messages import (
    Done,
    Facts,
    FeederState,
    LamOutcome,
    Message,
    Settled,
    Telemetry,
    WamOutcome,
    columns,
)
from broker.messages.observer import RunFacts, unpacked_facts

_NS = 1_000_000_000
_OF_CLEARING = ("status", "energy_price", "grid_kw", "rounds", "linear_error_pu", "clear_s", "confirm_s")
_OF_FEEDER = ("solved", "source_kw", "source_kvar", "losses_kw", "tap_changes", "capacitor_switchings")
_OF_DEVICE = ("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh", "interval_kwh", "response_s", "quality")
_OF_SETTLED = (
    "import_price",
    "export_price",
    "bought_kwh",
    "traded_lam_kwh",
    "traded_wam_kwh",
    "imbalance_kwh",
    "grid_scheduled_kw",
    "grid_actual_kw",
    "made_kwh",
    "saving_usd",
    "cost_market",
    "cost_no_sharing",
    "cost_optimum",
    "efficiency",
    "certified",
)


class Points:
    """Points of a run's messages; those of an interval have the time at which it begins.

    Fields are named as the messages' own, with their units. Nothing is told before the run's facts are heard,
    for they say when intervals begin.

    Parameters
    ----------
    run
        Id of the run, a tag of all points.
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self._facts: RunFacts | None = None

    def lines(self, message: Message, name: str) -> list[str]:
        """Lines of a message, without ends; ``name`` is the last level of its topic."""
        if isinstance(message, Facts):
            self._facts = unpacked_facts(message.content)
            return []
        facts = self._facts
        if facts is None:
            return []
        at = int((facts.start + message.tick * facts.interval_s) * _NS)
        return [_line({**point, "time": at}) for point in self._points(message, name, facts)]

    def _points(self, message: Message, name: str, facts: RunFacts) -> Iterator[dict[str, Any]]:
        if isinstance(message, WamOutcome):
            yield from self._clearing(message, facts)
        elif isinstance(message, LamOutcome):
            prices = columns.unpack(message.price)
            for lam, price in zip(columns.unpack_index(message.lam), prices, strict=True):
                yield self._point("lam", {"price": float(price)}, {"lam": facts.lams[lam]})
        elif isinstance(message, FeederState):
            yield self._feeder(message)
            for lam, v_pu in zip(facts.lams, columns.unpack(message.lam_v_pu), strict=False):
                if v_pu > 0.0:
                    yield self._point("lam", {"v_pu": float(v_pu)}, {"lam": lam})
        elif isinstance(message, Telemetry) and message.phase == "meter":
            yield self._point("device", _picked(message, _OF_DEVICE), {"prosumer": name})
        elif isinstance(message, Settled):
            yield self._point("settled", _picked(message, _OF_SETTLED))
        elif isinstance(message, Done):
            for number, flag in enumerate(message.flags):
                tags = {"source": message.sender, "step": message.step, "number": str(number)}
                yield self._point("flag", {"text": flag}, tags)

    def _clearing(self, outcome: WamOutcome, facts: RunFacts) -> Iterator[dict[str, Any]]:
        yield self._point("clearing", _picked(outcome, _OF_CLEARING), violations=outcome.broken)
        names = ("net_kw", "wam_price", "loss", "voltage", "congestion")
        parts = (outcome.net_kw, outcome.price, outcome.loss, outcome.voltage, outcome.congestion)
        for lam, values in zip(facts.lams, zip(*parts, strict=True), strict=True):
            yield self._point("lam", dict(zip(names, values, strict=True)), {"lam": lam})

    def _feeder(self, state: FeederState) -> dict[str, Any]:
        """A feeder's state; nodes without source have no voltage."""
        v_pu, loading = columns.unpack(state.v_pu), columns.unpack(state.loading)
        fed = v_pu[v_pu > 0.0]
        found = _picked(state, _OF_FEEDER)
        if fed.size:
            found |= {"v_min_pu": float(fed.min()), "v_max_pu": float(fed.max())}
        if loading.size and np.isfinite(loading).any():
            found["max_loading"] = float(np.nanmax(loading))
        return self._point("feeder", found, violations=state.broken, unserved=len(state.unserved))

    def _point(
        self, what: str, fields: Mapping[str, Any], tags: Mapping[str, str] | None = None, **counts: int
    ) -> dict[str, Any]:
        # A field has one type for good, and whole numbers would make it that of integers.
        values = {
            name: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
            for name, value in {**fields, **counts}.items()
        }
        return {
            "measurement": f"sharegrid_{what}",
            "tags": {"run": self._run, **(tags or {})},
            "fields": values,
        }


def _picked(message: Message, names: tuple[str, ...]) -> dict[str, Any]:
    """Fields of a message that are there."""
    return {name: value for name in names if (value := getattr(message, name)) is not None}


def _line(point: dict[str, Any]) -> str:
    """Line of a point; its time is in ns."""
    return str(Point.from_dict(point).to_line_protocol())
