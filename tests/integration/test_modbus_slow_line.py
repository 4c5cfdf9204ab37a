"""Several inverters behind one slow line: a stop reaches all of them soon, and no process ends before."""

import asyncio
from contextlib import asynccontextmanager

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, tcp
from devices.gateway.gateway import Gateway
from devices.gateway.stopping import secure
from devices.limits import SetPointLimits
from tests.integration.plain_modbus import Registers, tcp_server
from tests.integration.sunspec_images import address_of, pv_image, with_serial
from tests.integration.test_modbus_field_cases import ENABLE, LIMIT

ARMED = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.0)


class Line(Registers):
    """Inverters that share a line on which each request takes ``delay_s``."""

    def __init__(self, count):
        super().__init__({unit: with_serial(pv_image(), f"S-{unit}") for unit in range(1, count + 1)})
        self.inverters = list(self.units)
        self.units[9] = {}
        self.delay_s = 0.0
        self.busy = asyncio.Lock()

    async def answer(self, unit, pdu):
        async with self.busy:
            await asyncio.sleep(self.delay_s)
            return super().answer(unit, pdu)

    def limit(self, unit):
        cells = self.units[unit]
        return cells[address_of(cells, 123, LIMIT)], cells[address_of(cells, 123, ENABLE)]


@asynccontextmanager
async def homes(line, limits=ARMED):
    """Gateway to the inverters of a line, each in a house of its own, all limited to 2 kW."""
    async with tcp_server(line) as port:
        prosumers = [
            LiveProsumer(
                id=f"home{unit}",
                meter=tcp("127.0.0.1", port, 9, "sdm630"),
                pv=tcp("127.0.0.1", port, unit, "sunspec-pv"),
                pv_limits=limits,
            )
            for unit in line.inverters
        ]
        gateway = Gateway(prosumers, timeout_s=2.0)
        try:
            for home in prosumers:
                points = [DeviceSetPoint(device="pv", power_kw=2.0)]
                assert (await gateway.command(home.id, points, 0.0)).ok
            assert [line.limit(unit) for unit in line.inverters] == [(4000, 1)] * len(prosumers)
            yield gateway
        finally:
            await gateway.close()


def requests_until(line, units):
    """How many requests went out until each of some units was written to."""
    written = [at for at, (unit, function, _, _) in enumerate(line.asked) if function == 16 and unit in units]
    first = {line.asked[at][0]: at for at in reversed(written)}
    return max(first.values()) + 1 if first.keys() == set(units) else None


async def test_a_stop_writes_to_all_devices_of_a_line_before_it_reads_any_anew():
    line = Line(3)
    async with homes(line) as gateway:
        line.asked.clear()
        assert await gateway.stop("fire") == []
        assert [line.limit(unit) for unit in line.inverters] == [(0, 1)] * 3
        # Serial number, header of the model, write: for each.
        assert requests_until(line, [1, 2, 3]) <= 9


async def test_a_process_waits_until_devices_of_a_slow_line_are_safe():
    line = Line(3)
    async with homes(line) as gateway:
        line.delay_s = 0.3
        reading = asyncio.create_task(gateway.poll())
        await asyncio.sleep(0.5)
        # The task that began the stop may end with the process.
        stop = asyncio.create_task(gateway.stop("a signal"))
        await asyncio.sleep(0.1)
        stop.cancel()
        line.asked.clear()
        assert await secure(gateway.actuators, "the gateway ends", 0.5) == []
        assert [line.limit(unit) for unit in line.inverters] == [(0, 1)] * 3
        # What is under way of the reading of these devices goes on.
        assert requests_until(line, [1, 2, 3]) <= 15
        await reading


async def test_hardware_that_is_not_safe_when_a_process_ends_is_named(caplog):
    line = Line(2)
    async with homes(line) as gateway:
        line.silent.add(2)
        (left,) = await secure(gateway.actuators, "the gateway ends", 1.0)
        assert line.limit(1) == (0, 1)
        assert "pv of home2 (unit 2 at" in left
        assert f"NOT AT ITS SAFE VALUE, see to it there: {left}" in caplog.messages
