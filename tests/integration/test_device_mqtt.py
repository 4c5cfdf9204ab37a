"""``sharegrid device`` on MQTT: measurements, settings, availability, Home Assistant."""

import asyncio
import json
import socket
import time
from contextlib import asynccontextmanager

from broker.client.mqtt import connect
from broker.door.bounds import Bounds
from broker.messages import DeviceSetPoint
from broker.security.files import Group, Plan, write_files
from broker.security.grants import grants
from broker.server.choose import open_broker
from broker.server.mosquitto import Secured
from cosim.world.names import GATEWAY
from devices.endpoint import LiveProsumer, parse_endpoint, tcp
from devices.gateway.gateway import Gateway
from devices.limits import SetPointLimits
from devices.mqtt.messages import DeviceTopics
from devices.mqtt.run_discovery import presented
from tests.integration.device_process import ended, port_in, read_once, running, until


class Listener:
    """What was said on a broker, the latest of each topic and the whole order."""

    def __init__(self, bus):
        self.bus = bus
        self.last = {}
        self.heard = []

    async def listen(self):
        async for message in self.bus.messages():
            self.last[message.topic] = message
            self.heard.append(message)

    async def hears(self, topic, check=lambda payload: True):
        async def there():
            message = self.last.get(topic)
            return message if message is not None and check(message.payload) else None

        return await until(there, 10.0)


@asynccontextmanager
async def listening(url, *filters):
    async with connect(url, "listener") as bus:
        listener = Listener(bus)
        task = asyncio.create_task(listener.listen())
        await bus.subscribe(*filters)
        yield listener
        task.cancel()


def setting(power_kw, **changes):
    usual = {"power_kw": power_kw, "expires": time.time() + 30.0, "valid_s": 60.0, "id": f"{power_kw}"}
    return json.dumps(usual | changes).encode()


async def test_a_device_on_mqtt_alone_is_read_and_commanded_by_the_gateway():
    async with open_broker("mosquitto") as broker:
        options = ("--mqtt", broker.url, "--publish-every", "0.2", "--rating", "4", "--capacity", "8")
        async with running("battery", "--name", "b1", *options, "--step", "0.1") as (pi, _):
            home = LiveProsumer(
                id="home",
                meter=parse_endpoint(f"{broker.url}/absent", "sharegrid-meter"),
                battery=parse_endpoint(f"{broker.url}/b1", "sharegrid-battery"),
                battery_limits=SetPointLimits(real=True, min_kw=-2.0, max_kw=2.0),
            )
            gateway = Gateway([home], timeout_s=2.0)
            try:
                (battery,) = (await gateway.poll())[0].devices
                assert (battery.quality, battery.soc, battery.min_kw) == ("good", 0.5, -2.0)
                outcome = await gateway.command(
                    "home", [DeviceSetPoint(device="battery", power_kw=3.0)], 60.0
                )
                assert outcome.ok, outcome.detail
                assert not gateway.actuators[0].delivery.lacks_revert

                async def discharges():
                    (battery,) = (await gateway.poll())[0].devices
                    return battery.p_kw == 2.0

                await until(discharges)
                assert await gateway.stop("a test") == []
            finally:
                await gateway.close()
            assert await ended(pi) == (0, "")


async def test_a_device_and_its_gateway_speak_over_an_encrypted_broker_that_knows_both(tmp_path):
    granted = grants(Bounds(services={"gateway": frozenset({GATEWAY})}), devices=["b1"])
    parties = {party: Group([party]) for party in granted}
    write_files(tmp_path / "s", Plan(granted, parties, ["127.0.0.1"], port=0))
    clients = tmp_path / "s" / "clients"
    secured = Secured(tmp_path / "s" / "broker", clients / "observer", tmp_path / "broker.log")
    async with open_broker("mosquitto", secured=secured) as broker:
        port = broker.url.partition("?")[0].rpartition(":")[2]

        def url(party, name=""):
            return f"mqtts://127.0.0.1:{port}{name}?credentials={clients / party}"

        options = ("--name", "b1", "--mqtt", url("device-b1"), "--publish-every", "0.2")
        async with running("battery", *options) as (pi, _):
            home = LiveProsumer(
                id="home",
                meter=parse_endpoint("tcp://127.0.0.1:1/1", "sdm630"),
                battery=parse_endpoint(url(GATEWAY, "/b1"), "sharegrid-battery"),
            )
            gateway = Gateway([home], timeout_s=2.0)
            try:
                assert (await gateway.poll())[0].devices[0].quality == "good"
                outcome = await gateway.command("home", [DeviceSetPoint(device="battery", power_kw=1.0)])
                assert outcome.ok, outcome.detail
            finally:
                await gateway.close()
            assert await ended(pi) == (0, "")


