"""What all devices without registers have as the gateway sees them: silence is counted, and stops pass."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from devices.endpoint import Endpoint
from devices.errors import DeviceError
from devices.limits import SetPointLimits
from devices.registers.rating_trust import RatingTrust
from devices.sources.giving_way import GivingWay


class MessagePort(ABC):
    """A part of `devices.ports.InverterPort`, for devices that are asked by messages.

    Parameters
    ----------
    endpoint
        Where the device is.

    Attributes
    ----------
    trust
        What speaks against its ratings.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._silent_times = 0
        self.trust = RatingTrust()
        self._work = GivingWay(endpoint)

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return self._endpoint

    @property
    def silent_times(self) -> int:
        """How often in a row it told nothing."""
        return self._silent_times

    async def state(self) -> Mapping[str, float | None]:
        """Quantities that are new enough to count; raises `DeviceError` where one that is needed is not."""
        try:
            found = await self._read()
        except DeviceError:
            self._silent_times += 1
            raise
        self._silent_times = 0
        self.trust.note(found.get("p_kw"))
        return found

    async def holds_for_good(self) -> bool:
        """See `devices.ports.InverterPort`: what is sent without an end has none."""
        return True

    async def rush_to_zero(self, limits: SetPointLimits) -> None:  # noqa: B027
        """See `devices.ports.InverterPort`: nothing is read before a message, which goes out once."""

    def begin_priority(self) -> None:
        """Break off what is under way, so that what follows need not wait."""
        self._work.begin_priority()

    def end_priority(self) -> None:
        """End what `begin_priority` began."""
        self._work.end_priority()

    @abstractmethod
    async def _read(self) -> Mapping[str, float | None]:
        """What the device tells; raises as `state`."""
