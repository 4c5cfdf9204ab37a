"""How texts come from devices and go to them: a port for MQTT and HTTP alike."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from devices.counts import Counts


@dataclass(frozen=True, slots=True)
class Document:
    """What stood at a place.

    Attributes
    ----------
    body
        The text.
    at_s
        When it came in (`broker.wall_time.since_boot`) [s].
    kept
        Whether the broker had kept it: nobody knows how old it is.
    waited_s
        How long it may have waited to be read, where this process stood still [s].
    """

    body: bytes
    at_s: float
    kept: bool = False
    waited_s: float = 0.0

    @property
    def said_s(self) -> float:
        """When it was said at the earliest [s]."""
        return self.at_s - self.waited_s


class Feed(Protocol):
    """Way to all devices on one broker or web server."""

    counts: Counts

    async def listen(self, places: Collection[str]) -> None:
        """Begin to take in what is said at places, without waiting for any; raises `DeviceError`."""
        ...

    async def fetch(self, places: Collection[str], since_s: float | None = None) -> dict[str, Document]:
        """Newest texts at places; those that nobody has said anything at are left out.

        Parameters
        ----------
        places
            Topics or paths.
        since_s
            Wait for texts that are no older (`broker.wall_time.since_boot`) [s], as long as devices are
            waited for; ``None`` takes what there is.

        Raises
        ------
        DeviceError
            The broker or the web server does not answer.
        """
        ...

    def stood_still_s(self, since_s: float) -> float:
        """How long this process stood still at last, where that ended after a time, as `Document.said_s`."""
        ...

    async def send(self, place: str, text: str, method: str) -> None:
        """Send a text to a place; raises `DeviceError`."""
        ...

    async def close(self) -> None:
        """Close the way; a later request opens it again."""
        ...
