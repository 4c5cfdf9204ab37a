"""A broker in virtual time: messages take time, are lost, doubled, delayed and overtaken, by a seed."""

import asyncio
import hashlib
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache

from broker.client.bus import Received
from broker.client.filters import matches
from broker.client.mqtt_bus import BusCounts
from broker.client.parts import check_size
from broker.errors import BusClosed
from tests.simulation.network import PROCESS

RECORDING = "observer-record"
_LEAST_S, _MOST_S = 2e-4, 3e-3


@dataclass(frozen=True)
class Weather:
    """Shares of deliveries to which something happens, and by how much they are delayed at most [s]."""

    lost: float = 0.0
    doubled: float = 0.0
    delayed: float = 0.0
    overtaken: float = 0.0
    delay_s: float = 0.0


@dataclass(eq=False)
class SimulatedBus:
    """One client's `broker.client.bus.Bus`; made by `SimulatedBroker.connect`."""

    broker: "SimulatedBroker"
    name: str
    will: object
    on_reconnect: object
    process: object
    filters: tuple[str, ...] = ()
    inbox: asyncio.Queue = field(default_factory=asyncio.Queue)
    linked: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False
    next_s: float = 0.0
    session: int = 0
    received: int = 0

    @property
    def counts(self):
        """As `broker.client.mqtt_bus.MqttBus.counts`, as far as a recording asks."""
        return BusCounts(0, 0, self.received, self.inbox.qsize(), 0, 0)

    @property
    def is_connected(self):
        """Whether the broker can be reached (see `broker.client.bus.Bus`)."""
        return self.linked.is_set() and not self.is_closed

    async def publish(self, topic, payload, *, qos=1, retain=False):
        """Hand a message to the broker (see `broker.client.bus.Bus`)."""
        check_size(topic, payload, retain=retain)
        await self._reach_broker()
        self.broker.publish(topic, payload, retain=retain)
        if qos:
            await asyncio.sleep(self.broker.latency_s())

    async def subscribe(self, *filters):
        """Ask for the messages on topics that match (see `broker.client.bus.Bus`)."""
        await self._reach_broker()
        self.filters = (*self.filters, *filters)
        self.broker.send_retained(self, filters)

    async def messages(self):
        """Messages in the order of arrival, until the bus is closed."""
        while (message := await self.inbox.get()) is not None:
            yield message
        self.inbox.put_nowait(None)

    def close(self):
        """Let readers finish and writers fail."""
        self.is_closed = True
        self.linked.set()
        self.inbox.put_nowait(None)

    async def _reach_broker(self):
        """Wait until something has travelled to the broker over one connection."""
        while True:
            self._check_open()
            await self.linked.wait()
            session = self.session
            await asyncio.sleep(self.broker.latency_s())
            if session == self.session and self.linked.is_set():
                break
        self._check_open()

    def _check_open(self):
        if self.is_closed:
            raise BusClosed(f"the bus of {self.name} is closed")


@cache
def _is_wanted(topic, filters):
    return any(matches(wanted, topic) for wanted in filters)


