"""What a gateway that is started again must know of hardware: writes of the day, and what is in force there.

It is written down before a set-point goes out, so that it holds whatever ends the gateway.
"""

import asyncio
import math
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from devices.durable_file import replace_durably
from devices.errors import HardwareRecordError
from devices.gateway.delivery import Delivery
from devices.gateway.safe_value import SafeValue
from devices.gateway.set_point_state import SetPointState
from sharegrid.decoding import decode_json

# How long a set-point waits for the disk [s].
_PATIENCE_S = 2.0


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is known of one piece of hardware; times are seconds since epoch.

    ``in_force`` says that a set-point, or a release that has to be written again and again, may stand there.
    The set-point ends at ``ends``; ``None`` is never. ``written`` is when it was written to last, ``tripped``
    what it did by itself, for which it takes no set-point any more.
    """

    writes: int = 0
    day_began: float = 0.0
    written: float = 0.0
    in_force: bool = False
    ends: float | None = None
    tripped: str = ""


class HardwareRecord:
    """File of what is known of the hardware of a run's gateway.

    Parameters
    ----------
    path
        The file; its folder is made where it is missing.
    flag
        Called with what went wrong where the file cannot be written; commands go on.

    Raises
    ------
    HardwareRecordError
        There is a file that cannot be read.
    """

    def __init__(self, path: Path, flag: Callable[[str], None]) -> None:
        self._path = path
        self._flag = flag
        self._devices = _read(path)
        self._written = self._devices.copy()
        self._writing: asyncio.Task[None] | None = None

    def of(self, device: str) -> Kept:
        """What was known of a device when it was written down last."""
        return self._devices.get(device, Kept())

    def note(self, device: str, kept: Kept) -> None:
        """Take in what is known of a device now; it is written soon."""
        self._devices[device] = kept
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="hardware record")

    async def written(self, within_s: float = math.inf, or_else: asyncio.Event | None = None) -> None:
        """Wait until all that was noted is on the disk, or was found not to go there.

        Parameters
        ----------
        within_s
            How long to wait at most [s].
        or_else
            Ends the wait, too.
        """
        if self._writing is None:
            return
        ends = [] if or_else is None else [asyncio.create_task(or_else.wait())]
        timeout = within_s if math.isfinite(within_s) else None
        await asyncio.wait([self._writing, *ends], timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()

    async def _write(self) -> None:
        while self._devices != self._written:
            self._written = self._devices.copy()
            try:
                await asyncio.to_thread(_write, self._path, self._written)
            except OSError as error:
                self._flag(f"{self._path}: writes of the day and set-points are not written down: {error}")


class HardwareMemory:
    """Keeps what is known of one piece of hardware in a record, and takes up what an earlier gateway left.

    What was in force then ends when it would have ended; a release that has to be kept is written at once.

    Parameters
    ----------
    record
        Where it is kept.
    device
        Its name there.
    delivery
        Way for commands to it.
    state
        State of its set-point.
    safe
        Its safe value, which stands where it was tripped.
    now
        Clock of ramps and validity [s].
    """

    def __init__(
        self,
        record: HardwareRecord,
        device: str,
        delivery: Delivery,
        state: SetPointState,
        safe: SafeValue,
        now: Callable[[], float],
    ) -> None:
        self._record = record
        self._device = device
        self._delivery = delivery
        self._state = state
        self._safe = safe
        self._now = now
        self._is_urgent = asyncio.Event()
        self._recall(record.of(device))

    def note(self, *, is_writing: bool = False) -> None:
        """Note what is known now; ``is_writing`` says that a command is about to go out."""
        state, budget, times = self._state, self._delivery.budget, self._delivery.times
        now = time.time()
        ahead_s = now - self._now()
        ends = 0.0 if not state.is_active else state.until_s + ahead_s
        kept = Kept(
            writes=budget.used,
            day_began=now - budget.age_s if budget.used else 0.0,
            written=now if is_writing else max(times.written_s + ahead_s, 0.0),
            in_force=state.is_active or state.keeps_release,
            ends=ends if math.isfinite(ends) else None,
            tripped=self._safe.tripped,
        )
        self._record.note(self._device, kept)

    async def noted(self) -> None:
        """Note that a command is about to go out, and wait for the disk, for a moment at most."""
        self.note(is_writing=True)
        if not self._is_urgent.is_set():
            await self._record.written(_PATIENCE_S, self._is_urgent)

    def hurry(self) -> None:
        """Wait for the disk no more: what is to be sent must not."""
        self._is_urgent.set()

    def _recall(self, kept: Kept) -> None:
        # Where the clock was set back, all of it happened just now: no set-point lasts longer for that.
        now = max(time.time(), kept.written)
        self._delivery.budget.recall(kept.writes, max(0.0, now - kept.day_began))
        if kept.written:
            self._delivery.times.written_s = self._now() - max(0.0, now - kept.written)
        if kept.tripped:
            self._safe.trip(kept.tripped)
        if kept.in_force:
            self._state.is_active = True
            self._state.until_s = math.inf if kept.ends is None else self._now() + kept.ends - now


def _read(path: Path) -> dict[str, Kept]:
    try:
        return decode_json(path.read_bytes(), dict[str, Kept])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as error:
        raise HardwareRecordError(
            f"{path}: cannot be read ({error}); it says what is in force at hardware: see to that there, "
            "then remove the file"
        ) from None


def _write(path: Path, devices: dict[str, Kept]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(path, msgspec.json.encode(devices))
