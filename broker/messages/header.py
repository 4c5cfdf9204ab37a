"""The header that every message carries."""

from __future__ import annotations

from typing import Literal

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Header that every message carries.

    ``seq`` counts this sender's messages on this topic from 0.
    """

    run: str
    tick: int
    sender: str
    seq: int
    v: Literal[1] = 1
