"""A feeder in a thread of its own, for the event loop: solutions never block it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from cosim.feeder.circuit import AcState, FeederLayout, Floats
from cosim.feeder.opendss import Feeder

P = ParamSpec("P")
T = TypeVar("T")


class FeederOwner:
    """The one owner of a `Feeder`, as an async context manager.

    Calls are answered one after the other in the order in which they were made. Errors are those of `Feeder`.

    Parameters
    ----------
    make
        Builds the feeder; called in the owner's thread on entry.

    Examples
    --------
    >>> async with FeederOwner(Feeder) as feeder:  # doctest: +SKIP
    ...     state = await feeder.solve(net_kw, net_kvar)
    """

    def __init__(self, make: Callable[[], Feeder]) -> None:
        self._make = make
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="feeder")
        self._feeder: Feeder | None = None

    async def __aenter__(self) -> Self:
        try:
            self._feeder = await self._call(self._make)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A long piece of work that was given up must not keep the process.
        self._owned.stop()
        try:
            # Behind whatever calls were given up: the feeder ends in the thread in which it lived.
            await self._call(self._release)
        finally:
            self._thread.shutdown(wait=False)

    @property
    def layout(self) -> FeederLayout:
        """The facts of all that the feeder can come to feed."""
        return self._owned.widest.layout

    async def solve(self, net_kw: Floats, net_kvar: Floats) -> AcState:
        """`Feeder.solve`."""
        return await self._call(self._owned.solve, net_kw, net_kvar)

    async def perform(
        self, work: Callable[Concatenate[Feeder, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Have ``work`` done with the feeder, in its thread."""
        return await self._call(work, self._owned, *args, **kwargs)

    @property
    def _owned(self) -> Feeder:
        if self._feeder is None:
            raise RuntimeError("FeederOwner is used outside its `async with` block")
        return self._feeder

    def _release(self) -> None:
        self._feeder = None

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))
