"""Inverters as they are found in the field: what they get written, and what the gateway makes of them."""

from contextlib import asynccontextmanager

import pytest

from broker.messages import DeviceSetPoint
from devices.endpoint import LiveProsumer, tcp
from devices.gateway.attempt import failures
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from tests.integration.plain_modbus import tcp_server
from tests.integration.sunspec_images import (
    NONE,
    NONE_SIGNED,
    Inverter,
    address_of,
    battery_image,
    pv_image,
    with_serial,
)

LIMIT, WINDOW, REVERT, RAMP, ENABLE, LIMIT_SF = 5, 6, 7, 8, 9, 23
ARMED_PV = SetPointLimits(real=True, min_kw=0.0, max_kw=5.0)


@asynccontextmanager
async def connected(device, kind="pv", limits=ARMED_PV, **options):
    """Gateway to one inverter; its meter does not matter here."""
    async with tcp_server(device) as port:
        endpoint = tcp("127.0.0.1", port, 1, f"sunspec-{kind}")
        home = LiveProsumer(
            id="home", meter=tcp("127.0.0.1", port, 9, "sdm630"), **{kind: endpoint, f"{kind}_limits": limits}
        )
        device.units[9] = {}
        gateway = Gateway([home], timeout_s=0.5, **options)
        gateway.simulated_s = 0.0
        try:
            yield gateway
        finally:
            await gateway.close()


async def ask(gateway, power_kw, valid_s=0.0):
    (actuator,) = gateway.actuators
    return await gateway.command("home", [DeviceSetPoint(device=actuator.device, power_kw=power_kw)], valid_s)


async def let_pass(gateway, seconds):
    await told_by(gateway, seconds)


async def told_by(gateway, seconds):
    """What fails in so many seconds."""
    lines = []
    for _ in range(seconds):
        gateway.simulated_s += 1.0
        lines += failures(await gateway.tend())
    return lines


async def test_a_ramp_that_begins_outside_the_envelope_begins_at_its_edge():
    device = Inverter(pv_image(power_w=4900))
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, ramp_kw_per_s=0.1)
    async with connected(device, limits=limits) as gateway:
        await gateway.poll()
        assert (await ask(gateway, 2.0)).ok
        await let_pass(gateway, 15)
    written_kw = [5.0 * words[0] / 10_000 for address, words in device.writes]
    assert written_kw[0] == 3.0
    assert written_kw == sorted(written_kw, reverse=True)
    assert written_kw[-1] == 2.0


@pytest.mark.parametrize("power_w", [32_000, NONE_SIGNED, -9000])
async def test_a_ramp_begins_at_the_safe_value_where_the_reading_cannot_be_true(power_w):
    device = Inverter(pv_image(power_w=2000))
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, ramp_kw_per_s=0.1, safe_kw=1.0)
    async with connected(device, limits=limits) as gateway:
        await gateway.poll()
        device.put(103, 14, power_w)
        assert (await ask(gateway, 2.0)).ok
    assert device.writes[0][1][0] == 2000


async def test_a_ramp_begins_anew_from_where_a_set_point_has_stood():
    device = Inverter(pv_image(power_w=1000))
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=5.0, ramp_kw_per_s=0.1)
    async with connected(device, limits=limits) as gateway:
        assert (await ask(gateway, 1.0)).ok
        gateway.simulated_s += 900.0
        assert (await ask(gateway, 4.0)).ok
        assert device.at(123, LIMIT) == pytest.approx(2200, abs=1)


async def test_a_limit_whose_scale_factor_is_not_implemented_is_refused():
    device = Inverter(pv_image(limit_sf=NONE_SIGNED))
    async with connected(device) as gateway:
        outcome = await ask(gateway, 2.0)
    assert not outcome.ok
    assert "scale factor is not implemented" in outcome.detail
    assert device.writes == []


@pytest.mark.parametrize("rating_w", [0, NONE])
async def test_a_share_of_no_rating_is_refused(rating_w):
    device = Inverter(pv_image(rating_w=rating_w))
    async with connected(device) as gateway:
        outcome = await ask(gateway, 2.0)
    assert not outcome.ok
    assert "tells no rating" in outcome.detail
    assert device.writes == []


async def test_a_stop_to_nothing_needs_neither_rating_nor_scale():
    device = Inverter(pv_image(rating_w=NONE, limit_sf=NONE_SIGNED))
    async with connected(device) as gateway:
        assert await gateway.stop("fire") == []
    assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (0, 1)


