"""Devices that do not keep their set-points, or are lost: said when it begins, and when it is over."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.messages.flags import ALARM, OVER
from broker.wall_time import since_boot
from devices.errors import DeviceError, DeviceTimeout, DeviceUnreachable, GatewayNoResponse, GaveWay
from devices.gateway.actuator import Actuator
from devices.gateway.attempt import Outcomes

# A safe value that stands is looked at every second, and a link may drop one look. What fails is tried twice
# a second, and counts once it has failed so often.
_LOOKS = 3


_SILENT = (DeviceUnreachable, DeviceTimeout, GatewayNoResponse)


@dataclass
class _Trouble:
    began_s: float
    is_loss: bool
    attempts: int = 0
    told: int = 0

    @property
    def is_said(self) -> bool:
        """Whether its beginning was told."""
        return self.told > 0


class Troubles:
    """What is to be said of devices that are tended and read again and again: one trouble at a time of each.

    Parameters
    ----------
    clock
        Monotonic time [s].

    Attributes
    ----------
    losses
        How often hardware that is armed was lost.
    """

    def __init__(self, clock: Callable[[], float] = since_boot) -> None:
        self.losses = 0
        self._clock = clock
        self._present: dict[Actuator, _Trouble] = {}

    def take(self, tended: Outcomes) -> list[str]:
        """Take in what became of the devices that were tended; what is new of it, one line each.

        Of devices that are not among them nothing is known anew.
        """
        lines: list[str] = []
        for actuator, failed in tended.items():
            if isinstance(failed, GaveWay):
                continue  # Another device had to be made safe; this one is tended again in a moment.
            if failed is not None:
                begun = f"{_held(actuator)} not kept: {actuator.name}: {failed}"
                after = _LOOKS if actuator.stopped else 1
                lines += self._failed(actuator, failed, begun, is_loss=False, after=after)
            elif actuator in self._present:
                lines += self._ended(actuator)
        return lines

    def lose(self, actuator: Actuator, error: DeviceError) -> list[str]:
        """Note that hardware that is armed cannot be read any more; what is new of it."""
        return self._failed(actuator, error, f"armed device lost: {actuator.name}: {error}", is_loss=True)

    def find(self, actuator: Actuator) -> list[str]:
        """Note that a device was read; what is new of it. Whether it keeps a set-point shows elsewhere."""
        trouble = self._present.get(actuator)
        return self._ended(actuator) if trouble is not None and trouble.is_loss else []

    def still(self) -> list[str]:
        """Count what goes on failing since this, or its beginning, was told; one line each."""
        lines: list[str] = []
        for actuator, trouble in self._present.items():
            if trouble.is_said and trouble.attempts > trouble.told:
                trouble.told = trouble.attempts
                what = "armed device still lost" if trouble.is_loss else f"{_held(actuator)} still not kept"
                lines.append(f"{what}: {actuator}, {self._so_far(trouble)}")
        return lines

    def _failed(
        self, actuator: Actuator, error: DeviceError, begun: str, *, is_loss: bool, after: int = 1
    ) -> list[str]:
        """Count a failure; what is to be said of it once there are ``after`` of them in a row."""
        trouble = self._present.setdefault(actuator, _Trouble(self._clock(), is_loss))
        trouble.attempts += 1
        if trouble.is_said or trouble.attempts < after:
            return []
        trouble.told = trouble.attempts
        # Who does not answer when it is commanded is lost, too.
        self.losses += actuator.limits.real and (is_loss or isinstance(error, _SILENT))
        return [(ALARM if actuator.limits.real else "") + begun]

    def _ended(self, actuator: Actuator) -> list[str]:
        trouble = self._present.pop(actuator)
        if not trouble.is_said:
            return []
        what = "armed device answers again" if trouble.is_loss else f"{_held(actuator)} kept again"
        over = OVER if actuator.limits.real else ""
        return [f"{over}{what}: {actuator}, after {self._so_far(trouble)}"]

    def _so_far(self, trouble: _Trouble) -> str:
        return f"{trouble.attempts} failed attempts in {self._clock() - trouble.began_s:.0f} s"


def _held(actuator: Actuator) -> str:
    return "safe value" if actuator.stopped else "set-point"
