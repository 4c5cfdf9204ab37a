"""Devices that do not keep their set-points: each is said once when it begins, and once when it is over."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devices.gateway.actuator import Actuator


@dataclass
class _Trouble:
    began_s: float
    attempts: int = 1
    told: int = 1


class Troubles:
    """What is to be said of devices that are tended again and again.

    Parameters
    ----------
    clock
        Monotonic time [s].
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._present: dict[Actuator, _Trouble] = {}

    def take(self, tended: Mapping[Actuator, str]) -> list[str]:
        """Take in what became of the devices that were tended; what is new of it, one line each.

        Parameters
        ----------
        tended
            What failed at each, empty where nothing did. Of others nothing is known anew.
        """
        lines: list[str] = []
        for actuator, failed in tended.items():
            trouble = self._present.get(actuator)
            if failed and trouble is not None:
                trouble.attempts += 1
            elif failed:
                self._present[actuator] = _Trouble(self._clock())
                lines.append(f"set-point not kept: {failed}")
            elif trouble is not None:
                del self._present[actuator]
                lines.append(f"set-point kept again: {actuator}, after {self._so_far(trouble)}")
        return lines

    def still(self) -> list[str]:
        """Count what goes on failing since this, or its beginning, was told; one line each."""
        lines: list[str] = []
        for actuator, trouble in self._present.items():
            if trouble.attempts > trouble.told:
                trouble.told = trouble.attempts
                lines.append(f"set-point still not kept: {actuator}, {self._so_far(trouble)}")
        return lines

    def _so_far(self, trouble: _Trouble) -> str:
        return f"{trouble.attempts} failed attempts in {self._clock() - trouble.began_s:.0f} s"