async def test_a_rating_is_read_again_after_each_reconnect():
    device = Inverter(pv_image())
    async with connected(device) as gateway:
        (reading,) = await gateway.poll()
        assert reading.devices[0].max_kw == 5.0
        device.put(120, 3, 4000)
        device.put(121, 2, 4000)
        (reading,) = await gateway.poll()
        assert reading.devices[0].max_kw == 5.0
        await gateway.close()
        (reading,) = await gateway.poll()
        assert reading.devices[0].max_kw == 4.0


async def test_rating_and_scale_are_read_again_before_hardware_is_commanded():
    device = Inverter(pv_image())
    async with connected(device) as gateway:
        assert (await ask(gateway, 2.0)).ok
        assert device.at(123, LIMIT) == 4000
        device.put(121, 2, 10_000)
        device.put(123, LIMIT_SF, -1)
        assert (await ask(gateway, 2.0)).ok
        assert device.at(123, LIMIT) == 200


async def test_a_device_in_whose_name_another_answered_obeys_again_once_it_is_back():
    device, other = Inverter(pv_image()), battery_image()
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=5.0, safe_kw=1.0)
    async with connected(device, limits=limits) as gateway:
        assert (await ask(gateway, 2.0)).ok
        mine = device.cells
        device.cells = device.units[1] = other
        outcome = await ask(gateway, 1.0)
        assert not outcome.ok
        assert "has no registers through which it could be commanded" in outcome.detail
        device.cells = device.units[1] = mine
        assert (await ask(gateway, 1.0)).ok
        assert device.at(123, LIMIT) == 2000
        device.cells = device.units[1] = other
        assert await gateway.stop("fire") != []
        device.cells = device.units[1] = mine
        assert failures(await gateway.tend()) == []
        assert gateway.actuators[0].is_safe
        assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (2000, 1)


def numbered(serial):
    """A battery of a maker of many, with its serial number."""
    return with_serial(battery_image(), serial)


async def test_a_device_like_it_is_not_commanded_in_its_place():
    device, other = Inverter(numbered("A-1")), numbered("A-2")
    limits = SetPointLimits(real=True, min_kw=-3.0, max_kw=3.0)
    async with connected(device, "battery", limits) as gateway:
        assert (await ask(gateway, 2.0)).ok
        mine, device.writes = device.cells, []
        device.cells = device.units[1] = other
        outcome = await ask(gateway, 1.0)
        assert not outcome.ok
        assert "tells the serial number A-2, and told A-1 when it was first commanded" in outcome.detail
        assert await gateway.stop("fire") != []
        assert device.writes == []
        device.cells = device.units[1] = mine
        assert failures(await gateway.tend()) == []
        assert gateway.actuators[0].is_safe


async def test_models_that_move_while_the_device_runs_are_found_again():
    device = Inverter(pv_image(rating_w=5000))
    async with connected(device) as gateway:
        assert (await ask(gateway, 2.0)).ok
        # The common model is a register shorter from now on, so that all others move.
        moved = pv_image(rating_w=10_000)
        shorter = {address - (address > 40_069): word for address, word in moved.items() if address != 40_069}
        device.cells.clear()
        device.cells.update({**shorter, 40_003: 65})
        assert (await ask(gateway, 2.0)).ok
        assert device.at(123, LIMIT) == 2000
        (reading,) = await gateway.poll()
        assert reading.devices[0].p_kw == 2.5


async def test_a_battery_with_a_band_takes_shares_of_its_charging_power_in_both_directions():
    device = Inverter(battery_image(charge_w=12_800, discharge_w=10_000))
    limits = SetPointLimits(real=True, min_kw=-5.0, max_kw=5.0)
    async with connected(device, "battery", limits) as gateway:
        assert (await ask(gateway, 2.0)).ok
    assert device.at(124, 12) == pytest.approx(1562.5, abs=0.5)
    assert device.at(124, 13) == pytest.approx(0x10000 - 1562.5, abs=0.5)


def whole_percent_and_300_s(rounded):
    """Behaviour of an inverter that keeps whole percent and revert times up to 300 s."""
    image = pv_image()
    limit, revert = address_of(image, 123, LIMIT), address_of(image, 123, REVERT)

    def store(address, word):
        if address == limit:
            return 100 * rounded(word / 100)
        return min(word, 300) if address == revert else word

    return Inverter(image, store)


