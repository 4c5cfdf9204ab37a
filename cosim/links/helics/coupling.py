"""A run in step with a federation: what others set before an interval, and what they are told after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from broker.messages import BoundaryValues
from cosim.control.waiting import wait_within
from cosim.links.helics import boundary, figures
from cosim.links.helics.federate import Federate, FederateOptions, FederationError, join
from cosim.observation.listening import hearing
from cosim.run_setup import RunSetup
from market.model.case import Grid

_HEARING_S = 10.0


class Federation:
    """See `cosim.control.coupling.Coupling`.

    Parameters
    ----------
    federate
        This run to the others.
    inputs, told
        What is taken, and what is told.
    grid_at
        The grid and its prices of an interval by the scenario.
    interval_s
        Length of an interval [s]; interval k begins at time ``k * interval_s`` of the federation.
    takes
        Inputs that are connected.
    holds
        Whether the run goes on without the others once they are lost.
    """

    def __init__(
        self,
        federate: Federate,
        inputs: boundary.Inputs,
        told: figures.Figures,
        grid_at: Callable[[int], Grid],
        *,
        interval_s: float,
        takes: frozenset[str],
        holds: bool,
    ) -> None:
        self._federate = federate
        self._inputs = inputs
        self._told = told
        self._grid_at = grid_at
        self._interval_s = interval_s
        self._takes = takes
        self._holds = holds
        self._is_lost = False
        self._silent: frozenset[str] = frozenset()
        self._heard = asyncio.Event()

    async def before(self, tick: int) -> tuple[BoundaryValues | None, list[str]]:
        """See `Coupling.before`."""
        known = partial(self._inputs.boundary, self._grid_at(tick))
        if self._is_lost:
            return known()[0], ["without the federation: what it told last stands"]
        try:
            if tick:
                await self._federate.request(tick * self._interval_s)
        except FederationError as error:
            return known()[0], [self._lose(error)]
        news = self._federate.told()
        flags = self._inputs.take(news)
        silent = self._takes - news.keys()
        flags += [
            f"the federation tells no {key} for this interval: what it told last stands"
            for key in sorted(silent - self._silent)
        ]
        self._silent = silent
        told, refused = known()
        return told, flags + refused

    async def after(self, tick: int) -> list[str]:
        """See `Coupling.after`."""
        if self._is_lost:
            return []
        if not await wait_within(self._heard, lambda: self._told.is_whole(tick), _HEARING_S):
            return [f"the federation was told of interval {tick} only in part"]
        try:
            self._federate.publish(self._told.values(tick))
        except FederationError as error:
            return [self._lose(error)]
        return []

    async def hear(self, url: str, run: str, ready: asyncio.Event) -> None:
        """Hear what is to be told, until cancelled."""
        async with hearing(url, run, "helics", self._told.topics, patience_s=float("inf")) as heard:
            ready.set()
            async for message, _ in heard.messages():
                self._told.take(message)
                self._heard.set()

    def _lose(self, error: FederationError) -> str:
        if not self._holds:
            raise error
        self._is_lost = True
        return f"{error}; the run goes on with what it told last"


@asynccontextmanager
async def federation(options: FederateOptions, setup: RunSetup) -> AsyncIterator[Federation]:
    """A run as a federate, for the time of a ``with`` block.

    Raises
    ------
    FederationError
        There is no federation, or something that is to be taken of it is not there.
    """
    lams, nodes = setup.world.roster.lams, setup.world.layout.nodes
    try:
        takes = boundary.parse_takes(options.takes, lams)
    except ValueError as error:
        raise FederationError(f"--take {error}") from None
    federate = await join(options)
    try:
        federate.register(boundary.keys(lams), figures.keys(nodes, lams), takes)
        coupled = Federation(
            federate,
            boundary.Inputs(lams),
            figures.Figures(nodes, lams),
            lambda tick: setup.world.rules.terms(tick).grid,
            interval_s=setup.world.timeline.interval_h * 3600.0,
            takes=frozenset(takes),
            holds=options.on_loss == "hold",
        )
        ready = asyncio.Event()
        hearing_task = asyncio.create_task(coupled.hear(setup.url, setup.run_id, ready))
        try:
            await ready.wait()
            await federate.enter()
            yield coupled
        finally:
            hearing_task.cancel()
            await asyncio.gather(hearing_task, return_exceptions=True)
    finally:
        await federate.leave()
