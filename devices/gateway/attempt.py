"""One thing done with several devices at once; what fails at one does not keep the others from it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from devices.errors import DeviceError
from devices.gateway.actuator import Actuator

Outcomes = Mapping[Actuator, DeviceError | None]
"""What failed at each device; ``None`` where nothing did."""


async def attempt(actuators: Iterable[Actuator], act: Callable[[Actuator], Awaitable[None]]) -> Outcomes:
    """Do something with several actuators at once."""

    async def one(actuator: Actuator) -> DeviceError | None:
        try:
            await act(actuator)
        except DeviceError as error:
            return error
        return None

    every = list(actuators)
    return dict(zip(every, await asyncio.gather(*map(one, every)), strict=True))


def failures(outcomes: Outcomes) -> list[str]:
    """What failed, one line for each device."""
    return [f"{actuator.device}: {error}" for actuator, error in outcomes.items() if error is not None]
