"""What a poll asks of each device, and what it has brought in so far."""

from collections.abc import Awaitable, Callable

import msgspec

from broker.messages import CommandedDevice
from devices.client.drivers import Inverter, InverterValues, MeterValues, State
from devices.endpoint import ChargingWish
from devices.gateway.actuator import Actuator
from devices.ports import InverterPort, MeterPort
from devices.registers.ratings import Ratings

NO_RATINGS = Ratings(None)
"""In place of a meter's, which has none."""


class PollResult(msgspec.Struct):
    """What one poll has brought in so far; one line for each device that failed, or that others wrote to.

    ``incomplete`` are prosumers whose meter answered, but did not tell what a reading needs.
    """

    meters: dict[str, MeterValues] = {}
    inverters: dict[tuple[str, CommandedDevice], InverterValues] = {}
    problems: list[str] = []
    overwritten: list[str] = []
    incomplete: set[str] = set()


Note = Callable[[Ratings, State, PollResult], None]
"""Takes in what a device tells."""


class PollItem(msgspec.Struct, frozen=True):
    """One device to be read in a poll: whose, whether a meter, how it is asked, and whether twice at need.

    ``note`` takes in what is known of ratings, and the state, where it is read together with others.
    """

    prosumer: str
    port: MeterPort
    is_meter: bool
    read: Callable[[PollResult], Awaitable[None]]
    insists: bool = False
    note: Note | None = None


async def poll_meter(port: MeterPort, note: Note, result: PollResult) -> None:
    """Read a meter by itself."""
    note(NO_RATINGS, await port.state(), result)


async def poll_inverter(port: InverterPort, note: Note, result: PollResult) -> None:
    """Read an inverter by itself, whose ratings and state tell all."""
    ratings = await port.ratings()
    note(ratings, await port.state(), result)


def note_meter(prosumer: str, _: Ratings, state: State, result: PollResult) -> None:
    """Take the state of a meter."""
    result.meters[prosumer] = MeterValues.of(state)


def note_pv(prosumer: str, ratings: Ratings, state: State, result: PollResult) -> None:
    """Take the state of a PV inverter."""
    result.inverters[prosumer, "pv"] = InverterValues.of_pv(ratings, state)


def note_battery(
    prosumer: str, efficiency: float, horizon_s: float, ratings: Ratings, state: State, result: PollResult
) -> None:
    """Take the state of a battery; ``horizon_s`` is for how long it must hold what it offers [s]."""
    values = InverterValues.of_battery(ratings, state, efficiency, horizon_s)
    result.inverters[prosumer, "battery"] = values


async def poll_ev(
    prosumer: str, charger: Inverter, wish: ChargingWish, horizon_s: float, result: PollResult
) -> None:
    """Read a charger; ``horizon_s`` is how long a set-point will hold [s]."""
    result.inverters[prosumer, "ev"] = await charger.ev_values(wish, horizon_s)
    if charger.fell_kwh:
        result.problems.append(
            f"ev of {prosumer} ({charger.port.endpoint}): its energy counter fell by {charger.fell_kwh:.3g} "
            "kWh; what a vehicle has drawn is counted on from there: see whether it was started anew"
        )


async def poll_load(prosumer: str, load: Inverter, horizon_s: float, result: PollResult) -> None:
    """Read a flexible load; ``horizon_s`` is how long a set-point will hold [s]."""
    result.inverters[prosumer, "load"] = await load.load_values(horizon_s)


async def check_written(actuator: Actuator, result: PollResult) -> None:
    """See whether a device still holds what was written to it."""
    if found := await actuator.overwritten():
        result.overwritten.append(found)
