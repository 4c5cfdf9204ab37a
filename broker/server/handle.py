"""What is known of a broker that is up: where it listens and what it is."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BrokerHandle:
    """A broker that accepts connections.

    Attributes
    ----------
    url
        Address for `broker.client.mqtt.connect`, with credentials where there are any.
    name
        For people, without credentials: ``embedded amqtt 0.12.1``, ``mosquitto 2.0.11`` or ``mqtt://host:port``.
    """

    url: str = field(repr=False)
    name: str
