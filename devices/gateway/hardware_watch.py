"""Armed hardware between the steps of a run: read every few seconds, so that what is wrong shows at once."""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from broker.messages.flags import ALARM, OVER
from broker.wall_time import since_boot
from devices.client.drivers import State
from devices.errors import DeviceError, GaveWay, IncompleteReading
from devices.gateway.actuator import Actuator
from devices.gateway.power_watch import EVERY_S, RAMP_S, READINGS, PowerWatch
from devices.gateway.troubles import Troubles
from devices.gateway.unit_watch import UnitWatch

# A device that answers slowly takes at most about this share of its link; pauses grow to at most so many.
_SHARE, _MOST_PAUSES = 0.1, 3.0
# Two words of a device are at least so far apart [s].
_SAME_WORD_S = 0.001


@dataclass
class _Seen:
    """What was seen of one device: its power, failed readings in a row, and when it last told one [s]."""

    power: PowerWatch
    unit: UnitWatch = field(default_factory=UnitWatch)
    failed: int = 0
    told_s: float = -math.inf


class HardwareWatch:
    """Reads each piece of hardware that is armed again and again, and acts on what its power says.

    Parameters
    ----------
    actuators
        Devices, of which those that are armed hardware are watched.
    troubles
        What is said of devices that are lost.
    say
        Called with each line that somebody has to hear at once.
    every_s
        Time from one reading to the next [s].
    ramp_s
        How long a device may take to come within what it may have [s].
    """

    def __init__(
        self,
        actuators: Sequence[Actuator],
        troubles: Troubles,
        say: Callable[[str], None],
        every_s: float = EVERY_S,
        ramp_s: float = RAMP_S,
    ) -> None:
        self._actuators = [each for each in actuators if each.limits.real and each.limits.armed]
        self._troubles = troubles
        self._say = say
        self._every_s = every_s
        self._ramp_s = ramp_s

    async def run(self) -> None:
        """Watch until cancelled."""
        for actuator in self._actuators:
            if actuator.tripped:
                self._say(f"{ALARM}{actuator.name} stays at its safe value: {actuator.tripped}")
        await asyncio.gather(*(self._watch(actuator) for actuator in self._actuators))

    async def _watch(self, actuator: Actuator) -> None:
        seen = _Seen(PowerWatch(actuator.limits, self._ramp_s))
        took_s = 0.0
        while True:
            await asyncio.sleep(min(max(self._every_s, took_s / _SHARE), _MOST_PAUSES * self._every_s))
            began_s = since_boot()
            await self._look(actuator, seen)
            # One that does not answer is left alone by its link, and is to be missed soon.
            took_s = 0.0 if seen.failed else since_boot() - began_s

    async def _look(self, actuator: Actuator, seen: "_Seen") -> None:
        """Read a device; one that is asleep answers, too."""
        state: State = {}
        try:
            state = await actuator.inverter.port.state()
        except IncompleteReading:
            seen.failed = 0
        except GaveWay:
            return
        except DeviceError as error:
            seen.failed += 1
            if seen.failed >= READINGS:
                self._tell(self._troubles.lose(actuator, error))
            return
        seen.failed = 0
        self._tell(self._troubles.find(actuator))
        power_kw, told_s = state.get("p_kw"), since_boot() - (state.get("age_s") or 0.0)
        # Of a device that tells by itself the same word may be found again.
        if power_kw is not None and math.isfinite(power_kw) and told_s > seen.told_s + _SAME_WORD_S:
            seen.told_s = told_s
            self._judge(actuator, seen.power, power_kw)
            set_kw = actuator.in_force_kw if actuator.device == "battery" else None
            if seen.unit.take(set_kw, power_kw, state.get("soc")):
                self._say(
                    f"{ALARM}{actuator} shows {power_kw:.3g} kW where {set_kw:.3g} kW is set: it does not "
                    "obey, or tells and takes power in another unit than its profile says, and may be BEYOND "
                    "ITS ENVELOPE: compare with its own display"
                )

    def _judge(self, actuator: Actuator, watch: PowerWatch, power_kw: float) -> None:
        """Act on a reading of a device that has taken a command, or whose safe value stands."""
        is_stopped = bool(actuator.stopped)
        if not actuator.delivery.has_taken or (is_stopped and not actuator.is_safe):
            return
        found = watch.take(power_kw, since_boot(), is_stopped=is_stopped)
        limits, shows = actuator.limits, f"{actuator} shows {power_kw:.3g} kW"
        safe = f"its safe value of {limits.safe_kw:g} kW"
        if found == "within":
            self._say(f"{OVER}{shows}, which it may have" + (f", and stays at {safe}" if is_stopped else ""))
        elif found == "beyond" and is_stopped:
            self._say(f"{ALARM}{shows} although {safe} stands in its registers: SWITCH IT OFF BY HAND")
        elif found == "beyond":
            beyond = f"{power_kw:.3g} kW, beyond its envelope of {limits.span}"
            actuator.trip(f"it showed {beyond}")
            self._say(
                f"{ALARM}{actuator} shows {beyond}, in {READINGS} readings in a row: it goes to {safe} "
                "and takes no set-point before a new run"
            )

    def _tell(self, lines: Sequence[str]) -> None:
        for line in lines:
            self._say(line)
