"""What no command may do to devices: leave an envelope, or come after a stop; seen in their registers."""

from contextlib import contextmanager
from unittest.mock import patch

import numpy as np
from msgspec.json import decode
from msgspec.structs import replace

from broker.messages import Stopped
from cosim.population.placement import DevicePlacement
from devices.emulation.fleet import Fleet
from devices.limits import SetPointLimits
from tests.simulation.network import PROCESS

ENVELOPE_KW = 0.8
_RESOLUTION_KW = 0.01
_LIMITS = SetPointLimits(min_kw=-ENVELOPE_KW, max_kw=ENVELOPE_KW)


class DeviceWatch:
    """Looks at the registers of all emulated devices before each interval passes.

    Attributes
    ----------
    wrong
        What they held that they may not, in words.
    looks
        How often it has looked.
    """

    def __init__(self):
        self.wrong = []
        self.looks = 0
        self._is_stopped = False

    def hear(self, topic, payload):
        """Take note of the gateway's word that all devices are at their safe values."""
        if "/stopped/" in topic:
            told = decode(payload, type=Stopped)
            self._is_stopped |= told.safe == told.devices

    @contextmanager
    def watching(self):
        """Watch for the time of a ``with`` block, and give every battery an envelope."""
        connect, advance = DevicePlacement.connect, Fleet.advance

        def narrowed(placement, *arguments, **named):
            made = connect(placement, *arguments, **named)
            return made if made.battery is None else replace(made, battery_limits=_LIMITS)

        def watched(fleet, *arguments):
            if not PROCESS.get().is_dead:
                self._look(fleet)
            return advance(fleet, *arguments)

        with (
            patch.object(DevicePlacement, "connect", narrowed),
            patch.object(Fleet, "advance", watched),
        ):
            yield

    def _look(self, fleet):
        self.looks += 1
        batteries, pv = fleet.battery, fleet.pv
        holds = np.ones(batteries.rating_kw.size, dtype=bool)
        asked_kw = batteries._face.target_kw(batteries.bank, batteries.rating_kw, holds, holds)
        most_kw = np.abs(asked_kw).max(initial=0.0)
        limit = pv.face.limit(pv.bank, np.ones(pv.rating_kw.size, dtype=bool)).max(initial=0.0)
        if most_kw > ENVELOPE_KW + _RESOLUTION_KW:
            self.wrong.append(f"a battery is set to {most_kw} kW, beyond its envelope")
        if self._is_stopped and (most_kw > 0.0 or limit > 0.0):
            self.wrong.append(
                f"after a stop a battery is set to {most_kw} kW, or PV to {limit} of its rating"
            )
