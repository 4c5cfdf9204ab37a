"""One poll of many devices: what is asked in which order, what came in, and what stands in for the rest."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from broker.messages import Quality
from broker.patience import within
from broker.snapshot import Values, typed
from devices.endpoint import Link
from devices.errors import DeviceError, IncompleteReading
from devices.gateway.poll_items import PollItem, PollResult
from devices.gateway.together import read_together

V = TypeVar("V")

# A meter on which settlement rests is asked once more after this [s], by when a unit that was silent is no
# longer left alone.
_AGAIN_AFTER_S = 2.1


class PollProgress:
    """Which prosumers a poll is done with, while it goes on with others.

    Parameters
    ----------
    items
        All devices that it reads.
    take
        Called with the names of prosumers of whom everything was asked, in parts.
    part
        Prosumers in a part.
    """

    def __init__(
        self, items: Iterable[PollItem], take: Callable[[list[str]], None], part: int = 1_000
    ) -> None:
        self._left = Counter(item.prosumer for item in items)
        self._take = take
        self._part = part
        self._done: list[str] = []

    def finish(self, item: PollItem) -> None:
        """Note that a device was asked for the last time."""
        self._left[item.prosumer] -= 1
        if not self._left[item.prosumer]:
            self._done.append(item.prosumer)
        if len(self._done) >= self._part:
            self._hand_on()

    def end(self) -> None:
        """Hand on the rest, also those who were not reached."""
        self._done += [name for name, left in self._left.items() if left]
        self._hand_on()

    def _hand_on(self) -> None:
        done, self._done = self._done, []
        if done:
            self._take(done)


async def poll_link(
    link: Link,
    items: Sequence[PollItem],
    result: PollResult,
    finish: Callable[[PollItem], None],
    *,
    inverters: bool,
    limit_s: float,
) -> None:
    """Read the devices on one link: together where it bears that, else one after another.

    Meters come first, because settlement rests on them; devices that were silent last, for they cost time.
    What insists and failed, but was well before, is read once more when the others were.

    Parameters
    ----------
    link
        The link.
    items
        Its devices.
    result
        Where values and problems go.
    finish
        Called with each device that is asked no more.
    inverters
        Whether to read more than the meters.
    limit_s
        Longest time for all of them [s].
    """
    wanted = [item for item in items if inverters or item.is_meter]
    wanted.sort(key=lambda item: (item.port.silent_times, not item.is_meter))
    reached = 0
    failed: list[tuple[PollItem, str]] = []

    def finish_together(item: PollItem) -> None:
        nonlocal reached
        reached += 1
        finish(item)

    try:
        async with within(limit_s):
            for item in await read_together(wanted, result, finish_together):
                try:
                    await item.read(result)
                except DeviceError as error:
                    result.problems.append(str(error))
                    if item.is_meter and isinstance(error, IncompleteReading):
                        result.incomplete.add(item.prosumer)
                    if item.insists:
                        failed.append((item, str(error)))
                    else:
                        finish(item)
                else:
                    finish(item)
                reached += 1
            await _read_again(failed, result)
    except TimeoutError:
        if reached < len(wanted):
            result.problems.append(
                f"{len(wanted) - reached} devices at {link} were not read within {limit_s:g} s; "
                "use more links or a longer live.poll_limit_s"
            )
    for item, _ in failed:
        finish(item)


async def _read_again(failed: Sequence[tuple[PollItem, str]], result: PollResult) -> None:
    """Read what failed once more, unless it failed before; where that works there was no problem."""
    again = [(item, problem) for item, problem in failed if item.port.silent_times <= 1]
    if again:
        await asyncio.sleep(_AGAIN_AFTER_S)
    for item, problem in again:
        with suppress(DeviceError):
            await item.read(result)
            result.problems.remove(problem)


class Memory(Generic[V]):
    """Last good values of one device, when they were read, and for how many polls they have stood in.

    Attributes
    ----------
    read_at
        When the device was last read [s since epoch].
    """

    def __init__(self, hold_polls: int) -> None:
        self._hold_polls = hold_polls
        self._values: V | None = None
        self._failed = 0
        self.read_at: float | None = None

    def snapshot(self) -> Values:
        """What stands in, and since when."""
        return {"values": self._values, "failed": self._failed, "read_at": self.read_at}

    def restore(self, values: Values, kind: type[V]) -> None:
        """Go on from a snapshot of values of a ``kind``; raises ``ValueError`` where it is another's."""
        self._values = None if values.get("values") is None else typed(values, "values", kind)
        self._failed = typed(values, "failed", int)
        self.read_at = None if values.get("read_at") is None else typed(values, "read_at", float)

    def remember(self, values: V | None, age_s: float = 0.0) -> tuple[Quality, V | None]:
        """Take a poll's result in, ``None`` for a failure; returns what counts now.

        ``age_s`` is how old it is by the device [s].
        """
        if values is not None:
            self._values, self._failed, self.read_at = values, 0, time.time() - age_s
            return "good", values
        self._failed += 1
        if self._values is not None and self._failed <= self._hold_polls:
            return "held", self._values
        return "missing", None
