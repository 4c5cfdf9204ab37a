"""The header that every message carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

MOST = 2**53 - 1
"""The largest integer that every reader of JSON keeps."""


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Header that every message carries.

    ``seq`` counts this sender's messages on this topic from 0. ``epoch`` counts how often the run went back
    to the end of an earlier interval: what belongs to an earlier epoch no longer counts.
    """

    run: str
    tick: Annotated[int, msgspec.Meta(ge=-1, le=MOST)]
    sender: str
    seq: Annotated[int, msgspec.Meta(ge=0, le=MOST)]
    epoch: Annotated[int, msgspec.Meta(ge=0, le=MOST)] = 0
    v: Literal[1] = 1

    def check(self, sizes: Mapping[str, int]) -> None:
        """Raise ``ValueError`` where fields do not fit each other; ``sizes`` says how many there are of what.

        What single fields may be is in their annotations.
        """


class Command(Message, frozen=True, kw_only=True):
    """What moves devices: it carries a signature where the run has a key (`broker.signing`)."""

    signature: str = ""
