"""Devices that speak MQTT alone, on a real Mosquitto, through the gateway."""

import asyncio
import json
import math
import time
from contextlib import asynccontextmanager

import pytest

from broker.client.mqtt import connect
from broker.messages import DeviceSetPoint
from broker.server.choose import open_broker
from devices.endpoint import LiveProsumer, parse_endpoint, tcp
from devices.gateway.attempt import failures
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits

EM = {"total_act_power": -1250.5, "a_voltage": 231.0, "b_voltage": 229.5, "c_voltage": 230.5}
EMDATA = {"total_act": 12_345.0, "total_act_ret": 6_000.0}
PV = """
title = "a limiter that shows what it was told"
source = "this test"
kind = "pv"
over = "mqtt"

[values]
p_kw = { at = "{name}/power", unit = "W" }
limit = { at = "{name}/limit", unit = "W" }

[constants]
rating_kw = 5.0

[commands]
unit = "W"
step = 10.0
shows = "limit"
set = [{ at = "{name}/limit/set", text = "{value}" }]
release = [{ at = "{name}/limit/set", text = "5000" }]
"""
ENVELOPE = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0)


@asynccontextmanager
async def gateway_of(broker, folder=None, timeout_s=0.5, **devices):
    limits = {kind: devices.pop(kind) for kind in list(devices) if kind.endswith("limits")}
    places = {
        kind: parse_endpoint(f"{broker.url}/{name}", profile) for kind, (name, profile) in devices.items()
    }
    home = LiveProsumer(id="home", **{"meter": tcp("127.0.0.1", 1, 1, "sdm630")} | places, **limits)
    gateway = Gateway([home], timeout_s=timeout_s, retry_after_s=0.0, hold_polls=0, profiles=folder)
    try:
        yield gateway
    finally:
        await gateway.close()


@pytest.fixture
async def broker():
    async with open_broker("mosquitto") as handle:
        yield handle


@pytest.fixture
async def device(broker):
    """What publishes in the name of a device."""
    async with connect(broker.url, "device") as bus:
        yield bus


@asynccontextmanager
async def repeated(bus, topic, body, every_s=0.05):
    """Publish the same again and again, as devices do."""

    async def publish():
        while True:
            await bus.publish(topic, json.dumps(body).encode() if not isinstance(body, bytes) else body)
            await asyncio.sleep(every_s)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_shelly_is_read_with_our_signs_and_units(broker, device):
    async with (
        gateway_of(broker, meter=("shelly", "shelly-3em")) as gateway,
        repeated(device, "shelly/status/em:0", EM),
        repeated(device, "shelly/status/emdata:0", EMDATA),
    ):
        (reading,) = await gateway.poll()
        assert (reading.quality, reading.p_kw) == ("good", -1.2505)
        assert (reading.import_kwh, reading.export_kwh) == (12.345, 6.0)
        assert reading.v_pu == pytest.approx((231.0 + 229.5 + 230.5) / 3 / 230)


async def test_what_the_broker_kept_does_not_count(broker, device):
    await device.publish("shelly/status/em:0", json.dumps(EM).encode(), retain=True)
    await device.publish("shelly/status/emdata:0", json.dumps(EMDATA).encode(), retain=True)
    async with gateway_of(broker, meter=("shelly", "shelly-3em")) as gateway:
        (reading,) = await gateway.poll()
        assert (reading.quality, reading.p_kw) == ("missing", None)
        assert "the broker kept it" in gateway.problems[0]
        await device.publish("shelly/status/em:0", json.dumps(EM).encode(), retain=True)
        await device.publish("shelly/status/emdata:0", json.dumps(EMDATA).encode(), retain=True)
        await asyncio.sleep(0.1)
        (reading,) = await gateway.poll()
        assert (reading.quality, reading.p_kw) == ("good", -1.2505)


