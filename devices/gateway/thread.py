"""A gateway with a thread and an event loop of its own.

An emergency stop has to go out while the rest of the process computes, as the market does when it clears. So
bus and links of a gateway that commands hardware are served by a thread that shares nothing with the rest but
what never changes.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import Any, Self

from devices.gateway.service import GatewayService
from devices.gateway.stopping import call_in

Make = Callable[[AsyncExitStack], Coroutine[Any, Any, GatewayService]]


class GatewayThread:
    """Runs a `GatewayService` in its own thread; an asynchronous context manager.

    Parameters
    ----------
    make
        Makes the service, in that thread; what it opens goes onto the stack.

    Raises
    ------
    Exception
        On entering, whatever ``make`` raises.
    """

    def __init__(self, make: Make) -> None:
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="gateway")
        self._task: asyncio.Task[Any] | None = None
        self._made: Future[GatewayService] = Future()
        self._ended: Future[None] = Future()
        self._begin = asyncio.Event()
        self._is_ending = False

    async def __aenter__(self) -> Self:
        """Start the thread, and wait until the service is made."""
        self._thread.start()
        try:
            self._service = await asyncio.wrap_future(self._made)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the thread; hardware goes to its safe value if the run has not ended."""
        await self._end()

    @property
    def armed(self) -> int:
        """Number of pieces of hardware that it may command."""
        return self._service.armed

    @property
    def left(self) -> list[str]:
        """What could not be handed back at the end, as in `GatewayService`."""
        return self._service.left

    async def arming(self) -> list[str]:
        """What a person at the hardware has to know, as in `GatewayService`."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._service.arming(), self._loop))

    def stop_now(self, by: str, reason: str) -> None:
        """Begin an emergency stop, from any thread, without waiting for anything."""
        self._service.stop_now(by, reason)

    def end_now(self) -> None:
        """End the service as a signal does, from any thread, without waiting for anything."""
        call_in(self._loop, self._cancel)

    async def run(self) -> None:
        """Serve until the clock ends the run; raises what the service raises.

        Cancelled, it goes on until hardware was brought to its safe value.
        """
        call_in(self._loop, self._begin.set)
        try:
            await asyncio.shield(asyncio.wrap_future(self._ended))
        except asyncio.CancelledError:
            await self._end()
            raise

    async def _end(self) -> None:
        """End the thread and wait for that, however often this task is cancelled meanwhile."""
        self.end_now()
        ended = asyncio.wrap_future(self._ended)
        while not ended.done():
            try:
                await asyncio.wait({ended})
            except asyncio.CancelledError:
                continue
        # What went wrong was raised by `run`, or on entering.
        ended.exception()
        self._thread.join()

    def _work(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._serve())
        except asyncio.CancelledError:
            self._finish(None)
        # Whatever ends the thread is raised by whoever waits for it.
        except BaseException as error:  # noqa: BLE001
            self._finish(error)
        else:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        if not self._made.done():
            self._made.set_exception(error or asyncio.CancelledError())
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    async def _serve(self) -> None:
        self._task = asyncio.current_task()
        if self._is_ending:
            return
        async with AsyncExitStack() as stack:
            service = await self._make(stack)
            self._made.set_result(service)
            await self._begin.wait()
            await service.run()

    def _cancel(self) -> None:
        self._is_ending = True
        if self._task is not None:
            self._task.cancel()