async def test_a_battery_speaks_mqtt_alone(kind):
    topics = DeviceTopics("b1")
    async with open_broker(kind) as broker, listening(broker.url, f"{topics.root}/#") as heard:
        options = ("--mqtt", broker.url, "--publish-every", "0.2", "--step", "0.1", "--rating", "4")
        async with running("battery", "--name", "b1", *options) as (pi, _):
            assert (await heard.hears(topics.availability)).payload == b"online"
            first = json.loads((await heard.hears(topics.measurement)).payload)
            assert first["values"]["soc"] == 0.5
            assert first["units"]["p_kw"] == "kW"
            assert abs(first["time"] - time.time()) < 5.0
            await heard.bus.publish(topics.setting, setting(2.0))
            ack = json.loads((await heard.hears(topics.acknowledgement)).payload)
            assert ack == {"id": "2.0", "ok": True, "detail": "", "v": 1}
            await heard.hears(topics.measurement, lambda body: json.loads(body)["values"]["p_kw"] == 2.0)
            for bad, why in (
                (setting(3.0, expires=time.time() - 1.0, id="old"), "expired"),
                (setting(3.0, valid_s=-1.0, id="negative"), "negative"),
                (b"3.0", "Expected"),
                (b'{"id": "\xff"}', "no UTF-8"),
                (b'{"more": ' + b"[" * 5000, "unknown field"),
            ):
                await heard.bus.publish(topics.setting, bad)
                await heard.hears(
                    topics.acknowledgement, lambda body, why=why: why in json.loads(body)["detail"]
                )
            assert json.loads(heard.last[topics.measurement].payload)["values"]["p_kw"] == 2.0
            assert (await ended(pi))[0] == 0
            await heard.hears(topics.availability, lambda body: body == b"offline")
        numbers = [json.loads(m.payload)["seq"] for m in heard.heard if m.topic == topics.measurement]
        assert numbers == list(range(len(numbers)))
        assert not any(m.retained for m in heard.heard if m.topic == topics.measurement)


async def test_a_command_that_waited_at_the_broker_is_refused(mosquitto_installed):
    topics = DeviceTopics("b2")
    async with open_broker("mosquitto") as broker, listening(broker.url, f"{topics.root}/#") as heard:
        await heard.bus.publish(topics.setting, setting(3.0), retain=True)
        async with running("battery", "--name", "b2", "--mqtt", broker.url, "--step", "0.1") as _:
            ack = json.loads((await heard.hears(topics.acknowledgement)).payload)
            assert (ack["ok"], ack["detail"]) == (False, "arrived retained")


async def test_a_killed_device_is_offline_and_home_assistant_hears_of_it_when_it_comes(mosquitto_installed):
    topics = DeviceTopics("m1")
    config = "homeassistant/device/sharegrid_m1/config"
    async with open_broker("mosquitto") as broker, listening(broker.url, f"{topics.root}/#", config) as heard:
        async with running("meter", "--name", "m1", "--mqtt", broker.url) as (pi, _):
            told = json.loads((await heard.hears(config)).payload)
            assert told["availability_topic"] == topics.availability
            await heard.hears(topics.availability, lambda body: body == b"online")
            before = sum(message.topic == config for message in heard.heard)
            await heard.bus.publish("homeassistant/status", b"online")

            async def told_again():
                return sum(message.topic == config for message in heard.heard) > before

            await until(told_again)
            pi.kill()
            await heard.hears(topics.availability, lambda body: body == b"offline")
        async with listening(broker.url, config) as later:
            assert (await later.hears(config)).retained


async def test_devices_of_a_run_are_told_again_when_home_assistant_comes(mosquitto_installed):
    topic = "homeassistant/device/sharegrid_p1/config"
    async with open_broker("mosquitto") as broker, listening(broker.url, topic) as heard:
        async with presented(broker.url, {topic: {"o": {"name": "sharegrid"}}}):
            await heard.hears(topic)
            await heard.bus.publish("homeassistant/status", b"online")

            async def told_again():
                return len(heard.heard) == 2

            await until(told_again)
        assert json.loads(heard.heard[1].payload) == {"o": {"name": "sharegrid"}}


async def test_modbus_is_served_though_the_broker_is_away_and_mqtt_when_it_comes(mosquitto_installed):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = ("--tcp", "127.0.0.1:0", "--mqtt", f"mqtt://127.0.0.1:{port}", "--publish-every", "0.2")
    async with running("meter", "--name", "m1", "--power", "1.5", *options) as (pi, line):
        assert (await read_once(meter=tcp("127.0.0.1", port_in(line), 1, "sdm630"))).p_kw == 1.5
        warning = await asyncio.wait_for(pi.stderr.readline(), 10.0)
        assert b"no MQTT yet, trying again: no MQTT broker answers" in warning
        broker = await asyncio.create_subprocess_exec(
            "mosquitto", "-p", str(port), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            meter = parse_endpoint(f"mqtt://127.0.0.1:{port}/m1", "sharegrid-meter")

            async def told():
                return (await read_once(meter=meter)).p_kw == 1.5

            await until(told, 20.0)
            assert await ended(pi) == (0, "")
        finally:
            broker.terminate()
            await broker.wait()
