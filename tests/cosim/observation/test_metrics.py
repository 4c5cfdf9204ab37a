"""Metrics, health and logs of a process."""

import asyncio
import json
import logging
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest

from broker.client.mqtt import connect
from broker.messages import Step
from broker.participant.node import Node
from broker.server.choose import open_broker
from cosim.observation import probe
from cosim.observation.logs import log_as
from cosim.observation.metrics import ProcessMetrics
from cosim.observation.server import ObservationError, metrics_of, observed


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


async def get(port, request=b"GET /metrics HTTP/1.1\r\n\r\n"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode(), body.decode()


@asynccontextmanager
async def service(metrics):
    async with open_broker() as broker, connect(broker.url, "wam") as bus:
        node = Node(bus, "r", "wam")
        metrics.watch(node, bus)
        await node.open()
        pump = asyncio.create_task(node.pump())
        yield node
        pump.cancel()
        await asyncio.gather(pump, return_exceptions=True)


async def test_a_service_is_measured_and_served():
    metrics, port = ProcessMetrics(), free_port()
    async with observed(metrics, f"127.0.0.1:{port}"), service(metrics) as node:
        node.flag("one")
        step = {"step": "bid", "opened": time.time(), "deadline": time.time() + 1.0, "interval_s": 900.0}
        await node.publish(node.topics.step, Step, 4, **step)
        async with asyncio.timeout(5):
            async for opened in node.steps():
                assert opened.tick == 4
                break
        await node.done("bid", 4)
        head, body = await get(port)
        assert head.startswith("HTTP/1.1 200 OK")
        lines = body.splitlines()
        assert 'sharegrid_tick{service="wam"} 4.0' in lines
        assert 'sharegrid_connected{service="wam"} 1.0' in lines
        assert 'sharegrid_messages_total{service="wam",what="received"} 2.0' in lines
        assert 'sharegrid_step_seconds_count{service="wam",step="bid"} 1.0' in lines
        assert 'sharegrid_flags_total{service="wam"} 1.0' in lines
        assert any(line.startswith("sharegrid_loop_lag_seconds ") for line in lines)
        _, health = await get(port, b"GET /health HTTP/1.1\r\n\r\n")
        told = json.loads(health)
        assert told["healthy"]
        assert told["services"] == {"wam": {"connected": True, "tick": 4}}
        assert await asyncio.to_thread(probe.main, [f"0.0.0.0:{port}"]) == 0


async def test_a_process_without_connection_is_not_healthy():
    metrics, port = ProcessMetrics(), free_port()
    async with observed(metrics, f"127.0.0.1:{port}"):
        head, _ = await get(port, b"GET /health HTTP/1.1\r\n\r\n")
        assert head.startswith("HTTP/1.1 503")
        assert await asyncio.to_thread(probe.main, [f"127.0.0.1:{port}"]) == 1
    assert await asyncio.to_thread(probe.main, [f"127.0.0.1:{port}"]) == 1
    assert probe.main(["nonsense"]) == 2


async def test_a_process_that_waits_for_its_turn_is_healthy_while_it_follows_the_run():
    metrics, port = ProcessMetrics(), free_port()
    async with observed(metrics, f"127.0.0.1:{port}"), open_broker() as broker:
        async with connect(broker.url, "watch") as bus:
            metrics.stand_by(bus)
            head, body = await get(port, b"GET /health HTTP/1.1\r\n\r\n")
            assert head.startswith("HTTP/1.1 200 OK")
            assert json.loads(body)["waits"] == "for its turn"
            async with service(metrics):
                assert "waits" not in metrics.health()
        head, _ = await get(port, b"GET /health HTTP/1.1\r\n\r\n")
        assert head.startswith("HTTP/1.1 503")


@pytest.mark.parametrize(
    "request_", [b"POST /metrics HTTP/1.1\r\n", b"GET /etc/passwd HTTP/1.1\r\n", b"\r\n"]
)
async def test_other_requests_find_nothing(request_):
    port = free_port()
    async with observed(ProcessMetrics(), f"127.0.0.1:{port}"):
        head, body = await get(port, request_)
        assert head.startswith("HTTP/1.1 404")
        assert body == "/metrics or /health\n"


async def test_an_endless_line_is_cut_off():
    port = free_port()
    async with observed(ProcessMetrics(), f"127.0.0.1:{port}"):
        assert await get(port, b"x" * 10_000) == ("", "")


@pytest.mark.parametrize("address", ["9464", "localhost:", "localhost:99999", ":1"])
async def test_an_address_that_is_none_is_one_line(address):
    with pytest.raises(ObservationError, match="give HOST:PORT"):
        async with observed(ProcessMetrics(), address):
            pass


async def test_an_address_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ObservationError, match="choose another"):
            async with observed(ProcessMetrics(), address):
                pass


async def test_without_an_address_there_is_nothing():
    assert metrics_of(None) is None
    async with observed(None, None):
        pass


def test_logs_are_lines_of_json(capsys):
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        log_as("json", "info")
        logging.getLogger("broker.x").warning("%s is back", "wam")
        logging.getLogger("broker.x").debug("not this")
    finally:
        logging.getLogger().handlers[:], _ = before
        logging.getLogger().setLevel(before[1])
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["logger"]) == ("wam is back", "warning", "broker.x")
    assert told["timestamp"].endswith("Z")


def test_the_probe_loads_little():
    code = "import cosim.observation.probe, sys; print([m for m in sys.modules if m in ('numpy', 'asyncio')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
