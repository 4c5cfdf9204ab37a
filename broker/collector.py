"""The wait for what several senders have to say in a tick: until all have, or the gate closes."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

from broker import wall_time
from broker.patience import GLANCE_S, LATE_S, LEAST_LOOK_S

T = TypeVar("T")

ASK_AFTER_S = 1.0
"""When nothing came for so long, what is missing is asked for again [s]; earlier where the gate is near."""

_ASK_FIRST = 16
# It is asked for by then although more comes in, as a share of the time until the gate.
_ASK_WITHIN = 0.75


class Late(ValueError):
    """A message came after the gate that it was meant for had closed."""


class Collector(Generic[T]):
    """What came in for each tick, by sender, and the wait for all of them.

    Where a tick has rounds, each is waited for by itself, in their order.

    Parameters
    ----------
    expected
        Keys that must speak in every tick.
    ask
        Asks for what is missing again: called with tick and keys while a wait lasts.
    """

    def __init__(
        self, expected: Collection[str], ask: Callable[[int, Collection[str]], None] | None = None
    ) -> None:
        self.expected = tuple(sorted(expected))
        self._known = frozenset(expected)
        self._ask = ask
        self._changed = asyncio.Event()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget everything: ticks that were waited for come again."""
        self._closed, self._over = (-1, 0), -1
        self._moved: tuple[float, float, float] | None = None
        self._have: dict[tuple[int, int], dict[str, T]] = defaultdict(dict)

    def end_before(self, tick: int) -> None:
        """Wait no longer for anything of earlier ticks, which are over."""
        self._over = max(self._over, tick)
        self._changed.set()

    def move_gates(self, opened: float, deadline: float, now_opened: float, now_deadline: float) -> None:
        """Move the gates of a step from its planned window to where it has opened, if that is earlier [s]."""
        scale = (now_deadline - now_opened) / max(deadline - opened, 1e-9)
        self._moved = opened, now_opened, scale
        self._changed.set()

    def keep_gates(self) -> None:
        """Take gates as they are given from now on: the next step has begun."""
        self._moved = None

    def _gate(self, deadline: float) -> float:
        """Where a gate is now."""
        if self._moved is None or deadline <= self._moved[0]:
            return deadline
        opened, now_opened, scale = self._moved
        return min(deadline, now_opened + scale * (deadline - opened))

    def add(self, key: str, tick: int, item: T, round_: int = 0) -> None:
        """Take an item in.

        Raises
        ------
        ValueError
            Nobody expects the key, or it has spoken already.
        Late
            The gate has closed.
        """
        if key not in self._known:
            raise ValueError(f"{key} is not expected here")
        if (tick, round_) <= self._closed:
            raise Late(f"message of tick {tick} came after the gate")
        here = self._have[tick, round_]
        if key in here:
            raise ValueError(f"{key} has spoken already in tick {tick}")
        here[key] = item
        self._changed.set()

    async def wait(
        self, tick: int, deadline: float, round_: int = 0, among: Collection[str] | None = None
    ) -> dict[str, T]:
        """What has come once all, or those ``among``, have spoken, or at ``deadline`` [s].

        Items are in the order of ``expected``; those of others than ``among`` are among them.
        """
        wanted = self.expected if among is None else tuple(key for key in self.expected if key in among)
        here = self._have[tick, round_]
        loop = asyncio.get_running_loop()
        # Who comes late itself looks at what came in meanwhile before it blames others, once.
        looks_until = loop.time() + GLANCE_S
        left_s = max(GLANCE_S, self._gate(deadline) - wall_time.now())
        pause_s = min(ASK_AFTER_S, left_s / 4.0)
        look_s, may_look, was_late = max(LEAST_LOOK_S, pause_s), True, False
        ask_at = loop.time() + pause_s if self._ask is not None else math.inf
        ask_by, seen = loop.time() + _ASK_WITHIN * left_s, len(here)
        # Lengths first: thousands of senders wake this wait one by one.
        while tick >= self._over and (len(here) < len(wanted) or any(key not in here for key in wanted)):
            self._changed.clear()
            now_s = loop.time()
            left_s = max(0.0, self._gate(deadline) - wall_time.now(), looks_until - now_s)
            until_ask_s = max(0.0, ask_at - now_s)
            try:
                async with asyncio.timeout(min(left_s, until_ask_s)):
                    await self._changed.wait()
            except TimeoutError:
                was_late |= loop.time() > now_s + min(left_s, until_ask_s) + LATE_S
                if left_s <= until_ask_s or self._ask is None:
                    if may_look and was_late:
                        may_look, looks_until = False, loop.time() + look_s
                        continue
                    break
                if len(here) > seen and loop.time() < ask_by:
                    # They are still coming in: what is on its way is not lost.
                    seen, ask_at = len(here), min(loop.time() + pause_s, ask_by)
                    continue
                missing = [key for key in wanted if key not in here]
                # Where nobody has spoken they are rather not ready: a few will show that.
                self._ask(tick, missing if here else missing[:_ASK_FIRST])
                pause_s *= 2.0
                ask_at = loop.time() + pause_s
        self._closed = (tick, round_)
        for past in [when for when in self._have if when <= self._closed]:
            del self._have[past]
        return {key: here[key] for key in self.expected if key in here}

    def missing(self, have: Collection[str]) -> list[str]:
        """Keys that were expected and are not in ``have``."""
        return [key for key in self.expected if key not in have]
