"""One poll of many devices: what is asked in which order, what came in, and what stands in for the rest."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Literal, TypeVar

import msgspec

from broker.messages import Quality
from devices.client.connection import Connection
from devices.client.drivers import Inverter, InverterValues, Meter, MeterValues
from devices.errors import DeviceError

V = TypeVar("V")
Device = Literal["pv", "battery"]


class Got(msgspec.Struct):
    """What one poll has brought in so far, and one line for each device that failed."""

    meters: dict[str, MeterValues]
    inverters: dict[tuple[str, Device], InverterValues]
    problems: list[str]


class Ask(msgspec.Struct, frozen=True):
    """One device to be read in a poll: its unit id, whether it is a meter, and how it is asked."""

    unit: int
    is_meter: bool
    read: Callable[[Got], Awaitable[None]]


async def ask_meter(prosumer: str, meter: Meter, got: Got) -> None:
    """Read a meter."""
    got.meters[prosumer] = await meter.values()


async def ask_pv(prosumer: str, pv: Inverter, got: Got) -> None:
    """Read a PV inverter."""
    got.inverters[prosumer, "pv"] = await pv.pv_values()


async def ask_battery(
    prosumer: str, battery: Inverter, efficiency: float, horizon_s: float, got: Got
) -> None:
    """Read a battery; ``horizon_s`` is for how long it must be able to hold what it offers [s]."""
    got.inverters[prosumer, "battery"] = await battery.battery_values(efficiency, horizon_s)


async def poll_link(
    connection: Connection, asks: Sequence[Ask], got: Got, *, inverters: bool, limit_s: float
) -> None:
    """Read the devices on one link one after another.

    Meters come first, because settlement rests on them; devices that were silent last, for they cost time.

    Parameters
    ----------
    connection
        The link.
    asks
        Its devices.
    got
        Where values and problems go.
    inverters
        Whether to read more than the meters.
    limit_s
        Longest time for all of them [s].
    """
    wanted = [ask for ask in asks if inverters or ask.is_meter]
    wanted.sort(key=lambda ask: (connection.silent(ask.unit), not ask.is_meter))
    reached = 0
    try:
        async with asyncio.timeout(limit_s):
            for ask in wanted:
                try:
                    await ask.read(got)
                except DeviceError as error:
                    got.problems.append(str(error))
                reached += 1
    except TimeoutError:
        got.problems.append(
            f"{len(wanted) - reached} devices at {connection.link} were not read within {limit_s:g} s; "
            "use more links or a longer live.poll_limit_s"
        )


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

    def remember(self, values: V | None) -> tuple[Quality, V | None]:
        """Take a poll's result in, ``None`` for a failure; returns what counts now."""
        if values is not None:
            self._values, self._failed, self.read_at = values, 0, time.time()
            return "good", values
        self._failed += 1
        if self._values is not None and self._failed <= self._hold_polls:
            return "held", self._values
        return "missing", None
