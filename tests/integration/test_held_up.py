"""A process that was held up itself blames nobody else for it: a process that is really stopped."""

import asyncio
import json
import signal
import socket
from contextlib import asynccontextmanager

import pytest
import websockets

from broker.client.mqtt import connect
from broker.server.choose import open_broker
from tests.integration.held_up import begin, outcome, own_mosquitto, process, profile_folder, stop_for
from tests.integration.plain_modbus import Registers, tcp_server

STOPPED_S = 1.5


class Waits(Registers):
    """Registers of unit 1 that answers once it may."""

    def __init__(self):
        super().__init__({1: {5: 1005}})
        self.was_asked, self.may_answer = asyncio.Event(), asyncio.Event()
        self.pause_s = 0.0

    async def answer(self, unit, pdu):
        self.was_asked.set()
        await self.may_answer.wait()
        await asyncio.sleep(self.pause_s)
        return super().answer(unit, pdu)


@pytest.mark.parametrize("comes", ["meanwhile", "after"])
async def test_a_unit_is_not_blamed_for_a_stop_of_the_gateway(comes):
    device = Waits()
    async with tcp_server(device) as port, process("modbus", port) as made:
        await device.was_asked.wait()
        if comes == "meanwhile":
            device.may_answer.set()
        await stop_for(made, STOPPED_S)
        # Where the whole computer was held up, so was who answers.
        device.pause_s = 0.2
        device.may_answer.set()
        assert await outcome(made) == [1005, 1005]


async def test_a_unit_that_is_silent_is_found_so_soon_after_all():
    device = Waits()
    async with tcp_server(device) as port, process("modbus", port) as made:
        await device.was_asked.wait()
        await stop_for(made, STOPPED_S)
        began = asyncio.get_running_loop().time()
        silent, left_alone = await outcome(made)
        # What was left of a second, and a quarter of it at most.
        assert asyncio.get_running_loop().time() - began < 2.0
        assert "did not answer within 1 s" in silent
        assert "left alone" in left_alone


async def test_a_web_server_is_not_blamed():
    was_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        was_asked.set()
        await may_answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"1.500")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    place = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    profile = {
        "title": "t", "source": "s", "kind": "meter", "over": "http",
        "values": {"p_kw": {"at": "/p", "unit": "kW"}, "import_kwh": {"at": "/p", "unit": "kWh"}},
    }  # fmt: skip
    async with server, profile_folder(profile) as folder, process("polls", place, str(folder), 1) as made:
        await was_asked.wait()
        may_answer.set()
        await stop_for(made, 2 * STOPPED_S)
        assert await outcome(made) == ["good", 1.5]


METER = {
    "title": "t", "source": "s", "kind": "meter", "over": "mqtt", "stale_s": 2.0,
    "values": {"p_kw": {"at": "m/p", "unit": "kW"}, "import_kwh": {"at": "m/e", "unit": "kWh"}},
}  # fmt: skip


@pytest.fixture
async def broker():
    async with open_broker("mosquitto") as handle:
        yield handle


@asynccontextmanager
async def polling(broker, folder, times):
    """A process that polls a meter on a broker, and what speaks in the meter's name."""
    what = process("polls", f"{broker.url}/m", str(folder), times)
    async with connect(broker.url, "device") as device, what as made:
        yield made, device


async def say(bus, power_kw):
    await bus.publish("m/p", f"{power_kw}".encode())
    await bus.publish("m/e", b"7")


async def test_a_device_that_spoke_while_its_gateway_was_held_up_is_read(broker):
    async with profile_folder(METER) as folder, polling(broker, folder, 1) as (made, device):
        await asyncio.sleep(0.5)
        made.send_signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        await say(device, 1.5)
        made.send_signal(signal.SIGCONT)
        assert (await outcome(made))[:2] == ["good", 1.5]


async def test_what_lay_unread_meanwhile_counts_as_old_and_nobody_is_blamed(broker):
    async with profile_folder(METER) as folder, polling(broker, folder, 3) as (made, device):
        await asyncio.sleep(0.3)
        await say(device, 1.0)
        assert await made.stdout.readline() == b"polled\n"
        made.send_signal(signal.SIGSTOP)
        await say(device, 9.0)
        await asyncio.sleep(3.0)
        begin(made)
        made.send_signal(signal.SIGCONT)
        assert await made.stdout.readline() == b"polled\n"
        # What is read right after it went on may have been said before.
        await asyncio.sleep(0.4)
        await say(device, 2.0)
        await asyncio.sleep(0.3)
        begin(made)
        first, first_kw, second, second_kw, problem, third, third_kw = await outcome(made)
    assert (first, first_kw, third, third_kw) == ("good", 1.0, "good", 2.0)
    assert (second, second_kw) == ("missing", None)
    assert "since this process stood still for 3 s; wait for it" in problem


async def test_who_spoke_before_a_gate_is_not_missing_where_its_receiver_was_held_up(broker):
    async with connect(broker.url, "mouth") as bus, process("gate", broker.url) as made:
        assert await made.stdout.readline() == b"waiting\n"
        await bus.publish("said/a", b"1")
        await asyncio.sleep(0.2)
        made.send_signal(signal.SIGSTOP)
        await bus.publish("said/b", b"2")
        await asyncio.sleep(STOPPED_S)
        made.send_signal(signal.SIGCONT)
        assert await outcome(made) == {"a": "1", "b": "2"}


async def test_a_broker_is_not_blamed_that_was_held_up_with_its_client():
    async with own_mosquitto() as (url, mosquitto), process("publishes", url) as made:
        assert await made.stdout.readline() == b"publishing\n"
        mosquitto.send_signal(signal.SIGSTOP)
        begin(made)
        await asyncio.sleep(0.3)
        await stop_for(made, STOPPED_S)
        await asyncio.sleep(0.2)
        mosquitto.send_signal(signal.SIGCONT)
        assert await outcome(made) == "published"


async def test_a_charger_is_not_blamed_whose_answer_lay_unread():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with process("limits", port) as made:
        assert await made.stdout.readline() == b"open\n"
        place = f"ws://127.0.0.1:{port}/CP1"
        async with websockets.connect(place, subprotocols=["ocpp1.6"], ping_interval=None) as charger:
            begin(made)
            _, number, action, _ = json.loads(await charger.recv())
            assert action == "SetChargingProfile"
            made.send_signal(signal.SIGSTOP)
            await charger.send(json.dumps([3, number, {"status": "Accepted"}]))
            # Longer than a charger is waited for.
            await asyncio.sleep(5.5)
            made.send_signal(signal.SIGCONT)
            # It shows no schedule.
            _, number, _, _ = json.loads(await charger.recv())
            await charger.send(json.dumps([3, number, {"status": "Rejected"}]))
            assert await outcome(made) == [True, ""]