@pytest.mark.parametrize("rounded", [round, lambda x: int(x), lambda x: -int(-x // 1)])
async def test_a_device_that_rounds_is_obeyed_within_its_resolution(rounded):
    device = whole_percent_and_300_s(rounded)
    async with connected(device) as gateway:
        gateway.simulated_s = None
        assert (await ask(gateway, 2.125, valid_s=900.0)).ok
        assert len(device.writes) == 1
        # It falls back after 300 s, whatever it was told: at half of that it is renewed.
        (actuator,) = gateway.actuators
        assert not actuator.is_due()
        assert actuator.in_force_kw == 2.125
        gateway.simulated_s = actuator._times.written_s + 149.0
        assert not actuator.is_due()
        gateway.simulated_s += 2.0
        assert actuator.is_due()


async def test_a_device_that_rounds_beyond_the_envelope_is_brought_back_at_once():
    device = whole_percent_and_300_s(lambda x: -int(-x // 1))
    async with connected(device, limits=SetPointLimits(real=True, min_kw=0.0, max_kw=2.125)) as gateway:
        assert (await ask(gateway, 4.0)).ok
    assert device.at(123, LIMIT) == 4200
    assert len(device.writes) == 2


@pytest.mark.parametrize("revert", [NONE, 0])
async def test_a_device_without_revert_time_is_released_when_its_set_point_ends(revert):
    image = pv_image(revert=revert)
    at = address_of(image, 123, REVERT)
    device = Inverter(image, lambda address, word: None if address == at else word)
    async with connected(device, limits=SetPointLimits(real=True, min_kw=0.0, max_kw=6.0)) as gateway:
        assert (await ask(gateway, 2.0, valid_s=30.0)).ok
        assert gateway.actuators[0].delivery.lacks_revert
        await let_pass(gateway, 29)
        assert device.at(123, ENABLE) == 1
        await let_pass(gateway, 2)
        assert device.at(123, ENABLE) == 0


async def test_after_release_a_device_stays_within_an_envelope_that_it_could_leave():
    device = Inverter(pv_image())
    async with connected(device, limits=SetPointLimits(real=True, min_kw=0.0, max_kw=3.0)) as gateway:
        assert (await ask(gateway, 1.0, valid_s=30.0)).ok
        await let_pass(gateway, 32)
        assert (device.at(123, LIMIT), device.at(123, ENABLE), device.at(123, REVERT)) == (6000, 1, 0)
        assert (await ask(gateway, 1.0)).ok
        assert await gateway.hand_back() == []
        assert (device.at(123, LIMIT), device.at(123, ENABLE), device.at(123, REVERT)) == (6000, 1, 0)


async def test_what_another_master_writes_is_noticed_and_left_until_the_next_set_point():
    device = Inverter(pv_image())
    async with connected(device) as gateway:
        assert (await ask(gateway, 2.0, valid_s=900.0)).ok
        await gateway.poll()
        assert gateway.overwritten == []
        device.put(123, LIMIT, 9000)
        await gateway.poll()
        (line,) = gateway.overwritten
        assert "pv of home" in line
        assert "another master writes to it: 123.WMaxLimPct shows 2328 where 0fa0 was written" in line
        await let_pass(gateway, 600)
        await gateway.poll()
        assert gateway.overwritten == []
        assert device.at(123, LIMIT) == 9000
        assert (await ask(gateway, 1.0, valid_s=900.0)).ok
        assert device.at(123, LIMIT) == 2000


async def test_what_another_master_writes_is_not_renewed_over():
    device = Inverter(pv_image())
    limits = SetPointLimits(real=True, min_kw=0.0, max_kw=5.0, revert_s=60.0)
    async with connected(device, limits=limits) as gateway:
        assert (await ask(gateway, 2.0, valid_s=900.0)).ok
        assert await told_by(gateway, 40) == []
        written = len(device.writes)
        assert written > 1
        device.put(123, LIMIT, 9000)
        (line,) = await told_by(gateway, 59)
        assert "another master writes to it: 123.WMaxLimPct shows 2328 where 0fa0 was written" in line
        assert (device.at(123, LIMIT), len(device.writes)) == (9000, written)
        assert (await ask(gateway, 1.0, valid_s=900.0)).ok
        assert device.at(123, LIMIT) == 2000


async def test_what_another_master_writes_after_a_stop_is_written_over():
    device = Inverter(pv_image())
    async with connected(device) as gateway:
        assert await gateway.stop("fire") == []
        device.put(123, ENABLE, 0)
        await gateway.poll()
        assert len(gateway.overwritten) == 1
        assert not gateway.actuators[0].is_safe
        assert failures(await gateway.tend()) == []
        assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (0, 1)
