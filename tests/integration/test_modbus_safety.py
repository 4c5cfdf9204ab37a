"""Set-points within their limits, kept alive and ended, over real sockets and on a clock that tests turn."""

import asyncio
import math
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest

from broker.messages import DeviceSetPoint
from devices.emulation.fleet import EmulatedProsumer, Fleet
from devices.gateway.attempt import failures
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits

HOME = EmulatedProsumer(
    id="home",
    pv_kw=6.0,
    pv_ramp_pct_s=500.0,
    battery_kw=4.0,
    battery_kwh=10.0,
    battery_efficiency=1.0,
    battery_ramp_pct_s=500.0,
)


class Site:
    """One prosumer whose devices are guarded, and its gateway on a clock of its own."""

    def __init__(self, fleet, gateway):
        self.fleet = fleet
        self.gateway = gateway
        self.pv, self.battery = gateway.actuators

    async def set(self, device, power_kw, valid_s=0.0):
        return await self.gateway.command("home", [DeviceSetPoint(device=device, power_kw=power_kw)], valid_s)

    async def wait(self, seconds):
        """Let time pass for gateway and devices, tending every second."""
        for _ in range(seconds):
            self.fleet.advance(np.full((1, 1), 1.0), np.zeros((1, 1)), np.full((1, 1), 5.0), 1.0)
            self.gateway.simulated_s += 1.0
            assert failures(await self.gateway.tend()) == []

    def asked(self, name):
        """Value of a register of the PV inverter or the battery."""
        unit = self.fleet.unit("home", "battery" if name.startswith(("704", "124")) else "pv")
        return float(unit.bank.get(name)[unit.row])


@asynccontextmanager
async def site(pv=None, battery=None, **options):
    fleet = Fleet([HOME])
    fleet.begin([1.0], [0.0], [5.0])
    async with fleet.serving() as live:
        home = msgspec.structs.replace(
            live["home"], pv_limits=pv or SetPointLimits(), battery_limits=battery or SetPointLimits()
        )
        gateway = Gateway([home], **options)
        gateway.simulated_s = 0.0
        await gateway.poll()
        try:
            yield Site(fleet, gateway)
        finally:
            await gateway.close()


async def test_whatever_is_asked_registers_stay_within_the_envelope():
    async with site(battery=SetPointLimits(min_kw=-1.0, max_kw=1.5)) as at:
        for asked_kw, written_kw in ((99.0, 1.5), (-99.0, -1.0), (0.5, 0.5)):
            assert (await at.set("battery", asked_kw)).ok
            assert at.asked("704.WSet") == 1e3 * written_kw
        assert at.battery.limited == 2
        refused = await at.set("battery", math.nan)
        assert not refused.ok
        assert "send a finite one" in refused.detail
        assert at.asked("704.WSet") == 500.0


async def test_what_a_device_offers_is_what_its_envelope_admits():
    async with site(pv=SetPointLimits(max_kw=2.0), battery=SetPointLimits(min_kw=-1.0, max_kw=1.5)) as at:
        (reading,) = await at.gateway.poll()
        pv, battery = reading.devices
        assert (pv.min_kw, pv.max_kw) == (0.0, 2.0)
        assert (battery.min_kw, battery.max_kw) == (-1.0, 1.5)


async def test_lifting_a_limit_stops_at_the_envelope():
    async with site(pv=SetPointLimits(max_kw=3.0)) as at:
        assert (await at.set("pv", None)).ok
        assert at.asked("123.WMaxLim_Ena") == 1.0
        assert at.asked("123.WMaxLimPct") == 50.0


async def test_a_set_point_ramps_from_what_the_device_did():
    async with site(battery=SetPointLimits(ramp_kw_per_s=0.1)) as at:
        assert (await at.set("battery", 2.0)).ok
        assert at.asked("704.WSet") == 0.0
        written = []
        for _ in range(22):
            await at.wait(1)
            written.append(at.asked("704.WSet") / 1e3)
        steps = np.diff([0.0, *written])
        assert steps.max() <= 0.1 + 1e-9
        assert written[-1] == 2.0
        assert at.battery.renewals == 0


async def test_a_set_point_is_renewed_at_half_of_the_revert_time_as_long_as_it_is_valid():
    async with site(battery=SetPointLimits(revert_s=60.0)) as at:
        assert (await at.set("battery", 2.0, valid_s=200.0)).ok
        assert at.asked("704.WSetRvrtTms") == 60.0
        await at.wait(150)
        assert at.battery.renewals == 5
        assert at.fleet.battery.p_kw[0] == pytest.approx(2.0)
        await at.wait(60)
        assert at.fleet.battery.p_kw[0] == 0.0
        renewals = at.battery.renewals
        await at.wait(30)
        assert at.battery.renewals == renewals


