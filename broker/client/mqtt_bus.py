"""A bus over one MQTT 3.1.1 connection at a time: reconnects, subscribes again, keeps publishes under way.

A lost connection is replaced by a new client in the background; publishes meanwhile wait, and go out again
when the broker had not confirmed them (at least once).
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import aiomqtt

from broker.address import Address
from broker.client.bundles import unbundled
from broker.client.bus import Received, Will
from broker.client.filters import matches
from broker.client.link import PUBLISHES_UNDER_WAY, Link, open_link
from broker.client.parts import Assembler, check_size, packets
from broker.errors import BrokerRefused, BrokerUnreachable, BusClosed, CredentialsError
from broker.patience import Patience

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0
# A connection over which no answer comes for so long is replaced [s].
_ANSWER_S = 20.0

MOST_WAITING = 200_000
"""Messages that wait to be read; what comes beyond is dropped, shows as a gap, and is asked for again."""

_TURN = 64
# No broker drops a connection over a packet of this size; over a larger one it may, each time anew.
_SMALL_BYTES = 16 * 2**10
_MOST_LOSSES = 5


@dataclass(frozen=True, slots=True)
class BusCounts:
    """What has gone through one bus since it was opened."""

    published: int
    repeated: int
    received: int
    waiting: int
    dropped: int
    reconnects: int


class MqttBus:
    """A `broker.client.bus.Bus` over one MQTT connection at a time; made by `broker.client.mqtt.connect`.

    ``title`` is its name for people.
    """

    def __init__(
        self,
        address: Address,
        client_id: str,
        identity: str,
        will: Will | None,
        on_reconnect: Callable[[], None] | None,
        patience_s: float,
    ) -> None:
        self.address = address
        # Unique, as two clients with one id evict each other for ever; kept over reconnects, so that the
        # broker ends a half-dead predecessor (and publishes its will) before this client speaks again.
        self.client_id = f"{client_id}-{secrets.token_hex(4)}"
        self.title = client_id
        self._identity = identity
        self._will = will
        self._on_reconnect = on_reconnect
        self._patience_s = patience_s
        self._filters: dict[str, None] = {}
        self._inbox: deque[Received] = deque()
        self._came = asyncio.Event()
        self._assembler = Assembler()
        self._dropped = 0
        self._link: Link | None = None
        self._linked = asyncio.Event()
        # From when it went away: a long queue of publishes gives up together.
        self._away = Patience(self._give_up)
        self._is_given_up = False
        self._slots = asyncio.Semaphore(PUBLISHES_UNDER_WAY)
        self._closed = False
        self._published = self._repeated = self._received = self._reconnects = 0

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at present."""
        return self._link is not None

    @property
    def counts(self) -> BusCounts:
        """Messages published, repeated, received, waiting to be read, and dropped; reconnects so far."""
        return BusCounts(
            self._published,
            self._repeated,
            self._received,
            len(self._inbox),
            self._dropped,
            self._reconnects,
        )

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker, a large one in parts (see `broker.client.bus.Bus`)."""
        check_size(topic, payload, retain=retain)
        for packet in packets(payload):
            size = len(packet)
            lost_at = f"a packet of {size:,} bytes on {topic}" if size > _SMALL_BYTES else ""
            async with self._slots:
                await self._call(partial(_publish, topic, packet, qos, retain), lost_at)
        self._published += 1

    async def subscribe(self, *filters: str) -> None:
        """Ask for the messages on topics that match, at QoS 1 (see `broker.client.bus.Bus`).

        A broker may send a message once for each filter that it matches: keep the filters of one bus apart.

        Raises
        ------
        BrokerRefused
            The broker does not let this client listen there; no filter of the call is kept.
        """
        before = dict(self._filters)
        self._filters.update(dict.fromkeys(filters))
        try:
            await self._call(lambda link, within_s: link.subscribe(filters, within_s))
        except BrokerRefused:
            self._filters = before
            raise

    async def messages(self) -> AsyncIterator[Received]:
        """Messages in the order of arrival, until the bus is closed."""
        turn = 0
        while self._inbox or not self._closed:
            if not self._inbox:
                self._came.clear()
                await self._came.wait()
                continue
            yield self._inbox.popleft()
            turn += 1
            if turn % _TURN == 0:
                # A full inbox never suspends, and a burst must not hold up the rest of the process.
                await asyncio.sleep(0)

    async def open(self) -> Link:
        """Connect a new client that listens where this bus has subscribed."""
        return await open_link(
            self.address, self.client_id, self._identity, self._will, self._filters, self._take
        )

    async def keep(self, link: Link) -> None:
        """Use a link until it is lost, then open the next, for as long as the bus is open."""
        while True:
            self._link = link
            self._away.end()
            self._is_given_up = False
            self._linked.set()
            try:
                if self._reconnects and self._on_reconnect is not None:
                    self._on_reconnect()
                await link.lost.wait()
            finally:
                self._leave(link)
                await link.close()
            log.warning("%s lost %s, reconnecting", self.title, self.address)
            link = await self._reopen()
            self._reconnects += 1
            log.warning("%s is back at %s", self.title, self.address)

    def close(self) -> None:
        """Let readers finish and writers fail."""
        if not self._closed:
            self._closed = True
            self._away.close()
            self._linked.set()
            self._came.set()

    def _take(self, message: aiomqtt.Message) -> None:
        topic = message.topic.value
        # amqtt sends a new client what is retained under other clients' filters.
        if message.retain and not any(matches(wanted, topic) for wanted in self._filters):
            return
        payload = self._assembler.take(topic, message.payload)
        if self._closed or payload is None:
            return
        for each, body in unbundled(topic, payload):
            if len(self._inbox) >= MOST_WAITING:
                self._dropped += 1
                continue
            self._received += 1
            self._inbox.append(Received(each, body, message.retain))
        self._came.set()

    def _leave(self, link: Link) -> None:
        if self._link is link:
            self._link = None
            self._linked.clear()
            if not self._closed:
                self._away.begin(self._patience_s)

    async def _reopen(self) -> Link:
        pause_s = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            try:
                return await self.open()
            except (aiomqtt.MqttError, BrokerRefused, CredentialsError) as error:
                log.info("%s cannot reach %s: %s", self.client_id, self.address, error)

    async def _call(self, do: Callable[[Link, float], Awaitable[None]], lost_at: str = "") -> None:
        """Do something over the present link, and again over the next where it is lost.

        ``lost_at`` says in words what a broker may have dropped the connection for; it is not tried for ever.
        """
        losses, left_s = 0, self._patience_s
        while not self._closed:
            link = self._link
            if link is None:
                await self._wait_for_link()
                continue
            try:
                return await do(link, min(left_s, _ANSWER_S))
            except TimeoutError:
                left_s -= _ANSWER_S
                if left_s <= 0.0:
                    raise BrokerUnreachable(
                        f"{self.address} gave no answer for {self._patience_s:g} s; see that the broker runs"
                    ) from None
                # An answer that was lost never comes: try over a new connection.
                self._repeated += 1
                self._leave(link)
            except aiomqtt.MqttError:
                self._repeated += 1
                self._leave(link)
                losses += 1
                if lost_at and losses == _MOST_LOSSES:
                    raise BrokerRefused(
                        f"{self.address} dropped the connection {losses} times at {lost_at}; "
                        "let the broker take larger packets (max_packet_size)"
                    ) from None
        raise BusClosed(f"the bus of {self.client_id} at {self.address} is closed; open a new one")

    async def _wait_for_link(self) -> None:
        await self._linked.wait()
        if self._is_given_up:
            raise BrokerUnreachable(
                f"{self.address} has been away for {self._patience_s:g} s; see that the broker runs"
            )

    def _give_up(self) -> None:
        """Let all who wait for a connection fail together, and who comes later at once."""
        self._is_given_up = True
        self._linked.set()


async def _publish(topic: str, packet: bytes, qos: int, retain: bool, link: Link, within_s: float) -> None:
    await link.publish(topic, packet, qos, retain=retain, within_s=within_s)
