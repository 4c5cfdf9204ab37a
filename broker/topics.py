"""The topic tree of one run: every topic has exactly one writer.

All topics of a run stand below ``sharegrid/v1/<run>``; which there are is declared with the messages that
travel on them (`broker.messages.declaration`). A single writer per topic is what lets a receiver number the
messages of a topic and notice gaps, duplicates and late arrivals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from broker.messages import DECLARED, Declaration

ROOT = "sharegrid/v1"
_SAFE = re.compile(r"[A-Za-z0-9_.:-]+")


def topic_safe(name: str) -> bool:
    """Whether ``name`` may stand as one level of a topic (no slash, wildcard or blank)."""
    return _SAFE.fullmatch(name) is not None


class Topic(str):
    """A topic without variable levels, or the filter of all topics of a kind; called, one of them."""

    __slots__ = ("_form", "_levels", "_pattern")

    _pattern: str
    _form: str
    _levels: int

    def __new__(cls, pattern: str) -> Topic:
        """Topic of a pattern with its variable levels in braces."""
        made = super().__new__(cls, _LEVEL.sub("+", pattern))
        made._pattern = pattern
        made._form = _LEVEL.sub("%s", pattern.replace("%", "%%"))
        made._levels = len(_LEVEL.findall(pattern))
        return made

    def __call__(self, *levels: str) -> str:
        """Topic with these levels; ``"+"`` stands for all; raises ``TypeError`` unless all are given."""
        if len(levels) != self._levels:
            raise TypeError(f"{self._pattern} has {self._levels} levels to fill, not {len(levels)}")
        return self._form % levels


_LEVEL = re.compile(r"\{(\w+)\}")
_NAMES = {each.name: each for each in DECLARED.values()}
_PATTERNS = [(tuple(each.topic.split("/")), each) for each in DECLARED.values()]


@dataclass(frozen=True)
class Topics:
    """Topics of run ``run`` by their messages' names: ``topics.step``, ``topics.bid(lam, prosumer)``."""

    run: str

    @property
    def root(self) -> str:
        """Prefix of every topic of the run."""
        return f"{ROOT}/{self.run}"

    def __getattr__(self, name: str) -> Topic:
        """Topic of the message with this name; raises ``AttributeError`` where none is declared."""
        if name not in _NAMES:
            raise AttributeError(f"no message is called {name}")
        topic = Topic(f"{self.root}/{_NAMES[name].topic}")
        object.__setattr__(self, name, topic)  # Made once: hosts ask for thousands.
        return topic

    def declared(self, topic: str) -> tuple[Declaration, dict[str, str]] | None:
        """What a topic of this run carries and its variable levels by name; ``None`` where nothing is."""
        root, levels = f"{self.root}/", topic.removeprefix(f"{self.root}/").split("/")
        if not topic.startswith(root):
            return None
        for pattern, declaration in _PATTERNS:
            if len(pattern) == len(levels) and all(
                mine == theirs or mine.startswith("{") for mine, theirs in zip(pattern, levels, strict=True)
            ):
                pairs = zip(pattern, levels, strict=True)
                return declaration, {mine[1:-1]: theirs for mine, theirs in pairs if mine.startswith("{")}
        return None
