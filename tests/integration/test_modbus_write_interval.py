"""Set-points that wait for a device that may be written to seldom: the newest counts, and pauses are kept."""

import asyncio
import time

from devices.limits import SetPointLimits
from tests.integration.sunspec_images import Inverter, pv_image
from tests.integration.test_modbus_field_cases import LIMIT, ask, connected

PAUSE_S = 1.0
SELDOM = SetPointLimits(real=True, min_kw=0.0, max_kw=5.0, write_interval_s=PAUSE_S)


class Timed(Inverter):
    """Notes when it is written to."""

    def __init__(self):
        super().__init__(pv_image())
        self.written_at = []

    def answer(self, unit, pdu):
        if pdu[0] in (6, 16):
            self.written_at.append(time.monotonic())
        return super().answer(unit, pdu)


async def test_of_set_points_that_wait_for_a_write_only_the_newest_is_written():
    device = Timed()
    async with connected(device, limits=SELDOM) as gateway:
        gateway.simulated_s = None
        assert (await ask(gateway, 1.0)).ok
        waiting = [asyncio.create_task(ask(gateway, power_kw)) for power_kw in (2.0, 3.0)]
        older, newer = await asyncio.gather(*waiting)
        assert newer.ok
        assert older.barred
        assert "next set-point" in older.detail
        assert device.at(123, LIMIT) == 6000
    first, *later = device.written_at
    assert all(at >= first + PAUSE_S - 0.01 for at in later if at > first + 0.3)
    limits = [words for _, words in device.writes]
    assert not any(4000 in words for words in limits)


async def test_one_that_waits_alone_is_written_once_its_pause_is_over():
    device = Timed()
    async with connected(device, limits=SELDOM) as gateway:
        gateway.simulated_s = None
        began = time.monotonic()
        assert (await ask(gateway, 1.0)).ok
        assert (await ask(gateway, 2.0)).ok
        assert time.monotonic() - began >= PAUSE_S - 0.05
        assert device.at(123, LIMIT) == 4000
