"""How each kind of message travels: on which topic, from whom to whom.

The documents are made from this, and receivers refuse a kind on a topic that is not its own.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass

from broker import messages
from broker.client.filters import matches
from broker.topics import Topics


@dataclass(frozen=True)
class Route:
    """How a kind travels: a topic of ``Topics`` with its levels, sender, receivers and QoS."""

    topic: str
    levels: tuple[str, ...]
    sender: str
    receivers: str
    qos: int = 1
    retained: bool = False


ROUTES = {
    "step": Route("step", (), "clock", "every service"),
    "done": Route("done", ("service",), "services that the clock waits for", "clock, recorder"),
    "availability": Route(
        "availability", ("service",), "every service; the broker as its last will", "clock", retained=True
    ),
    "telemetry": Route(
        "telemetry",
        ("phase", "prosumer"),
        "gateway",
        "live host (measure); LAM host of the prosumer, feeder (meter); recorder",
        qos=0,
    ),
    "bid": Route("bid", ("lam", "prosumer"), "live host", "LAM host of the LAM"),
    "bid-batch": Route("bid_batch", ("host",), "population host", "LAM hosts"),
    "lam-bid": Route("lam_bid", ("lam",), "LAM host of the LAM", "WAM"),
    "opening": Route("opening", ("lam", "prosumer"), "live host", "LAM host of the LAM"),
    "opening-batch": Route("opening_batch", ("host",), "population host", "LAM hosts"),
    "lam-opening": Route("lam_opening", ("lam-host",), "LAM host", "WAM"),
    "wam-price": Route("wam_price", (), "WAM", "LAM hosts"),
    "lam-price": Route("lam_price", ("lam-host",), "LAM host", "population hosts, live host"),
    "round-bid": Route("round_bid", ("lam", "prosumer"), "live host", "LAM host of the LAM"),
    "round-bid-batch": Route("round_bid_batch", ("lam-host", "host"), "population host", "LAM host"),
    "lam-round-bid": Route("lam_round_bid", ("lam-host",), "LAM host", "WAM"),
    "feeder-request": Route("feeder_request", (), "WAM", "feeder"),
    "feeder-reply": Route("feeder_reply", (), "feeder", "WAM, auditor, recorder"),
    "feeder-state": Route("feeder_state", (), "feeder", "WAM, device host, recorder"),
    "wam-outcome": Route("wam_outcome", (), "WAM", "LAM hosts, auditor, recorder"),
    "lam-outcome": Route("lam_outcome", ("host",), "LAM host", "auditor, recorder"),
    "award": Route("award", ("lam", "prosumer"), "LAM host of the LAM", "live host"),
    "award-batch": Route("award_batch", ("lam-host", "host"), "LAM host", "population host"),
    "set-point": Route("set_point", ("prosumer",), "live host", "gateway, recorder"),
    "acknowledgement": Route("acknowledgement", ("prosumer",), "gateway", "recorder"),
    "stop": Route("stop", ("sender",), "clock, gateway, or `sharegrid stop`", "gateway", retained=True),
    "stopped": Route("stopped", ("gateway",), "gateway", "recorder, `sharegrid stop`"),
    "metered": Route("metered", ("host",), "population host", "feeder, LAM hosts, recorder"),
    "truth": Route("truth", ("host",), "device hosts with faults planned", "recorder"),
    "position": Route("position", ("host",), "population host, live host", "auditor"),
    "audit": Route("audit", (), "auditor", "recorder"),
    "rejected": Route("rejected", ("service",), "service that refused", "recorder"),
}


def topic_of(route: Route, run: str = "{run}", level: str = "{{{}}}") -> str:
    """Topic of a route below the run's root, with its variable levels in braces, or as ``level`` has them."""
    topics = Topics(run)
    member = getattr(topics, route.topic)
    text: str = member(*(level.format(each) for each in route.levels)) if route.levels else member
    return text.removeprefix(f"{topics.root}/")


_KINDS = {str(kind.__struct_config__.tag): kind for kind in typing.get_args(messages.AnyMessage)}
_FILTERS = [(topic_of(route, level="+"), _KINDS[tag]) for tag, route in ROUTES.items()]


def kind_on(topic: str, run: str) -> type[messages.Message] | None:
    """The kind that a topic of a run carries; ``None`` for a topic that no route has."""
    below = topic.removeprefix(f"{Topics(run).root}/")
    return next((kind for pattern, kind in _FILTERS if matches(pattern, below)), None)
