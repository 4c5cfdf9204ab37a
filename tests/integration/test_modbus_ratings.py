"""Hardware that tells a rating which cannot be the whole of a share gets no power but 0."""

import pytest

from devices.limits import SetPointLimits
from tests.integration.sunspec_images import Inverter, address_of, battery_image, pv_image
from tests.integration.test_modbus_field_cases import ENABLE, LIMIT, ask, connected, let_pass

OUT_RATE, IN_RATE, WCHA_MAX, MODE = 12, 13, 2, 5


def pv_limits(rated_kw=5.0, **more):
    return SetPointLimits(real=True, min_kw=0.0, max_kw=4.0, rated_kw=rated_kw, **more)


def battery_limits(rated_kw=3.0, **more):
    return SetPointLimits(real=True, min_kw=-1.0, max_kw=2.0, rated_kw=rated_kw, **more)


async def test_a_rating_far_below_the_owners_is_no_whole_of_a_share():
    device = Inverter(battery_image(rating_w=1500, charge_w=1500))
    async with connected(device, "battery", battery_limits()) as gateway:
        outcome = await ask(gateway, -1.0)
        assert not outcome.ok
        assert "tells a rating of 1.5 kW, and the scenario has it for 3 kW: correct one" in outcome.detail
        assert "it gets no power but 0" in outcome.detail
        assert {device.at(124, rate) for rate in (OUT_RATE, IN_RATE)} == {0}
        assert (await ask(gateway, 0.0)).ok


async def test_a_rating_that_falls_on_the_way_holds_the_device_at_nothing():
    device = Inverter(battery_image(rating_w=3000, charge_w=3000))
    async with connected(device, "battery", battery_limits(rated_kw=0.0)) as gateway:
        assert (await ask(gateway, -1.0, valid_s=900.0)).ok
        before = device.at(124, IN_RATE)
        assert before != 0
        for place in ((120, 3), (121, 2), (124, WCHA_MAX)):
            device.put(*place, 300)
        outcome = await ask(gateway, -1.0, valid_s=900.0)
        assert not outcome.ok
        assert "tells a rating of 0.3 kW, and told 3 kW when it was first commanded" in outcome.detail
        assert {device.at(124, rate) for rate in (OUT_RATE, IN_RATE)} == {0}
        assert device.at(124, MODE) == 3
        await let_pass(gateway, 1200)
        assert {device.at(124, rate) for rate in (OUT_RATE, IN_RATE)} == {0}


async def test_power_far_beyond_the_rating_shows_that_this_is_none():
    device = Inverter(pv_image(rating_w=500, power_w=2000))
    async with connected(device, limits=pv_limits(rated_kw=0.0)) as gateway:
        await gateway.poll()
        await gateway.poll()
        outcome = await ask(gateway, 0.4)
        assert not outcome.ok
        assert "shows 2 kW, and tells a rating of 0.5 kW" in outcome.detail
        assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (0, 1)


async def test_a_stop_needs_no_rating_that_can_be_trusted():
    device = Inverter(pv_image(rating_w=500))
    async with connected(device, limits=pv_limits(safe_kw=1.0)) as gateway:
        assert await gateway.stop("fire") == []
        assert gateway.actuators[0].is_safe
    assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (0, 1)


@pytest.mark.parametrize(("rating_w", "rated_kw"), [(5000, 5.2), (5000, 7.9), (10_000, 5.0), (5000, 0.0)])
async def test_ratings_that_may_well_be_are_gone_by(rating_w, rated_kw):
    device = Inverter(pv_image(rating_w=rating_w))
    async with connected(device, limits=pv_limits(rated_kw)) as gateway:
        assert (await ask(gateway, 2.0)).ok
    assert device.at(123, LIMIT) == 2000.0 / rating_w * 10_000


async def test_no_share_of_a_rating_is_more_than_all_of_it():
    device = Inverter(battery_image(rating_w=3000, charge_w=1900))
    limits = SetPointLimits(real=True, min_kw=-2.5, max_kw=2.5)
    async with connected(device, "battery", limits) as gateway:
        await ask(gateway, -2.5)
    rates = [
        abs(word - 0x10000 if word & 0x8000 else word)
        for address, words in device.writes
        for word in words
        if address <= address_of(device.cells, 124, IN_RATE) < address + len(words)
    ]
    assert rates
    assert max(rates) <= 10_000
