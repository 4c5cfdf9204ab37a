"""A gateway in a thread of its own: its stop waits for nothing that the process computes."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager, contextmanager

import numpy as np
import pytest

from broker.client.mqtt import connect
from broker.messages import Stop
from broker.participant.node import Node
from broker.server.mosquitto import mosquitto
from devices.endpoint import LiveProsumer, tcp
from devices.errors import NotRealTime
from devices.gateway.gateway import Gateway
from devices.gateway.service import GatewayService
from devices.gateway.thread import GatewayThread
from devices.limits import SetPointLimits
from tests.integration.plain_modbus import tcp_server
from tests.integration.sunspec_images import Inverter, pv_image

pytestmark = pytest.mark.usefixtures("mosquitto_installed")
ARMED = SetPointLimits(real=True, min_kw=0.0, max_kw=3.0, safe_kw=0.5)
LIMIT, ENABLE = 5, 9


class Timed(Inverter):
    """Inverter that notes when it was asked."""

    def __init__(self):
        super().__init__(pv_image())
        self.times = []

    def answer(self, unit, pdu):
        self.times.append(time.monotonic())
        return super().answer(unit, pdu)


@contextmanager
def elsewhere(serve):
    """Run ``serve(ready)`` in a thread and loop of its own, as in another process, until the block ends."""
    loop, made = asyncio.new_event_loop(), []
    begun = threading.Event()

    async def main():
        end = asyncio.Event()
        made.append(end)
        async with serve() as what:
            made.append(what)
            begun.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
    thread.start()
    assert begun.wait(10.0)
    try:
        yield made[1], loop
    finally:
        loop.call_soon_threadsafe(made[0].set)
        thread.join()
        loop.close()


@asynccontextmanager
async def gateway_thread(url, port):
    async def make(stack):
        bus = await stack.enter_async_context(connect(url, "gateway"))
        pv = tcp("127.0.0.1", port, 1, "sunspec-pv")
        home = LiveProsumer(id="home", meter=tcp("127.0.0.1", port, 9, "sdm630"), pv=pv, pv_limits=ARMED)
        gateway = Gateway([home], timeout_s=0.5)
        stack.push_async_callback(gateway.close)
        return GatewayService(Node(bus, "lab", "gateway"), gateway)

    async with GatewayThread(make) as thread:
        yield thread


def clear_for(seconds):
    """Keep the event loop and the interpreter busy, as a clearing does."""
    matrix = np.random.default_rng(1).normal(size=(300, 300))
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        np.linalg.solve(matrix, matrix)
        sum(float(x) ** 2 for x in matrix[0])


async def publish_stop(url):
    async with connect(url, "operator") as bus:
        node = Node(bus, "lab", "operator")
        stop = Stop(run="lab", tick=-1, sender="operator", seq=0, reason="fire")
        await node.publish_message(node.topics.stop("operator"), stop)
        return time.monotonic()


@pytest.mark.parametrize("way", ["bus", "call"])
async def test_a_stop_goes_out_while_the_loop_of_its_process_is_busy(way):
    device = Timed()
    async with mosquitto() as broker:
        with elsewhere(lambda: tcp_server(device)) as (port, other):
            async with gateway_thread(broker.url, port) as thread:
                running = asyncio.create_task(thread.run())
                await thread.arming()
                await asyncio.sleep(0.3)
                asked_at = []

                def ask():
                    time.sleep(0.3)
                    if way == "call":
                        asked_at.append(time.monotonic())
                        thread.stop_now("terminal", "fire")
                    else:
                        stopping = asyncio.run_coroutine_threadsafe(publish_stop(broker.url), other)
                        asked_at.append(stopping.result())

                asking = threading.Thread(target=ask)
                asking.start()
                before = len(device.times)
                began = time.monotonic()
                clear_for(1.0)
                was_busy_until = time.monotonic()
                asking.join()
                assert began < asked_at[0] < was_busy_until - 0.2
                first = next(t for t in device.times[before:] if t >= asked_at[0] - 0.05)
                assert first - asked_at[0] < 0.2
                await asyncio.sleep(0.3)
                assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (1000, 1)
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running


async def test_what_ends_the_process_brings_hardware_to_its_safe_value_first():
    device = Timed()
    async with mosquitto() as broker:
        with elsewhere(lambda: tcp_server(device)) as (port, _):
            async with gateway_thread(broker.url, port) as thread:
                assert thread.armed == 1
                running = asyncio.create_task(thread.run())
                await asyncio.sleep(0.3)
                running.cancel()
                await asyncio.sleep(0.0)
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (1000, 1)


async def test_a_signal_ends_it_without_the_loop_of_its_process():
    device = Timed()
    async with mosquitto() as broker:
        with elsewhere(lambda: tcp_server(device)) as (port, _):
            async with gateway_thread(broker.url, port) as thread:
                running = asyncio.create_task(thread.run())
                await asyncio.sleep(0.3)
                thread.end_now()
                clear_for(0.5)
                assert (device.at(123, LIMIT), device.at(123, ENABLE)) == (1000, 1)
                await running


async def test_what_fails_while_it_is_made_is_raised_on_entering():
    async def make(_):
        raise NotRealTime("hardware in simulated time")

    with pytest.raises(NotRealTime):
        async with GatewayThread(make):
            pass
