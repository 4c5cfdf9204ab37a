"""Which topics a subscription's filter covers (MQTT 3.1.1, section 4.7)."""


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic falls under a filter.

    Parameters
    ----------
    topic_filter
        Levels divided by ``/``; ``+`` stands for one level, a last ``#`` for the level above and all below.
    topic
        Topic of a message; those that begin with ``$`` are never met by a leading wildcard.
    """
    if topic_filter == topic:
        return True
    if topic.startswith("$") and topic_filter[:1] in {"+", "#"}:
        return False
    wanted = topic_filter.split("/")
    levels = topic.split("/")
    if wanted[-1] == "#":
        wanted.pop()
        levels = levels[: len(wanted)]
    return len(wanted) == len(levels) and all(
        w in {"+", have} for w, have in zip(wanted, levels, strict=True)
    )
