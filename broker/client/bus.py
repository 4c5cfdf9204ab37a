"""The port through which every service speaks: publish, subscribe, receive.

Services hold a `Bus` and nothing else; `broker.client.mqtt_bus` is the one over a network and
`broker.client.memory` the one inside a process, for tests of stories.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

import msgspec


class Received(msgspec.Struct, frozen=True, gc=False):
    """One message as it arrived.

    Attributes
    ----------
    topic
        Topic it was published on.
    payload
        Body, not yet decoded.
    retained
        True when the broker had kept it and hands it over because of a new subscription.
    """

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Will:
    """What the broker publishes, retained and at QoS 1, when the client vanishes without a goodbye."""

    topic: str
    payload: bytes


class Bus(Protocol):
    """One client's connection to the broker."""

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection at present; one that was lost is sought again."""

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Hand a message to the broker.

        At QoS 1 this returns once the broker has taken the message over; publishing many at once
        (``asyncio.gather``) keeps several under way. One task's publishes arrive in its order.

        Parameters
        ----------
        topic
            Topic without wildcards.
        payload
            Body.
        qos
            0 (at most once) or 1 (at least once).
        retain
            True keeps it at the broker for later subscribers; an empty body deletes what was kept.

        Raises
        ------
        BrokerUnreachable
            The connection was lost and did not come back in time.
        BusClosed
            The bus had been closed.
        MessageTooLarge
            The body has more bytes than may be sent (`broker.client.parts`); nothing was.
        """

    async def subscribe(self, *filters: str) -> None:
        """Ask for the messages on topics that match, at QoS 1; ``+`` is one level, ``#`` all below.

        Raises
        ------
        BrokerUnreachable
            The connection was lost and did not come back in time.
        BusClosed
            The bus had been closed.
        """

    def messages(self) -> AsyncIterator[Received]:
        """Messages in the order of arrival, until the bus is closed."""
