"""How long a set-point takes until the meter shows it.

Devices that follow the run's clock move only when an interval passes, so their meter answers with the next
reading. Hardware moves by itself: its meter is read again and again until its power has changed by half of
what was asked, or patience ends.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from broker.messages import DeviceSetPoint
from devices.errors import DeviceError
from devices.kinds import CONSUMERS

_LEAST_CHANGE_KW = 0.1
_EVERY_S = 0.25
_PATIENCE_S = 30.0


class Responses:
    """Set-points that wait for the meter, and the times that those before took [s]."""

    def __init__(self) -> None:
        self._asked: dict[str, float] = {}
        self._taken: dict[str, float] = {}

    def ask(self, prosumer: str, at: float) -> None:
        """Note that a set-point was asked for at ``at`` (``time.perf_counter``), and carried out."""
        self._asked[prosumer] = at

    def take(self, prosumer: str, *, is_read: bool) -> float | None:
        """Time that a prosumer's set-point took, once; ``is_read`` says that its meter was just read."""
        if is_read and prosumer in self._asked:
            return time.perf_counter() - self._asked.pop(prosumer)
        return self._taken.pop(prosumer, None)

    async def watch(
        self,
        prosumer: str,
        change_kw: float,
        before_kw: float,
        read: Callable[[str], Awaitable[float | None]],
    ) -> None:
        """Read a meter until it shows half of a change of generation, and note how long that took.

        Parameters
        ----------
        prosumer
            Whose set-point was asked for by `ask`.
        change_kw
            Expected change of generation [kW].
        before_kw
            Power at the meter before [kW], + import.
        read
            Reads the power at the meter [kW]; may raise `DeviceError`.
        """
        asked = self._asked.pop(prosumer)
        while time.perf_counter() - asked < _PATIENCE_S:
            try:
                now_kw = await read(prosumer)
            except DeviceError:
                now_kw = None
            if now_kw is not None and (before_kw - now_kw) / change_kw >= 0.5:
                self._taken[prosumer] = time.perf_counter() - asked
                return
            await asyncio.sleep(_EVERY_S)


def expected_change_kw(
    set_points: Sequence[DeviceSetPoint], measured_kw: Mapping[str, float | None]
) -> float:
    """Change of generation that set-points must bring about [kW]; 0 where none is certain.

    Parameters
    ----------
    set_points
        What was asked of a prosumer's devices.
    measured_kw
        Power of each device before [kW], + generates.
    """
    change_kw = 0.0
    for set_point in set_points:
        power_kw, before_kw = set_point.power_kw, measured_kw.get(set_point.device)
        if power_kw is None or before_kw is None:
            continue
        step_kw = power_kw - before_kw
        if set_point.device == "battery":
            change_kw += step_kw
        else:
            # A limit is certain to act only where it is below what flows.
            change_kw += max(step_kw, 0.0) if set_point.device in CONSUMERS else min(step_kw, 0.0)
    return change_kw if abs(change_kw) >= _LEAST_CHANGE_KW else 0.0