async def test_without_its_gateway_a_device_falls_back_by_itself():
    async with site(battery=SetPointLimits(revert_s=60.0)) as at:
        assert (await at.set("battery", 2.0, valid_s=1e5)).ok
        for _ in range(70):
            at.fleet.advance(np.full((1, 1), 1.0), np.zeros((1, 1)), np.full((1, 1), 5.0), 1.0)
        assert at.fleet.battery.p_kw[0] == 0.0


async def test_a_device_that_cannot_revert_is_released_when_its_set_point_ends():
    async with site(pv=SetPointLimits()) as at:
        has = (await at.pv.inverter.port.unit.map()).places
        revert = has.pop("123.WMaxLimPct_RvrtTms")
        try:
            assert (await at.set("pv", 1.0, valid_s=30.0)).ok
            await at.wait(20)
            assert at.fleet.pv.p_kw[0] == pytest.approx(1.0, abs=1e-3)
            await at.wait(15)
            assert at.asked("123.WMaxLim_Ena") == 0.0
            assert at.fleet.pv.p_kw[0] == pytest.approx(5.0)
        finally:
            has["123.WMaxLimPct_RvrtTms"] = revert


async def test_commands_are_spaced_out_where_asked():
    async with site(pv=SetPointLimits(write_interval_s=0.2)) as at:
        at.gateway.simulated_s = None
        loop = asyncio.get_running_loop()
        before = loop.time()
        for power_kw in (1.0, 2.0, 3.0):
            assert (await at.set("pv", power_kw)).ok
        assert loop.time() - before >= 0.4


async def test_a_stop_does_not_wait_for_the_write_rate():
    async with site(pv=SetPointLimits(write_interval_s=60.0)) as at:
        at.gateway.simulated_s = None
        assert (await at.set("pv", 2.0)).ok
        waiting = asyncio.create_task(at.set("pv", 3.0))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2.0):
            assert await at.gateway.stop("fire") == []
        assert at.asked("123.WMaxLimPct") == 0.0
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_what_is_only_observed_is_read_and_never_written():
    async with site(pv=SetPointLimits(armed=False), battery=SetPointLimits(armed=False)) as at:
        for device in ("pv", "battery"):
            outcome = await at.set(device, 1.0)
            assert (outcome.ok, outcome.barred) == (False, True)
            assert "arm it" in outcome.detail
        assert await at.gateway.stop("fire") == []
        (reading,) = await at.gateway.poll()
        assert [(state.quality, state.obeys) for state in reading.devices] == [("good", False)] * 2
        assert at.gateway.counts.writes == 0


async def test_a_stop_brings_every_device_to_its_safe_value_and_ends_all_commands():
    async with site(pv=SetPointLimits(safe_kw=1.2), battery=SetPointLimits(ramp_kw_per_s=0.01)) as at:
        await at.set("pv", 4.0)
        await at.set("battery", -3.0)
        assert await at.gateway.stop("fire") == []
        assert [actuator.is_safe for actuator in at.gateway.actuators] == [True, True]
        await at.wait(60)
        assert at.fleet.pv.p_kw[0] == pytest.approx(1.2, abs=1e-3)
        assert at.fleet.battery.p_kw[0] == 0.0
        outcome = await at.set("battery", 2.0)
        assert (outcome.ok, outcome.barred) == (False, True)
        assert "fire" in outcome.detail
        (reading,) = await at.gateway.poll()
        assert [state.obeys for state in reading.devices] == [False, False]


async def test_a_device_that_did_not_hear_the_stop_is_told_again():
    async with site(retry_after_s=0.0) as at:
        await at.set("battery", 2.0)
        unit = at.fleet.unit("home", "battery")
        unit.bank.failing[unit.row] = 6
        (failed,) = await at.gateway.stop("fire")
        assert "is busy" in failed
        assert not at.battery.is_safe
        assert len(failures(await at.gateway.tend())) == 1
        unit.bank.failing.clear()
        assert failures(await at.gateway.tend()) == []
        assert at.battery.is_safe
        assert at.asked("704.WSet") == 0.0


async def test_a_set_point_that_failed_is_carried_out_later():
    async with site() as at:
        unit = at.fleet.unit("home", "battery")
        unit.bank.failing[unit.row] = 6
        assert not (await at.set("battery", 2.0)).ok
        unit.bank.failing.clear()
        await at.wait(2)
        assert at.asked("704.WSet") == 2000.0
        assert at.battery.renewals == 0


async def test_hardware_is_handed_back_at_the_end_unless_it_was_stopped():
    async with site(battery=SetPointLimits(real=True)) as at:
        await at.set("battery", 2.0)
        await at.set("pv", 2.0)
        assert await at.gateway.hand_back() == []
        assert at.asked("704.WSetEna") == 0.0
        assert at.asked("123.WMaxLim_Ena") == 1.0
    async with site(battery=SetPointLimits(real=True)) as at:
        await at.set("battery", 2.0)
        await at.gateway.stop("fire")
        assert await at.gateway.hand_back() == []
        assert (at.asked("704.WSetEna"), at.asked("704.WSet")) == (1.0, 0.0)
