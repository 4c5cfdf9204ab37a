"""A stop that stands: hardware that is restarted or reverts by itself goes back to its safe value."""

import asyncio

import pytest

from devices.gateway.attempt import failures
from devices.limits import SetPointLimits
from tests.integration.sunspec_images import NONE, Inverter, address_of, pv_image
from tests.integration.test_modbus_field_cases import ENABLE, LIMIT, REVERT, ask, connected

ARMED = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.5)


def limit(device):
    return device.at(123, LIMIT), device.at(123, ENABLE)


SAFE = (1000, 1)


def restart(device):
    """What a power cut leaves of it."""
    device.put(123, LIMIT, 10_000)
    device.put(123, ENABLE, 0)


async def test_a_restarted_device_is_seen_within_a_second_and_brought_back():
    device = Inverter(pv_image())
    async with connected(device, limits=ARMED) as gateway:
        assert await gateway.stop("fire") == []
        assert limit(device) == SAFE
        restart(device)
        (actuator,) = gateway.actuators
        assert not actuator.is_due()
        await asyncio.sleep(1.05)
        assert actuator.is_due()
        assert failures(await gateway.tend()) == []
        assert limit(device) == SAFE


async def test_a_stop_that_is_asked_for_again_is_written_again():
    device = Inverter(pv_image())
    async with connected(device, limits=ARMED) as gateway:
        await gateway.stop("fire")
        restart(device)
        assert await gateway.stop("fire, again") == []
        assert limit(device) == SAFE
        assert gateway.actuators[0].is_safe


async def test_a_device_that_went_away_after_a_stop_is_not_said_to_be_safe():
    device = Inverter(pv_image())
    async with connected(device, limits=ARMED) as gateway:
        await gateway.stop("fire")
        device.silent.add(1)
        await asyncio.sleep(1.05)
        (failed,) = failures(await gateway.tend())
        assert "did not answer" in failed
        assert not gateway.actuators[0].is_safe
        assert await gateway.stop("again") != []
        device.silent.clear()
        restart(device)
        assert failures(await gateway.tend()) == []
        assert limit(device) == SAFE


async def test_a_device_that_makes_a_revert_time_of_never_gets_its_safe_value_again_in_time():
    image = pv_image()
    at = address_of(image, 123, REVERT)
    device = Inverter(image, lambda address, word: 60 if address == at else word)
    async with connected(device, limits=ARMED) as gateway:
        await gateway.stop("fire")
        written = len(device.writes)
        gateway.simulated_s += 20.0
        await asyncio.sleep(1.05)
        await gateway.tend()
        assert len(device.writes) == written
        gateway.simulated_s += 15.0
        await asyncio.sleep(1.05)
        await gateway.tend()
        assert len(device.writes) > written
        assert limit(device) == SAFE


async def test_a_rating_that_is_told_late_counts_as_soon_as_it_is_told():
    device = Inverter(pv_image())
    device.put(121, 2, NONE)
    async with connected(device, limits=ARMED) as gateway:
        assert (await ask(gateway, 2.0)).ok
        assert limit(device) == (4000, 1)
        device.put(121, 2, 10_000)
        assert (await ask(gateway, 2.0)).ok
        assert limit(device) == (2000, 1)


@pytest.mark.parametrize("ends", ["its validity", "the run"])
async def test_a_rating_of_nothing_frees_no_device(ends):
    device = Inverter(pv_image())
    async with connected(device, limits=ARMED) as gateway:
        assert (await ask(gateway, 2.0, valid_s=10.0)).ok
        device.put(120, 3, 0)
        device.put(121, 2, 0)
        if ends == "the run":
            await gateway.hand_back()
        else:
            gateway.simulated_s += 11.0
            await gateway.tend()
        assert device.at(123, ENABLE) == 1
        assert device.at(123, LIMIT) <= 4000


async def test_what_could_not_be_handed_back_is_tried_again():
    device = Inverter(pv_image())
    async with connected(device, limits=ARMED) as gateway:
        assert (await ask(gateway, 2.0)).ok
        device.silent.add(1)
        assert len(await gateway.hand_back()) == 1
        device.silent.clear()
        written = len(device.writes)
        assert await gateway.hand_back() == []
        assert len(device.writes) > written


async def test_a_device_that_is_looked_at_again_counts_as_safe_meanwhile(monkeypatch):
    device = Inverter(pv_image())
    async with connected(device, limits=ARMED) as gateway:
        await gateway.stop("fire")
        (actuator,) = gateway.actuators
        seen, look = [], actuator.inverter.port.overwritten

        async def overwritten():
            seen.append(actuator.is_safe)
            return await look()

        monkeypatch.setattr(actuator.inverter.port, "overwritten", overwritten)
        await asyncio.sleep(1.05)
        assert failures(await gateway.tend()) == []
        assert seen == [True]
