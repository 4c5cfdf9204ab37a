"""One thing done with several devices at once; what fails at one does not keep the others from it."""

import asyncio
from collections.abc import Awaitable, Callable

from devices.errors import DeviceError
from devices.gateway.actuator import Actuator


async def attempt(actuators: list[Actuator], act: Callable[[Actuator], Awaitable[None]]) -> list[str]:
    """Do something with several actuators at once; what failed, one line for each."""
    return [line for line in (await outcomes(actuators, act)).values() if line]


async def outcomes(
    actuators: list[Actuator], act: Callable[[Actuator], Awaitable[None]]
) -> dict[Actuator, str]:
    """Do something with several actuators at once; what failed at each, empty where nothing did."""

    async def one(actuator: Actuator) -> str:
        try:
            await act(actuator)
        except DeviceError as error:
            return f"{actuator.device}: {error}"
        return ""

    return dict(zip(actuators, await asyncio.gather(*map(one, actuators)), strict=True))
