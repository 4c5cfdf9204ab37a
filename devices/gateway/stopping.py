"""Armed hardware as a whole: what is said of it at arming, and how it is brought to its safe values."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress

from broker.patience import Patience
from devices.errors import DeviceError
from devices.gateway.actuator import Actuator
from devices.registers.rating_trust import rating_doubt

SECURED_WITHIN_S = 30.0
"""How long a process that ends goes on with hardware that is slow [s]; nobody should kill it before."""

_STOP_EVERY_S = 0.5
_HAND_BACK_ATTEMPTS = 3
_FAILED_FOR_GOOD = 2
_LOOK_EVERY_S = 0.1

log = logging.getLogger(__name__)

Report = Callable[[Actuator, str], None]


async def keep_stopping(actuators: Sequence[Actuator], report: Report) -> None:
    """Send each device that was barred its safe value twice a second until all show it.

    Parameters
    ----------
    actuators
        The devices.
    report
        Called after each attempt with the device and what failed, empty where it is safe.
    """
    await asyncio.gather(*(_until_safe(actuator, report) for actuator in actuators))


async def secure(actuators: Sequence[Actuator], reason: str, within_s: float) -> list[str]:
    """Bring armed hardware to its safe value before a process ends; returns what is not there, which is said.

    Once ``within_s`` is over a device is given up that has failed twice in a row. One that is slow is waited
    for, as on a serial line that many devices share, for half a minute at most.
    """
    hardware = [actuator for actuator in actuators if actuator.limits.real and actuator.limits.armed]
    failed: dict[Actuator, list[str]] = {actuator: [] for actuator in hardware}

    def report(actuator: Actuator, problem: str) -> None:
        if problem:
            failed[actuator].append(problem)

    for actuator in hardware:
        actuator.bar(reason)
    work = asyncio.ensure_future(keep_stopping(hardware, report))
    is_over = asyncio.Event()
    patience = Patience(is_over.set)
    patience.begin(SECURED_WITHIN_S)
    patience_s = within_s
    try:
        while not (await asyncio.wait({work}, timeout=patience_s))[0]:
            left = [each for each in hardware if not each.is_safe]
            if all(len(failed[each]) >= _FAILED_FOR_GOOD for each in left):
                break
            if is_over.is_set():
                break
            if patience_s == within_s:
                log.error("not yet at their safe values, going on: %s", "; ".join(map(str, left)))
            patience_s = _LOOK_EVERY_S
    finally:
        patience.close()
        work.cancel()
        await asyncio.wait({work})
    if not work.cancelled():
        work.result()
    lines = [f"{each}: {(failed[each] or ['no answer yet'])[-1]}" for each in hardware if not each.is_safe]
    for line in lines:
        log.error("NOT AT ITS SAFE VALUE, see to it there: %s", line)
    return lines


async def hand_back(release: Callable[[], Awaitable[list[str]]], left: list[str]) -> None:
    """Release hardware at the end of a run, and try again where that fails.

    Nobody takes a report any more, so that what fails is said at once. What stays as it was ends by its own
    timer, where it has one.

    Parameters
    ----------
    release
        Releases what is not released yet; returns what failed, one line for each device.
    left
        What could not be released, for whoever runs this.
    """
    for attempts_left in range(_HAND_BACK_ATTEMPTS - 1, -1, -1):
        failed = await release()
        for line in failed:
            if not attempts_left:
                log.error("not handed back: %s", line)
            elif line not in left:
                log.error("not handed back, trying again: %s", line)
        left[:] = failed
        if not failed:
            return
        if attempts_left:
            await asyncio.sleep(_STOP_EVERY_S)


async def to_its_end(work: Coroutine[None, None, object]) -> None:
    """Let work end although this task is cancelled again and again, as by a second Ctrl-C."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            continue


def call_in(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: object) -> None:
    """Call a function in an event loop, from any thread; nothing happens where the loop has ended."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


async def arming(actuators: Sequence[Actuator]) -> list[str]:
    """Which hardware is commanded, and what becomes of each when nobody commands it any more."""
    return await asyncio.gather(*(_armed_line(actuator) for actuator in actuators if actuator.limits.real))


async def _until_safe(actuator: Actuator, report: Report) -> None:
    loop = asyncio.get_running_loop()
    while not actuator.is_safe:
        began = loop.time()
        try:
            await actuator.stop(actuator.stopped)
        # Whatever goes wrong with one device, it is tried again, and the others go on.
        except Exception as error:  # noqa: BLE001
            report(actuator, str(error) or repr(error))
            await asyncio.sleep(max(0.0, began + _STOP_EVERY_S - loop.time()))
        else:
            report(actuator, "")


async def _armed_line(actuator: Actuator) -> str:
    """What a person at the device has to know of it."""
    limits = actuator.limits
    if not limits.armed:
        return f"{actuator}: only observed"
    per_day = limits.writes_per_day
    budget = f"at most {per_day} writes a day for set-points; " if per_day else ""
    tripped = f"HELD AT ITS SAFE VALUE, {actuator.tripped}; " if actuator.tripped else ""
    line = f"{actuator}: armed, {limits.words}; {tripped}{budget}"
    shown_kw: float | None = None
    try:
        stays = await actuator.inverter.port.holds_for_good()
        reverts = await actuator.inverter.revert_point()
        holds = await actuator.inverter.fallback_stays_within()
        ratings = await actuator.inverter.ratings()
    except DeviceError as error:
        return f"{line}not reached yet, so it is not known whether it falls back by itself ({error})"
    with suppress(DeviceError):  # One that is asleep shows nothing.
        shown_kw = await actuator.inverter.power_kw()
    if doubt := rating_doubt(ratings, limits.rated_kw, shown_kw):
        line += f"DOUBTFUL, IT {doubt}; where power is a share of its rating it gets none but 0; "
    line += (
        "at the end it stays within, not free; "
        if stays or holds
        else "at the end it stays within UNTIL ITS OWN TIMER FREES IT; "
    )
    if not stays:
        line += "its own timer ENDS A STOP, TOO, when this gateway is dead; "
    if reverts is None:
        return (
            f"{line}DOES NOT FALL BACK BY ITSELF: if this gateway dies it keeps its last set-point; "
            "otherwise it is released when that ends"
        )
    return line + (
        "falls back by itself, within its envelope"
        if holds
        else "falls back by itself, but LEAVES ITS ENVELOPE when it does and this gateway is dead"
    )
