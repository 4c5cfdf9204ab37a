"""``sharegrid top``: the services of a run that goes on, as an observer hears them."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from broker.messages import Availability, Done, Message, Step, Telemetry, Traffic
from broker.topics import Topics
from cosim.observation.listening import hearing

_EVERY_S = 0.5
_COUNTED = ("sent", "received")
_TROUBLES = ("gaps", "late", "rejected", "quarantined")


@dataclass
class ServiceView:
    """What was heard of one service: whether it is there, its last report, when and how long it took [s]."""

    online: bool = False
    tick: int = -1
    step: str = ""
    step_s: float | None = None
    done_s: float = -math.inf
    flags: int = 0
    traffic: Traffic = field(default_factory=Traffic)


class RunView:
    """What an observer has heard of a run, by service."""

    def __init__(self, run: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self.services: dict[str, ServiceView] = {}
        self.qualities: dict[str, int] = {}
        self.tick, self.step = -1, ""
        self.is_over = False
        self._opened_s: dict[str, float] = {}
        self._clock = clock

    def take(self, message: Message) -> None:
        """Take a message in."""
        if isinstance(message, Step):
            if message.tick != self.tick:
                self._opened_s.clear()
            self.tick, self.step = message.tick, message.step
            self._opened_s[self.step] = now_s = self._clock()
            for each in message.ahead:
                self._opened_s.setdefault(each.step, now_s)
            self.is_over = message.step == "end"
            if message.step == "measure":
                self.qualities = {}
        elif isinstance(message, Availability):
            self._view(message.sender).online = message.online
        elif isinstance(message, Telemetry):
            self.qualities[message.quality] = self.qualities.get(message.quality, 0) + 1
        elif isinstance(message, Done):
            view = self._view(message.sender)
            view.tick, view.step, view.traffic = message.tick, message.step, message.traffic
            view.flags += len(message.flags)
            if message.tick == self.tick and message.step in self._opened_s:
                began_s, view.done_s = max(self._opened_s[message.step], view.done_s), self._clock()
                view.step_s = view.done_s - began_s

    def table(self) -> Table:
        """The run as it stands."""
        devices = ", ".join(f"{count} {quality}" for quality, count in sorted(self.qualities.items()))
        stands = f"tick {self.tick}, {self.step}" if self.step else "no step heard yet"
        # What happened to nobody has no column, so that a usual terminal has room for the rest.
        views = self.services.values()
        troubles = [name for name in _TROUBLES if any(getattr(view.traffic, name) for view in views)]
        counted = (*_COUNTED, *troubles)
        table = Table(
            title=f"run {self.run}: {stands}",
            caption=f"readings: {devices}" if devices else None,
            box=None,
            padding=(0, 1, 0, 0),
        )
        for name in ("service", "state", "tick", "step", "seconds", "flags", *counted):
            is_text = name in ("service", "state", "step")
            table.add_column(name, justify="left" if is_text else "right", no_wrap=name == "service")
        for name, view in sorted(self.services.items()):
            state = "online" if view.online else "[bold red]offline"
            seconds = "" if view.step_s is None else f"{view.step_s:.3f}"
            counts = (str(getattr(view.traffic, each)) for each in counted)
            tick = "" if view.tick < 0 else str(view.tick)
            table.add_row(name, state, tick, view.step, seconds, str(view.flags), *counts)
        return table

    def _view(self, name: str) -> ServiceView:
        return self.services.setdefault(name, ServiceView())


async def watch_run(url: str, run: str, console: Console | None = None) -> RunView:
    """Show a run until its end, or until cancelled; what was heard at last.

    Raises
    ------
    BrokerError
        The broker cannot be reached, or does not know the observer.
    """
    view = RunView(run)
    async with hearing(url, run, "top", _watched_topics) as heard:
        with Live(view.table(), console=console, auto_refresh=False) as live:
            showing = asyncio.create_task(_show(live, view))
            try:
                async for message, _ in heard.messages():
                    view.take(message)
                    if view.is_over:
                        break
            finally:
                showing.cancel()
                live.update(view.table(), refresh=True)
    return view


def _watched_topics(topics: Topics) -> tuple[str, ...]:
    return topics.step, topics.done("+"), topics.availability("+"), topics.telemetry("+", "+")


async def _show(live: Live, view: RunView) -> None:
    while True:
        live.update(view.table(), refresh=True)
        await asyncio.sleep(_EVERY_S)