async def test_what_was_said_too_long_ago_does_not_count(broker, device, tmp_path):
    (tmp_path / "quick.toml").write_text(
        'title = "t"\nsource = "s"\nkind = "meter"\nover = "mqtt"\nstale_s = 0.3\n'
        '[values]\np_kw = { at = "{name}/p", unit = "kW" }\nimport_kwh = { at = "{name}/e", unit = "kWh" }\n'
    )
    async with gateway_of(broker, tmp_path, meter=("m", "quick")) as gateway:
        async with repeated(device, "m/p", b"1.5"), repeated(device, "m/e", b"7"):
            assert (await gateway.poll())[0].p_kw == 1.5
        await asyncio.sleep(0.35)
        (reading,) = await gateway.poll()
        assert reading.quality == "missing"
        assert "has not told p_kw for 0 s" in gateway.problems[0]


async def test_a_reading_says_when_it_was_told(broker, device):
    async with gateway_of(broker, meter=("shelly", "shelly-3em")) as gateway:
        await gateway.poll()
        await device.publish("shelly/status/em:0", json.dumps(EM).encode())
        await device.publish("shelly/status/emdata:0", json.dumps(EMDATA).encode())
        await asyncio.sleep(0.3)
        (reading,) = await gateway.poll()
        assert reading.quality == "good"
        assert 0.25 < time.time() - reading.read_at < 2.0


async def test_a_device_that_says_that_it_is_away_is_away(broker, device):
    async with (
        gateway_of(broker, meter=("shelly", "shelly-3em")) as gateway,
        repeated(device, "shelly/status/em:0", EM),
        repeated(device, "shelly/status/emdata:0", EMDATA),
    ):
        await device.publish("shelly/online", b"false", retain=True)
        assert (await gateway.poll())[0].quality == "missing"
        assert "is away" in gateway.problems[0]
        await device.publish("shelly/online", b"true", retain=True)
        await asyncio.sleep(0.1)
        assert (await gateway.poll())[0].quality == "good"


@pytest.mark.parametrize("body", [b"ON", b'{"other": 1}', b"\xff\xfe", b"[]", b""])
async def test_texts_that_hold_no_such_number_are_said_to_be_none(broker, device, body):
    async with (
        gateway_of(broker, meter=("shelly", "shelly-3em")) as gateway,
        repeated(device, "shelly/status/em:0", body),
        repeated(device, "shelly/status/emdata:0", EMDATA),
    ):
        assert (await gateway.poll())[0].quality == "missing"
        assert "shelly/status/em:0" in gateway.problems[0]
        assert len(gateway.problems) == 1


async def test_a_broker_that_is_away_is_a_silent_device_and_comes_back(broker):
    endpoint = parse_endpoint("mqtt://127.0.0.1:1/shelly", "shelly-3em")
    gateway = Gateway([LiveProsumer(id="home", meter=endpoint)], timeout_s=0.2)
    assert (await gateway.poll())[0].quality == "missing"
    assert "127.0.0.1:1" in gateway.problems[0]
    assert gateway.counts.errors == {"DeviceUnreachable": 1}
    await gateway.close()


class Limiter:
    """A device behind the profile above."""

    def __init__(self, bus, name="pv", shows=float):
        self.bus, self.name, self.shows = bus, name, shows
        self.told = []
        self.was_told = asyncio.Event()

    @asynccontextmanager
    async def served(self):
        await self.bus.subscribe(f"{self.name}/limit/set")

        async def obey():
            async for message in self.bus.messages():
                assert not message.retained
                self.told.append(float(message.payload))
                self.was_told.set()
                shown = self.shows(self.told[-1])
                if shown is not None:
                    await self.bus.publish(f"{self.name}/limit", b"%g" % shown)

        task = asyncio.create_task(obey())
        async with repeated(self.bus, f"{self.name}/power", b"4900"):
            yield self
        task.cancel()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "limiter.toml").write_text(PV)
    return tmp_path


