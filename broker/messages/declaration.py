"""How a message is declared: its struct, its topic, who sends it and who receives it, in one place.

A struct of one of the rooms beside this one is decorated with `message`. The union of all messages, the topic
tree, the checks of what comes in and the documents are all made from what is declared so.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

from broker.messages.header import Message

Role = Literal[
    "clock",
    "recorder",
    "population host",
    "live host",
    "LAM host",
    "WAM",
    "auditor",
    "feeder",
    "device host",
    "gateway",
    "operator",
    "observer",
]
"""What a party is in a run; an operator commands it from outside, by any name, an observer only watches."""

SERVICES: tuple[Role, ...] = tuple(role for role in get_args(Role) if role not in ("operator", "observer"))
"""All but those who are outside."""

Size = Literal["small", "batch", "model"]

M = TypeVar("M", bound=Message)
_LEVEL = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Declaration:
    """How a kind of message travels.

    Attributes
    ----------
    kind
        Struct of the message.
    topic
        Topic below the run's root, with its variable levels in braces.
    senders
        Roles that may send it.
    receivers
        Roles that act on it. Who writes on a topic may read there too.
    writer, reader
        Level of the topic that says who writes there, and which of the receivers reads there: ``lam`` stands
        for the host that operates this LAM, any other level holds the party's own name. Empty where the role
        has one topic for all, or where all receivers read all.
    qos, retained
        How it is published.
    size
        What it grows with: nothing (``small``), the parties and nodes of a run (``batch``), or the parties
        times the rows of a linear model (``model``).
    always
        It may be sent when no interval is open, and then has tick -1.
    """

    kind: type[Message]
    topic: str
    senders: tuple[Role, ...]
    receivers: tuple[Role, ...]
    writer: str = ""
    reader: str = ""
    qos: int = 1
    retained: bool = False
    size: Size = "small"
    always: bool = False

    @property
    def tag(self) -> str:
        """What the message's ``kind`` says on the wire."""
        return str(self.kind.__struct_config__.tag)

    @property
    def name(self) -> str:
        """Name of the topic in `broker.topics.Topics`."""
        return self.tag.replace("-", "_")

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the topic's variable levels, in order."""
        return tuple(_LEVEL.findall(self.topic))

    @property
    def sender(self) -> str:
        """Who sends it, in words."""
        return _in_words(self.senders, self.writer)

    @property
    def receiver(self) -> str:
        """Who receives it, in words."""
        return _in_words(self.receivers, self.reader)


def _in_words(roles: tuple[Role, ...], level: str) -> str:
    who = "every service" if roles == SERVICES else ", ".join(roles)
    return f"{who} of the LAM" if level == "lam" else who


DECLARED: dict[str, Declaration] = {}
"""Every kind of message by its tag, in the order of declaration."""


def message(
    topic: str,
    *,
    sender: Role | tuple[Role, ...],
    receivers: Role | tuple[Role, ...],
    writer: str = "",
    reader: str = "",
    qos: int = 1,
    retained: bool = False,
    size: Size = "small",
    always: bool = False,
) -> Callable[[type[M]], type[M]]:
    """Declare the struct below as a message; see `Declaration` for the parameters.

    Raises
    ------
    ValueError
        Another struct has the tag or the topic, or ``writer`` or ``reader`` is no level of the topic.
    """

    def declare(kind: type[M]) -> type[M]:
        made = Declaration(
            kind,
            topic,
            sender if isinstance(sender, tuple) else (sender,),
            receivers if isinstance(receivers, tuple) else (receivers,),
            writer,
            reader,
            qos,
            retained,
            size,
            always,
        )
        taken = {_LEVEL.sub("+", each.topic) for each in DECLARED.values()}
        if made.tag in DECLARED or _LEVEL.sub("+", topic) in taken:
            raise ValueError(f"{kind.__name__}: another message has the tag {made.tag} or the topic {topic}")
        for level in (writer, reader):
            if level and level not in made.levels:
                raise ValueError(f"{kind.__name__}: its topic {topic} has no level {level}")
        DECLARED[made.tag] = made
        return kind

    return declare


def declaration_of(kind: type[Message]) -> Declaration:
    """Declaration of a kind of message."""
    return DECLARED[str(kind.__struct_config__.tag)]
