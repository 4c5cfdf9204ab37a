"""What a poll asks of each device, and what it has brought in so far."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from broker.messages import CommandedDevice
from devices.client.drivers import Inverter, InverterValues, Meter, MeterValues
from devices.endpoint import ChargingWish
from devices.gateway.actuator import Actuator
from devices.ports import MeterPort
from devices.registers.ratings import Ratings

State = Mapping[str, float | None]


class PollResult(msgspec.Struct):
    """What one poll has brought in so far; one line for each device that failed, or that others wrote to."""

    meters: dict[str, MeterValues] = {}
    inverters: dict[tuple[str, CommandedDevice], InverterValues] = {}
    problems: list[str] = []
    overwritten: list[str] = []


class PollItem(msgspec.Struct, frozen=True):
    """One device to be read in a poll: whose, whether a meter, how it is asked, and whether twice at need.

    ``note`` takes in what is known of ratings, and the state, where it is read together with others.
    """

    prosumer: str
    port: MeterPort
    is_meter: bool
    read: Callable[[PollResult], Awaitable[None]]
    insists: bool = False
    note: Callable[[Ratings, State, PollResult], None] | None = None


async def poll_meter(prosumer: str, meter: Meter, result: PollResult) -> None:
    """Read a meter."""
    result.meters[prosumer] = await meter.values()


def note_meter(prosumer: str, meter: Meter, _: Ratings, state: State, result: PollResult) -> None:
    """Take the state of a meter."""
    result.meters[prosumer] = meter.values_of(state)


async def poll_pv(prosumer: str, pv: Inverter, result: PollResult) -> None:
    """Read a PV inverter."""
    result.inverters[prosumer, "pv"] = await pv.pv_values()


def note_pv(prosumer: str, pv: Inverter, ratings: Ratings, state: State, result: PollResult) -> None:
    """Take the state of a PV inverter."""
    result.inverters[prosumer, "pv"] = pv.pv_values_of(ratings, state)


async def poll_battery(
    prosumer: str, battery: Inverter, efficiency: float, horizon_s: float, result: PollResult
) -> None:
    """Read a battery; ``horizon_s`` is for how long it must be able to hold what it offers [s]."""
    result.inverters[prosumer, "battery"] = await battery.battery_values(efficiency, horizon_s)


def note_battery(
    prosumer: str,
    battery: Inverter,
    efficiency: float,
    horizon_s: float,
    ratings: Ratings,
    state: State,
    result: PollResult,
) -> None:
    """Take the state of a battery."""
    values = battery.battery_values_of(ratings, state, efficiency, horizon_s)
    result.inverters[prosumer, "battery"] = values


async def poll_ev(
    prosumer: str, charger: Inverter, wish: ChargingWish, horizon_s: float, result: PollResult
) -> None:
    """Read a charger; ``horizon_s`` is how long a set-point will hold [s]."""
    result.inverters[prosumer, "ev"] = await charger.ev_values(wish, horizon_s)


async def poll_load(prosumer: str, load: Inverter, result: PollResult) -> None:
    """Read a flexible load."""
    result.inverters[prosumer, "load"] = await load.load_values()


async def check_written(actuator: Actuator, result: PollResult) -> None:
    """See whether a device still holds what was written to it."""
    if found := await actuator.overwritten():
        result.overwritten.append(found)
