"""The feed of a link, by what is spoken there."""

from devices.endpoint import Link
from devices.sources.feed import Feed


def open_feed(link: Link, timeout_s: float, retry_after_s: float) -> Feed:
    """Way to the devices of a broker or a web server, which connects with its first request."""
    if link.scheme.startswith("http"):
        # Gateways of Modbus devices alone need no HTTP client.
        from devices.sources.http_feed import HttpFeed

        return HttpFeed(link, timeout_s, retry_after_s)
    from devices.sources.mqtt_feed import MqttFeed

    return MqttFeed(link, timeout_s, retry_after_s)
