"""Wire messages: typed, validated, versioned structs in JSON.

Every message names its run, tick, sender and its number in the sender's stream on that topic.
Small columns travel as JSON lists, those over all prosumers or nodes as base64 strings
(`broker.messages.columns`).
JSON has no NaN: check finiteness before encoding; a missing value is ``None``.

A new message is one decorated struct in one of the rooms below (`broker.messages.declaration`).
"""

from __future__ import annotations

from typing import Any, Union, cast

import msgspec

from broker.messages.audit import *  # noqa: F403
from broker.messages.bids import *  # noqa: F403
from broker.messages.declaration import DECLARED as DECLARED
from broker.messages.declaration import Declaration as Declaration
from broker.messages.declaration import Role as Role
from broker.messages.declaration import declaration_of as declaration_of
from broker.messages.devices import *  # noqa: F403
from broker.messages.feeder import *  # noqa: F403
from broker.messages.header import Command as Command
from broker.messages.header import Message as Message
from broker.messages.horizon import *  # noqa: F403
from broker.messages.observer import *  # noqa: F403
from broker.messages.outcomes import *  # noqa: F403
from broker.messages.run import *  # noqa: F403

ANY_MESSAGE: Any = Union[tuple(each.kind for each in DECLARED.values())]  # noqa: UP007
"""Type of all declared messages together, for decoders and the schema."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ANY_MESSAGE)


def encode(message: Message) -> bytes:
    """JSON bytes of a message."""
    return _encoder.encode(message)


def decode(payload: bytes) -> Message:
    """Message of JSON bytes; raises ``msgspec.ValidationError`` or ``msgspec.DecodeError``."""
    return cast("Message", _decoder.decode(payload))
