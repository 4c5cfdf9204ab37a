"""A run of three prosumers in two LAMs, for tests of the door."""

import numpy as np

from broker.client.bus import Received
from broker.door.bounds import Bounds
from broker.topics import Topics

RUN = "r1"
TOPICS = Topics(RUN)
BOUNDS = Bounds(
    services={
        "clock": frozenset({"clock"}),
        "recorder": frozenset({"recorder"}),
        "population host": frozenset({"people"}),
        "live host": frozenset({"live"}),
        "LAM host": frozenset({"north", "south"}),
        "WAM": frozenset({"wam"}),
        "auditor": frozenset({"auditor"}),
        "feeder": frozenset({"feeder"}),
        "device host": frozenset(),
        "gateway": frozenset({"gateway"}),
    },
    prosumers=("p0", "p1", "p2"),
    lams=("A", "B"),
    lam=np.array([0, 1, 1]),
    live=frozenset({"p0"}),
    members={"people": np.array([1, 2])},
    operated={"north": np.array([0]), "south": np.array([1])},
    ticks=96,
    nodes=3,
    branches=2,
    interval_h=0.25,
    member_kw=100.0,
    feeder_kw=1000.0,
    price=10.0,
)


def received(topic, payload, *, retained=False):
    return Received(topic, payload, retained)