async def command(gateway, power_kw, valid_s=0.0):
    return await gateway.command("home", [DeviceSetPoint(device="pv", power_kw=power_kw)], valid_s)


async def test_a_set_point_is_sent_within_the_envelope_and_counts_when_it_is_shown(broker, device, folder):
    async with (
        Limiter(device).served() as limiter,
        gateway_of(broker, folder, pv=("pv", "limiter"), pv_limits=ENVELOPE) as gateway,
    ):
        assert (await command(gateway, 2.004)).ok
        assert (await command(gateway, 9.0)).ok
        assert limiter.told == [2000.0, 3000.0]
        assert not (await command(gateway, math.nan)).ok
        # Left to itself it could give 5 kW, so it stays limited.
        assert (await command(gateway, None)).ok
        assert limiter.told == [2000.0, 3000.0, 3000.0]


@pytest.mark.parametrize(
    ("shows", "complaint"),
    [(lambda _: None, "does not show"), (lambda _: 3500.0, "shows 3.5 kW"), (lambda _: 5000.0, "shows 5 kW")],
)
async def test_a_set_point_that_is_not_shown_is_none(broker, device, folder, monkeypatch, shows, complaint):
    monkeypatch.setattr("devices.sources.commander._SHOWS_WITHIN_S", 0.3)
    async with (
        Limiter(device, shows=shows).served(),
        gateway_of(broker, folder, pv=("pv", "limiter"), pv_limits=ENVELOPE) as gateway,
    ):
        outcome = await command(gateway, 2.9)
        assert not outcome.ok
        assert complaint in outcome.detail


async def test_a_device_without_revert_time_is_released_when_its_set_point_ends(broker, device, folder):
    async with (
        Limiter(device).served() as limiter,
        gateway_of(broker, folder, pv=("pv", "limiter"), pv_limits=ENVELOPE) as gateway,
    ):
        gateway.simulated_s = 0.0
        assert (await command(gateway, 1.0, valid_s=60.0)).ok
        gateway.simulated_s = 61.0
        assert failures(await gateway.tend()) == []
        assert limiter.told == [1000.0, 3000.0]


async def test_what_another_master_sends_is_flagged(broker, device, folder):
    async with (
        Limiter(device).served(),
        gateway_of(broker, folder, pv=("pv", "limiter"), pv_limits=ENVELOPE) as gateway,
    ):
        assert (await command(gateway, 1.0)).ok
        await gateway.poll()
        assert gateway.overwritten == []
        await device.publish("pv/limit/set", b"2500")
        await asyncio.sleep(0.1)
        await gateway.poll()
        assert "limit shows 2.5 kW where 1 kW was sent" in gateway.overwritten[0]


async def test_a_stop_breaks_off_a_set_point_that_waits_to_be_shown(broker, device, folder):
    def shows(told):
        return told if told == 0.0 else None

    async with (
        Limiter(device, shows=shows).served() as limiter,
        gateway_of(broker, folder, timeout_s=2.0, pv=("pv", "limiter"), pv_limits=ENVELOPE) as gateway,
    ):
        waiting = asyncio.create_task(command(gateway, 2.0))
        await limiter.was_told.wait()
        began = time.monotonic()
        assert await gateway.stop("a test") == []
        assert time.monotonic() - began < 0.5
        assert "gave way to an emergency stop" in (await waiting).detail
        assert limiter.told == [2000.0, 0.0]
        assert (await command(gateway, 2.0)).barred


async def test_a_stop_does_not_wait_for_a_device_that_has_told_nothing(broker, device, folder):
    async with (
        Limiter(device).served() as limiter,
        gateway_of(broker, folder, timeout_s=5.0, pv=("pv", "limiter"), pv_limits=ENVELOPE) as gateway,
    ):
        began = time.monotonic()
        assert await gateway.stop("a test") == []
        assert time.monotonic() - began < 1.0
        assert limiter.told == [0.0]
