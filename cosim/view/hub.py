"""From a view model to any number of screens: each gets what changed, as fast as it can take it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from cosim.view.panels import Panel

GATHER_S = 0.1
"""What changes within this time is sent together [s]."""

STILL_HERE_S = 5.0
"""A screen hears something at least so often [s]."""

_SLOW_S = {"devices": 0.4, "series": 0.4, "services": 0.2}


class Model(Protocol):
    """What is shown."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all panels."""

    def changed(self) -> dict[str, Panel]:
        """Panels that changed since this was last asked."""

    def panel(self, name: str) -> Panel:
        """One panel as it stands."""


class Hub:
    """Encodes each changed panel once, for all screens.

    Parameters
    ----------
    model
        What is shown.
    """

    def __init__(self, model: Model) -> None:
        self.screens = 0
        self._model = model
        self._encoded: dict[str, bytes] = {}
        self._version: dict[str, int] = {}
        self._sent_s: dict[str, float] = {}
        self._held: dict[str, Panel] = {}
        self._number = 0
        self._touched = asyncio.Event()
        self._waiting: set[asyncio.Event] = set()
        for name in model.names:
            self._keep(name, model.panel(name))

    def touch(self) -> None:
        """Say that the model may have changed."""
        self._touched.set()

    async def run(self) -> None:
        """Pass changes on, until cancelled."""
        while True:
            if not self._held:
                await self._touched.wait()
            self._touched.clear()
            self._pass_on(time.monotonic())
            await asyncio.sleep(GATHER_S)

    async def parts(self) -> AsyncIterator[bytes]:
        """For one screen: all panels, then those that changed, as JSON; none where nothing did for long."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        self.screens += 1
        known = 0
        try:
            while True:
                changed.clear()
                names = [name for name, version in self._version.items() if version > known]
                known = self._number
                yield self._content(names)
                try:
                    async with asyncio.timeout(STILL_HERE_S):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            self._waiting.discard(changed)
            self.screens -= 1

    def _pass_on(self, now_s: float) -> None:
        """Encode what changed; what is large waits a little, so that a burst is one change."""
        self._held |= self._model.changed()
        ready = [
            name
            for name in self._held
            if now_s - self._sent_s.get(name, float("-inf")) >= _SLOW_S.get(name, 0.0)
        ]
        for name in ready:
            del self._held[name]
            self._sent_s[name] = now_s
            self._keep(name, self._model.panel(name))
        if ready:
            for each in self._waiting:
                each.set()

    def _keep(self, name: str, panel: Panel) -> None:
        encoded = msgspec.json.encode(panel)
        if self._encoded.get(name) != encoded:
            self._number += 1
            self._encoded[name], self._version[name] = encoded, self._number

    def _content(self, names: list[str]) -> bytes:
        panels = b",".join(b'"%b":%b' % (name.encode(), self._encoded[name]) for name in names)
        return b'{"now":%.3f,"panels":{%b}}' % (time.time(), panels)
