"""Two runs that share a broker and want to command one device, over real connections."""

import asyncio

import pytest

from broker.client.mqtt import connect
from broker.server.mosquitto import mosquitto
from devices.endpoint import parse_endpoint, tcp
from devices.errors import AlreadyClaimed
from devices.gateway.claims import claimed

DEVICE = tcp("127.0.0.1", 5020, 3, "sunspec-pv")


async def test_the_second_run_is_refused_until_the_first_has_ended():
    async with mosquitto() as broker:
        async with claimed(broker.url, "first", DEVICE):
            # The same device under another name, and others beside it.
            with pytest.raises(AlreadyClaimed, match="commanded by another: run first"):
                async with claimed(broker.url, "second", parse_endpoint("tcp://localhost:5020/3", "x")):
                    pass
            async with claimed(broker.url, "second", tcp("127.0.0.1", 5020, 4, "sunspec-pv")):
                pass
            with pytest.raises(AlreadyClaimed, match="commanded by another: run first"):
                async with claimed(broker.url, "third", DEVICE):
                    pass
        async with claimed(broker.url, "second", DEVICE):
            pass


async def test_of_two_that_come_at_once_one_has_it():
    async def hold(broker, run):
        async with claimed(broker.url, run, DEVICE):
            await asyncio.sleep(1.0)

    async with mosquitto() as broker:
        runs = [hold(broker, f"run{k}") for k in range(4)]
        outcomes = await asyncio.gather(*runs, return_exceptions=True)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, AlreadyClaimed) for outcome in outcomes) == 3


async def test_a_latecomer_that_writes_over_a_claim_does_not_get_the_device():
    async with mosquitto() as broker, claimed(broker.url, "first", DEVICE):
        async with connect(broker.url, "careless") as bus:
            await bus.subscribe("sharegrid/claims/v1/#")
            received = await anext(aiter(bus.messages()))
            await bus.publish(received.topic, b"mine", retain=True)
        await asyncio.sleep(0.3)
        with pytest.raises(AlreadyClaimed, match="commanded by another: run first"):
            async with claimed(broker.url, "second", DEVICE):
                pass


async def test_a_serial_line_is_one_device_by_whatever_name(tmp_path):
    line = tmp_path / "ttyUSB0"
    line.touch()
    (tmp_path / "by-id").symlink_to(line)
    async with mosquitto() as broker, claimed(broker.url, "first", parse_endpoint(f"rtu://{line}/1", "x")):
        with pytest.raises(AlreadyClaimed, match="commanded by another: run first"):
            async with claimed(broker.url, "second", parse_endpoint(f"rtu://{tmp_path}/by-id/1", "x")):
                pass
