"""Who takes the messages of which topics: the handlers of one participant."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from broker.client.filters import matches

KNOWN_TOPICS = 100_000
"""Topics that are remembered, so that strange ones do not fill the memory."""

Handler = Callable[[Any], Awaitable[None] | None]


class Handlers:
    """Handlers by topic filter, and what has to be subscribed to for them."""

    def __init__(self) -> None:
        self._exact: dict[str, list[Handler]] = defaultdict(list)
        self._wildcards: list[tuple[str, Handler]] = []
        self._subscribed: dict[str, None] = {}
        self._found: dict[str, list[Handler]] = {}

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Topic filters to subscribe to, each once, in the order in which they were added."""
        return tuple(self._subscribed)

    def add(self, topic_filter: str, handler: Handler, through: str | None = None) -> None:
        """Add a handler for the topics of a filter, subscribed to as it is or through a wider one.

        Raises
        ------
        ValueError
            A wildcard has a wider filter. Only topics that may be thousands need one, and each new topic is
            held against every wildcard.
        """
        is_wild = "+" in topic_filter or "#" in topic_filter
        if is_wild and through is not None:
            raise ValueError(f"{topic_filter} is a wildcard below {through}: add its topics one by one")
        self._subscribed[topic_filter if through is None else through] = None
        if is_wild:
            self._wildcards.append((topic_filter, handler))
        else:
            self._exact[topic_filter].append(handler)

    def of(self, topic: str) -> list[Handler]:
        """Handlers of a topic; found once, for topics may be thousands."""
        known = self._found.get(topic)
        if known is None:
            wild = (handler for pattern, handler in self._wildcards if matches(pattern, topic))
            known = [*self._exact.get(topic, ()), *wild]
            if len(self._found) < KNOWN_TOPICS:
                self._found[topic] = known
        return known
