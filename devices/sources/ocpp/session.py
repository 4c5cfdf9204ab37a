"""One charger that is connected, whichever version it speaks: limits out, what stands back."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from ocpp.exceptions import OCPPError
from ocpp.routing import on
from websockets.exceptions import ConnectionClosed

from broker.patience import within
from devices.errors import DeviceError, DeviceFailure, DeviceTimeout, MalformedReply

# Chargers take their time, above all over mobile networks [s].
ANSWER_WITHIN_S = 5.0
LIBRARY_WITHIN_S = 86_400.0
"""The library keeps no time: its timers would blame a charger while this process was held up [s]."""

Handler = TypeVar("Handler", bound=Callable[..., object])


class Limit(NamedTuple):
    """One charging profile: its number, its level, and the most that may be drawn [W].

    Of two profiles the one of the higher level counts, for as long as it lasts: ``seconds``, or ``None`` for
    good.
    """

    number: int
    level: int
    watts: float
    seconds: int | None


class Session(Protocol):
    """Connection of one charger."""

    async def set_limit(self, connector: int, limit: Limit) -> None:
        """Install a limit; raises `DeviceError` where it is not accepted."""
        ...

    async def clear_limit(self, number: int) -> None:
        """Remove a limit; one that is not there is removed already."""
        ...

    async def shown_w(self, connector: int) -> float | None:
        """What the charger says that may be drawn now [W]; ``None`` where it does not say."""
        ...

    async def ask_for_state(self, connector: int) -> None:
        """Ask for what would otherwise be told at the next change."""
        ...

    async def start(self) -> None:
        """Serve the connection until it ends."""
        ...

    async def leave(self) -> None:
        """End the connection."""
        ...


def handles(action: str) -> Callable[[Handler], Handler]:
    """Mark what answers a kind of message; it has to take whatever fields chargers may add."""
    return cast("Callable[[Handler], Handler]", on(action))


async def answer_of(charger: Any, payload: object, name: str) -> Any:
    """Answer of a charger to a request; raises `DeviceError`."""
    try:
        async with within(ANSWER_WITHIN_S):
            return await charger.call(payload, suppress=False)
    except TimeoutError:
        error: DeviceError = DeviceTimeout(f"{name} did not answer within {ANSWER_WITHIN_S:g} s; check it")
    except ConnectionClosed:
        error = DeviceTimeout(f"{name} closed its connection; check its network")
    except OCPPError as refused:
        what = type(payload).__name__
        error = DeviceFailure(f"{name} refuses {what}: {refused}; check what it supports")
    except (KeyError, TypeError, ValueError) as wrong:
        error = MalformedReply(f"{name} answered something else: {wrong!r}; check its firmware")
    raise error from None


def accepted(status: str, name: str, what: str) -> None:
    """Refuse what a charger does not accept; raises `DeviceFailure`."""
    if status != "Accepted":
        raise DeviceFailure(f"{name} answers {what} with {status}; check that it allows smart charging")


def shown_limit_w(schedule: Any, volts: float = 230.0) -> float | None:
    """First limit of a composite schedule [W]; amperes count per phase, three unless it says otherwise."""
    try:
        first = schedule["charging_schedule_period"][0]
        limit = float(first["limit"])
        if schedule["charging_rate_unit"] == "W":
            return limit
        return limit * volts * int(first.get("number_phases") or 3)
    except (KeyError, IndexError, TypeError, ValueError):
        return None
