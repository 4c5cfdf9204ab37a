"""Set-points that a device does not take, and writes that its memory bears: what becomes of it then."""

import asyncio

import pytest

from devices.gateway.attempt import failures
from devices.limits import SetPointLimits
from tests.integration.sunspec_images import NONE, NONE_SIGNED, Inverter, address_of, pv_image
from tests.integration.test_modbus_field_cases import (
    ARMED_PV,
    ENABLE,
    LIMIT,
    REVERT,
    ask,
    connected,
    let_pass,
)

NARROW = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0)


def limit(device):
    return device.at(123, LIMIT), device.at(123, ENABLE)


class Stubborn(Inverter):
    """Inverter that keeps its limit from some time on, whatever is written."""

    def __init__(self):
        image = pv_image()
        at = address_of(image, 123, LIMIT)
        self.is_stubborn = False
        super().__init__(image, lambda a, word: None if a == at and self.is_stubborn else word)


async def test_where_a_set_point_does_not_take_the_one_before_is_released():
    device = Stubborn()
    async with connected(device) as gateway:
        assert (await ask(gateway, 2.0)).ok
        device.is_stubborn = True
        outcome = await ask(gateway, 1.0)
        assert not outcome.ok
        assert "was written" in outcome.detail
        assert limit(device) == (4000, 0)


async def test_within_an_envelope_it_is_released_to_the_edge_or_said_not_to_be():
    device = Stubborn()
    async with connected(device, limits=NARROW) as gateway:
        assert (await ask(gateway, 2.0)).ok
        device.is_stubborn = True
        outcome = await ask(gateway, 1.0)
        assert "nor was it released" in outcome.detail
        device.is_stubborn = False
        await let_pass(gateway, 10)
        # What was asked for is tried again.
        assert limit(device) == (2000, 1)


async def test_a_rating_that_is_lost_releases_what_was_in_force():
    device = Inverter(pv_image())
    async with connected(device) as gateway:
        assert (await ask(gateway, 2.0)).ok
        device.put(120, 3, NONE)
        device.put(121, 2, NONE)
        assert not (await ask(gateway, 1.0)).ok
        assert device.at(123, ENABLE) == 0 or limit(device)[0] <= 4000


async def test_a_device_that_does_not_take_anything_is_written_to_more_and_more_seldom():
    device = Stubborn()
    device.is_stubborn = True
    async with connected(device) as gateway:
        await ask(gateway, 2.0, valid_s=900.0)
        first = len(device.writes)
        await let_pass(gateway, 600)
        # At 1, 2, 4, ... 60 s, and no more than one release.
        assert len(device.writes) - first < 20


async def test_a_spent_budget_releases_the_device_once_and_it_takes_part_no_more():
    device = Inverter(pv_image())
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, writes_per_day=3)
    async with connected(device, limits=limits) as gateway:
        for power_kw in (1.0, 2.0, 1.5):
            assert (await ask(gateway, power_kw, valid_s=900.0)).ok
        (reading,) = await gateway.poll()
        assert (reading.devices[0].writes, reading.devices[0].obeys) == (3, False)
        outcome = await ask(gateway, 1.0, valid_s=900.0)
        assert not outcome.ok
        assert "has had 3 of 3 writes of the day: released, and commanded again in 24.0 h" in outcome.detail
        assert limit(device) == (6000, 1)
        written = len(device.writes)
        await ask(gateway, 1.0)
        await let_pass(gateway, 1000)
        assert len(device.writes) == written


async def test_a_renewal_that_the_budget_does_not_allow_ends_the_set_point_before_it_reverts():
    device = Inverter(pv_image())
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, writes_per_day=2, revert_s=60.0)
    async with connected(device, limits=limits) as gateway:
        assert (await ask(gateway, 1.0, valid_s=900.0)).ok
        await let_pass(gateway, 31)
        assert len(device.writes) == 2
        assert limit(device) == (2000, 1)
        began = gateway.simulated_s
        while limit(device) == (2000, 1):
            await let_pass(gateway, 1)
        assert gateway.simulated_s - began < 60.0
        assert limit(device) == (6000, 1)


@pytest.mark.parametrize("how", ["stop", "hand back", "end"])
async def test_a_spent_budget_delays_neither_stop_nor_release(how):
    device = Inverter(pv_image())
    limits = SetPointLimits(
        real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.5, writes_per_day=1, write_interval_s=500.0
    )
    async with connected(device, limits=limits) as gateway:
        assert (await ask(gateway, 1.0, valid_s=10.0)).ok
        if how == "stop":
            assert await gateway.stop("fire") == []
        elif how == "hand back":
            assert await gateway.hand_back() == []
        else:
            await let_pass(gateway, 11)
        assert limit(device) == ((1000, 1) if how == "stop" else (6000, 1))


async def test_a_stop_is_watched_although_the_budget_is_spent():
    device = Inverter(pv_image())
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.5, writes_per_day=1)
    async with connected(device, limits=limits) as gateway:
        assert await gateway.stop("fire") == []
        device.put(123, ENABLE, 0)
        await asyncio.sleep(1.05)
        assert failures(await gateway.tend()) == []
        assert limit(device) == (1000, 1)


async def test_what_a_device_is_released_to_is_renewed_where_its_own_timer_would_free_it():
    image = pv_image()
    at = address_of(image, 123, REVERT)
    device = Inverter(image, lambda address, word: word or 60 if address == at else word)
    async with connected(device, limits=NARROW) as gateway:
        assert (await ask(gateway, 1.0, valid_s=10.0)).ok
        await let_pass(gateway, 12)
        assert limit(device) == (6000, 1)
        written = len(device.writes)
        await let_pass(gateway, 120)
        assert 3 <= len(device.writes) - written <= 6
        (failed,) = await gateway.hand_back()
        assert "its own timer frees it in 60 s" in failed
        assert await gateway.hand_back() == []


async def test_a_device_that_is_asleep_is_not_good_and_is_commanded_after_dawn():
    device = Inverter(pv_image(rating_w=NONE, power_w=NONE_SIGNED))
    async with connected(device) as gateway:
        (reading,) = await gateway.poll()
        assert reading.devices[0].quality == "missing"
        assert any("does not tell p_kw" in problem for problem in gateway.problems)
        assert not (await ask(gateway, 2.0)).ok
        for model, at, word in ((103, 14, 2500), (120, 3, 5000), (121, 2, 5000)):
            device.put(model, at, word)
        (reading,) = await gateway.poll()
        assert (reading.devices[0].quality, reading.devices[0].p_kw) == ("good", 2.5)
        assert (await ask(gateway, 2.0)).ok
        assert limit(device) == (4000, 1)
        assert reading.devices[0].max_kw == ARMED_PV.max_kw
