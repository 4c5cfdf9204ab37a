"""Metrics of the services of one process, as Prometheus reads them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from broker.client.bus import Bus
from broker.client.mqtt_bus import MqttBus
from broker.messages import Done, Message, Step, Telemetry
from broker.participant.node import Node

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LAG_EVERY_S = 0.25
_LAG_KEPT = 40
_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class ProcessMetrics:
    """Watches the services of one process: how long steps take, what waits, what was refused.

    Attributes
    ----------
    lag_s
        How late the event loop came to its work, at most, in the last ten seconds [s].
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._nodes: dict[str, tuple[Node, MqttBus]] = {}
        self._standing_by: MqttBus | None = None
        self._opened: dict[str, dict[tuple[int, str], float]] = {}
        self._lags: deque[float] = deque([0.0], maxlen=_LAG_KEPT)
        self._steps = Histogram(
            "sharegrid_step_seconds",
            "From the clock's step to the service's report",
            ["service", "step"],
            registry=self._registry,
            buckets=_BUCKETS_S,
        )
        self._flags = Counter(
            "sharegrid_flags", "Flags that the service raised", ["service"], registry=self._registry
        )
        self._readings = Counter(
            "sharegrid_device_readings",
            "Readings of live prosumers by their quality",
            ["quality"],
            registry=self._registry,
        )
        self._lag = Gauge(
            "sharegrid_loop_lag_seconds",
            "How late the event loop came to its work, at most, in the last ten seconds",
            registry=self._registry,
        )
        self._lag.set_function(lambda: self.lag_s)

    @property
    def lag_s(self) -> float:
        """The largest delay of the event loop in the last ten seconds [s]."""
        return max(self._lags)

    def watch(self, node: Node, bus: MqttBus) -> None:
        """Watch a service on its connection from now on; before it is open."""
        self._nodes[node.name] = node, bus
        node.on(node.topics.step, self._note_step(node.name))
        node.on_publish = self._note_sent

    def stand_by(self, bus: Bus) -> None:
        """Take note of the connection on which the process follows the run, also while it serves nothing."""
        if isinstance(bus, MqttBus):
            self._standing_by = bus

    def health(self) -> dict[str, Any]:
        """Services with whether each is connected, and whether all are.

        A process that waits for its turn, as spares and those without a share of the LAMs do, is well where
        it follows the run.
        """
        services = {
            name: {"connected": bus.is_connected, "tick": node.tick}
            for name, (node, bus) in self._nodes.items()
        }
        waits = not services and self._standing_by is not None and self._standing_by.is_connected
        is_healthy = waits or (bool(services) and all(each["connected"] for each in services.values()))
        told = {"healthy": is_healthy, "loop_lag_s": round(self.lag_s, 4), "services": services}
        return told | ({"waits": "for its turn"} if waits else {})

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    async def watch_loop(self) -> None:
        """Measure how late the event loop is, until cancelled."""
        while True:
            due = time.perf_counter() + _LAG_EVERY_S
            await asyncio.sleep(_LAG_EVERY_S)
            self._lags.append(max(0.0, time.perf_counter() - due))

    def collect(self) -> Iterator[Metric]:
        """Counts that the services keep themselves."""
        messages = CounterMetricFamily(
            "sharegrid_messages", "Messages by what became of them", labels=["service", "what"]
        )
        tick = GaugeMetricFamily("sharegrid_tick", "Interval that the service is in", labels=["service"])
        connected = GaugeMetricFamily(
            "sharegrid_connected", "Whether the service is connected to the broker", labels=["service"]
        )
        waiting = GaugeMetricFamily(
            "sharegrid_queue_messages", "Messages that wait to be read", labels=["service"]
        )
        reconnects = CounterMetricFamily(
            "sharegrid_reconnects", "How often the connection was lost and came back", labels=["service"]
        )
        for name, (node, bus) in list(self._nodes.items()):
            traffic = node.traffic()
            for field in traffic.__struct_fields__:
                messages.add_metric([name, field], getattr(traffic, field))
            counts = bus.counts
            tick.add_metric([name], node.tick)
            connected.add_metric([name], float(bus.is_connected))
            waiting.add_metric([name], counts.waiting)
            reconnects.add_metric([name], counts.reconnects)
        yield from (messages, tick, connected, waiting, reconnects)

    def _note_step(self, name: str) -> Callable[[Step], None]:
        def note(step: Step) -> None:
            now = time.perf_counter()
            opened = {key: at for key, at in self._opened.get(name, {}).items() if key[0] == step.tick}
            # Into these the service may go before the clock opens them.
            for each in step.ahead:
                opened.setdefault((step.tick, each.step), now)
            opened[step.tick, step.step] = now
            self._opened[name] = opened

        return note

    def _note_sent(self, message: Message) -> None:
        if isinstance(message, Telemetry):
            self._readings.labels(message.quality).inc()
        elif isinstance(message, Done):
            self._flags.labels(message.sender).inc(len(message.flags))
            opened = self._opened.get(message.sender, {})
            now = time.perf_counter()
            if (began := opened.get((message.tick, message.step))) is not None:
                self._steps.labels(message.sender, message.step).observe(now - began)
                # What comes behind it begins here, unless the clock opens it later.
                self._opened[message.sender] = dict.fromkeys(opened, now)
