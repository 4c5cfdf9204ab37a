"""One MQTT connection and everything that ends with it; `broker.client.mqtt_bus` replaces a lost one."""

import asyncio
import logging
import math
import ssl
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from functools import partial
from typing import TypeVar, cast

import aiomqtt
from paho.mqtt.reasoncodes import ReasonCode

from broker.address import Address
from broker.client.bus import Will
from broker.client.gathered import drop, gather_system_calls
from broker.credentials import tls_context
from broker.errors import BrokerRefused
from broker.patience import Within, within

T = TypeVar("T")

# aiomqtt walks through its pending calls at every publish, so many more under way cost more than they gain.
PUBLISHES_UNDER_WAY = 24
_KEEPALIVE_S = 30
_ANSWER_S = 3.0

_paho_log = logging.getLogger(f"{__name__}.paho")
# A lost connection is reported once, by the bus; paho would add an error for each way of noticing it.
_paho_log.setLevel(logging.CRITICAL)


class _Hand(asyncio.Queue[aiomqtt.Message]):
    """Hands each message on at once; aiomqtt's own iterator starts a task for every message."""

    def __init__(self, take: Callable[[aiomqtt.Message], None], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._take = take

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._take(item)


class Link:
    """A connected client; made by `open_link`.

    Attributes
    ----------
    lost
        Set once the connection is gone or was found useless.
    """

    def __init__(self, client: aiomqtt.Client, stack: AsyncExitStack) -> None:
        self.lost = asyncio.Event()
        self._client = client
        self._stack = stack
        self._calls: set[Within] = set()
        self._watching = asyncio.create_task(self._watch())

    async def publish(self, topic: str, payload: bytes, qos: int, *, retain: bool, within_s: float) -> None:
        """Publish and, at QoS 1, wait for the confirmation.

        Raises
        ------
        aiomqtt.MqttError
            The connection was lost.
        TimeoutError
            It took longer than ``within_s`` [s].
        """
        await self._call(self._client.publish(topic, payload, qos, retain, timeout=math.inf), within_s)

    async def subscribe(self, filters: Iterable[str], within_s: float) -> None:
        """Subscribe at QoS 1 and wait for the answer; raises as `publish`.

        Raises
        ------
        BrokerRefused
            The broker refuses one of the filters.
        """
        wanted = list(filters)
        asked = self._client.subscribe([(one, 1) for one in wanted], timeout=math.inf)
        codes = await self._call(asked, within_s)
        for one, code in zip(wanted, cast("list[ReasonCode]", codes), strict=True):
            if code.is_failure:
                raise BrokerRefused(f"the broker refuses the topic {one}; allow it to this user there")

    async def close(self) -> None:
        """Say goodbye, where somebody listens, and end what is under way."""
        self._lose()
        try:
            await self._stack.aclose()
        except aiomqtt.MqttError:
            drop(self._client)
        # The watcher ends by itself, and must: it is the one that looks at the client's last error.
        await asyncio.wait({self._watching}, timeout=_ANSWER_S)
        self._watching.cancel()

    async def _call(self, do: Awaitable[T], within_s: float) -> T:
        try:
            async with within(within_s) as call:
                self._calls.add(call)
                try:
                    with _cancellation_kept():
                        return await do
                finally:
                    self._calls.discard(call)
        except TimeoutError:
            if self.lost.is_set():
                raise aiomqtt.MqttError("the connection was lost") from None
            # A broker that is connected and silent is of no more use than one that is gone.
            self._lose()
            raise
        except aiomqtt.MqttError:
            self._lose()
            raise

    async def _watch(self) -> None:
        with suppress(aiomqtt.MqttError):
            async for _ in self._client.messages:
                pass
        self._lose()

    def _lose(self) -> None:
        """End the calls under way: aiomqtt leaves them waiting for an answer that cannot come."""
        self.lost.set()
        for call in self._calls:
            call.expire()


async def open_link(
    address: Address,
    client_id: str,
    identity: str,
    will: Will | None,
    filters: Iterable[str],
    take: Callable[[aiomqtt.Message], None],
) -> Link:
    """Connect a new client and subscribe; a client that lost its connection cannot be trusted again.

    Parameters
    ----------
    address, client_id, will
        Where to connect, as whom, and what the broker publishes, retained, if we vanish.
    identity
        Party whose certificate is shown where the address has credentials.
    filters
        Topics to listen to from the start.
    take
        Called with each message as it arrives.

    Raises
    ------
    aiomqtt.MqttError
        Nothing answers; `aiomqtt.exceptions.MqttConnectError` when the broker answers and refuses.
    BrokerRefused
        The broker refuses one of the filters.
    CredentialsError
        The certificate or its key cannot be used.
    """
    client = aiomqtt.Client(
        address.host,
        address.port,
        username=address.username,
        password=address.password,
        tls_context=_tls_context(address, identity),
        logger=_paho_log,
        identifier=client_id,
        will=None if will is None else aiomqtt.Will(will.topic, will.payload, qos=1, retain=True),
        clean_session=True,
        timeout=_ANSWER_S,
        keepalive=_KEEPALIVE_S,
        max_inflight_messages=PUBLISHES_UNDER_WAY,
        queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", partial(_Hand, take)),
    )
    async with AsyncExitStack() as stack:
        try:
            with _cancellation_kept():
                await stack.enter_async_context(client)
        except BaseException:
            # One that never answered would be answered some day, and then put out who came after it.
            drop(client)
            raise
        gather_system_calls(client)
        link = Link(client, stack.pop_all())
    wanted = list(filters)
    if wanted:
        try:
            await link.subscribe(wanted, _ANSWER_S)
        except BaseException as error:
            await link.close()
            if isinstance(error, TimeoutError):
                raise aiomqtt.MqttError("no answer to a subscription") from None
            raise
    return link


@contextmanager
def _cancellation_kept() -> Iterator[None]:
    """Raise a cancellation that came together with an answer: Python 3.11's ``wait_for`` drops it then.

    Whoever was cancelled would go on for ever.
    """
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    yield
    if task is not None and task.cancelling() > before:
        raise asyncio.CancelledError


def _tls_context(address: Address, identity: str) -> ssl.SSLContext | None:
    """Settings of the encryption, where there is any; who has a password shows no certificate."""
    if not address.tls:
        return None
    named = address.credentials is not None and address.username is None
    return tls_context(address.credentials, identity if named else None)