class SimulatedBroker:
    """Topics, retained messages and last wills in virtual time.

    Parameters
    ----------
    loop
        The virtual loop.
    draw
        Random numbers, by which messages take their time and have their accidents.
    weather
        What happens to messages.
    loses
        Says of a receiver's name, topic and body whether this message is lost on its way to it.

    Attributes
    ----------
    published
        How many messages have been published.
    on_publish
        Called with each message's number, topic and body before it is delivered.
    counts
        How often what happened.
    """

    def __init__(self, loop, draw, weather, loses=None):
        self.loop = loop
        self.weather = weather
        self.loses = loses or (lambda name, topic, payload: False)
        self.retained = {}
        self.published = 0
        self.on_publish = lambda number, topic, payload: None
        self.counts = Counter()
        self._draw = draw
        self._clients = {}
        self._trace = hashlib.sha256()

    @property
    def trace(self):
        """Hash over everything that was published and delivered so far, with its time."""
        return self._trace.hexdigest()

    def note(self, what):
        """Take something into the trace."""
        self._trace.update(f"{self.loop.time():.9f} {what}\n".encode())

    def latency_s(self):
        """Time that a message takes on one way [s]."""
        return self._draw.uniform(_LEAST_S, _MOST_S)

    @asynccontextmanager
    async def connect(self, url, name, will=None, *, on_reconnect=None, **_):
        """Connect a client, as `broker.client.mqtt.connect`."""
        bus = SimulatedBus(self, name, will, on_reconnect, PROCESS.get())
        self._clients[bus] = None
        bus.linked.set()
        try:
            yield bus
        finally:
            self._clients.pop(bus, None)
            bus.close()

    def publish(self, topic, payload, *, retain=False):
        """Deliver a message to whoever listens, each copy with accidents of its own."""
        self.published += 1
        topic = str(topic)
        self.on_publish(self.published, topic, payload)
        self._trace.update(f"{self.loop.time():.9f} {topic} ".encode() + payload + b"\n")
        if retain and payload:
            self.retained[topic] = payload
        elif retain:
            self.retained.pop(topic, None)
        for bus in list(self._clients):
            if _is_wanted(topic, bus.filters):
                self._send(bus, Received(topic, payload, retained=False))

    def send_retained(self, bus, filters):
        """Hand what is kept to a client that has subscribed."""
        for topic, payload in self.retained.items():
            if _is_wanted(topic, filters):
                self._arrive(bus, Received(topic, payload, retained=True), 0.0)

    def _send(self, bus, message):
        if bus.name == RECORDING:
            # What a record lacks, it has to say: over TCP a connection is lost with its messages.
            self._arrive(bus, message, 0.0)
            bus.next_s += 2e-6  # Timers of one time have no order.
            return
        if self.loses(bus.name, message.topic, message.payload):
            return
        draw, weather = self._draw.random(), self.weather
        for what in ("lost", "doubled", "delayed", "overtaken"):
            draw -= getattr(weather, what)
            if draw < 0.0:
                break
        else:
            what = ""
        self.counts[what] += bool(what)
        if what == "lost":
            return
        if what == "doubled":
            self._arrive(bus, message, self._draw.uniform(0.0, weather.delay_s))
        if what == "delayed":
            # What comes behind it on the same connection waits, as over TCP.
            bus.next_s = max(bus.next_s, self.loop.time() + self._draw.uniform(0.0, weather.delay_s))
        late_s = self._draw.uniform(0.0, weather.delay_s) if what == "overtaken" else 0.0
        self._arrive(bus, message, late_s)

    def _arrive(self, bus, message, late_s):
        """Put a message into a client's inbox, in order but for one that comes late."""
        bus.next_s = max(bus.next_s, self.loop.time() + self.latency_s())
        session = bus.session

        def put():
            # What was on its way when the connection was lost is sent again at QoS 1 where the broker knows
            # of it, and a clean session forgets it.
            if session == bus.session and not bus.is_closed:
                self.note(f"{bus.name} < {message.topic}")
                bus.received += 1
                bus.inbox.put_nowait(message)

        self.loop.call_at(bus.next_s + late_s, put)

    def end(self, process):
        """Let the clients of a process vanish: nothing of them is heard any more but their last wills."""
        gone = [bus for bus in self._clients if bus.process is process]
        for bus in gone:
            del self._clients[bus]
            bus.session += 1
            bus.close()
        for bus in gone:
            if bus.will is not None:
                self.publish(bus.will.topic, bus.will.payload, retain=True)

    def cut(self, wanted, away_s, *, forget=False):
        """Cut the connections of some clients for a while [s]; ``forget`` what is retained."""
        cut = [bus for bus in self._clients if wanted(bus) and bus.linked.is_set()]
        if forget:
            self.retained.clear()
        for bus in cut:
            bus.linked.clear()
            bus.session += 1
            filters, bus.filters = bus.filters, ()
            self.loop.call_later(away_s + self._draw.uniform(0.0, 0.2), self._link_again, bus, filters)
        for bus in cut:
            if bus.will is not None and not forget:
                self.publish(bus.will.topic, bus.will.payload, retain=True)

    def _link_again(self, bus, filters):
        if bus.is_closed or bus not in self._clients:
            return
        bus.filters = filters
        bus.linked.set()
        self.send_retained(bus, filters)
        if bus.on_reconnect is not None:
            bus.process.context.run(bus.on_reconnect)
