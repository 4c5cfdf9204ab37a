"""The bus over real brokers, when brokers and clients come and go."""

import asyncio
import contextlib
import gc
import os
import re
import signal
import socket
import sys
from pathlib import Path

import pytest

from broker.client.bus import Bus, Will
from broker.client.mqtt import connect
from broker.errors import BrokerRefused, BrokerStartError, BrokerUnreachable, BusClosed
from broker.participant.node import Node
from broker.server import configuration
from broker.server.child import running
from broker.server.choose import open_broker
from broker.server.handle import BrokerHandle
from broker.server.mosquitto import find_mosquitto

ROOT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def python(code: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )


async def first(bus: Bus, patience_s: float = 10.0) -> tuple[str, bytes, bool]:
    async with asyncio.timeout(patience_s):
        async for message in bus.messages():
            return message.topic, message.payload, message.retained
    raise AssertionError("the bus was closed")


async def test_will_of_a_killed_process(kind: str) -> None:
    code = """
import asyncio, sys
from broker.client.bus import Will
from broker.client.mqtt import connect

async def main():
    async with connect(sys.argv[1], "victim", Will("online/victim", b"no")) as bus:
        await bus.publish("online/victim", b"yes", retain=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    async with open_broker(kind) as broker, connect(broker.url, "watcher") as watcher:
        await watcher.subscribe("online/#")
        victim = await python(code, broker.url)
        try:
            assert await first(watcher) == ("online/victim", b"yes", False)
        finally:
            victim.kill()
            await victim.wait()
        assert await first(watcher) == ("online/victim", b"no", False)
        async with connect(broker.url, "later") as later:
            await later.subscribe("online/#")
            assert await first(later) == ("online/victim", b"no", True)


async def test_broker_restart(kind: str) -> None:
    port = free_port()
    one_back, two_back = asyncio.Event(), asyncio.Event()
    will = Will("online/two", b"no")
    async with contextlib.AsyncExitStack() as stack:
        async with open_broker(kind, port=port) as broker:
            one = await stack.enter_async_context(connect(broker.url, "one", on_reconnect=one_back.set))
            two = await stack.enter_async_context(connect(broker.url, "two", will, on_reconnect=two_back.set))
            await two.subscribe("x/+")
            await one.publish("x/0", b"before")
            assert await first(two) == ("x/0", b"before", False)
        sending = asyncio.create_task(one.publish("y", b"while it is away", retain=True))
        async with open_broker(kind, port=port):
            async with asyncio.timeout(10):
                await asyncio.gather(one_back.wait(), two_back.wait(), sending)
            await one.publish("x/1", b"after")
            assert await first(two) == ("x/1", b"after", False)
            await two.subscribe("y")
            assert await first(two) == ("y", b"while it is away", True)
            assert (one.counts.reconnects, two.counts.reconnects) == (1, 1)


async def test_what_is_flagged_while_the_broker_is_away_is_logged_at_once(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    async with contextlib.AsyncExitStack() as stack:
        async with open_broker(kind, port=port) as broker:
            bus = await stack.enter_async_context(connect(broker.url, "gateway"))
            node = Node(bus, "r1", "gateway-0", title="gateway")
            node.flag("while it is there")
        async with asyncio.timeout(10.0):
            while bus.is_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        node.flag("a battery does not answer")
    said = [record.getMessage() for record in caplog.records if record.name == "broker.participant.node"]
    assert said == ["gateway: a battery does not answer"]
    assert node.take_flags() == ["while it is there", "a battery does not answer"]


async def test_burst_through_a_restart_arrives(kind: str) -> None:
    """Each message that was not confirmed before the restart is at the broker that came after."""
    port = free_port()
    count = 2000
    async with contextlib.AsyncExitStack() as stack:
        async with open_broker(kind, port=port) as broker:
            one = await stack.enter_async_context(connect(broker.url, "one"))
            sending = [
                asyncio.create_task(one.publish(f"x/{n}", b"%d" % n, retain=True)) for n in range(count)
            ]
            await sending[count // 10]
        confirmed = {n for n, task in enumerate(sending) if task.done()}
        async with open_broker(kind, port=port):
            async with asyncio.timeout(30):
                await asyncio.gather(*sending)
            two = await stack.enter_async_context(connect(broker.url, "two"))
            await two.subscribe("x/+")
            kept: set[int] = set()
            with contextlib.suppress(TimeoutError):
                while True:
                    _, payload, retained = await first(two, 1.0)
                    assert retained
                    kept.add(int(payload))
    assert count // 10 < len(confirmed) < count
    assert kept | confirmed == set(range(count))


async def test_publish_gives_up_in_time(kind: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with open_broker(kind) as broker:
            bus = await stack.enter_async_context(connect(broker.url, "one", patience_s=0.5))
            patient = await stack.enter_async_context(connect(broker.url, "two"))
        loop = asyncio.get_running_loop()
        started = loop.time()
        with pytest.raises(BrokerUnreachable, match=r"has been away for 0\.5 s"):
            await bus.publish("x", b"")
        assert loop.time() - started < 2
        with pytest.raises(BrokerUnreachable):
            await bus.subscribe("x")
        waiting = asyncio.create_task(patient.publish("x", b""))
        await asyncio.sleep(0.05)
        await stack.aclose()
        with pytest.raises(BusClosed):
            await waiting


def open_sockets() -> int:
    """Sockets that this process has open."""
    links = []
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(each.readlink()))
    return sum(link.startswith("socket:") for link in links)


async def test_frozen_broker(
    mosquitto_installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It keeps the connection and answers nothing; when it thaws, everything goes on, and nothing is left."""
    monkeypatch.setattr("broker.client.link._ANSWER_S", 0.3)
    unheard: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    before = open_sockets()
    program = find_mosquitto()
    assert program is not None
    port = free_port()
    (tmp_path / "conf").write_text(configuration.open_listener(port, root=os.geteuid() == 0))
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(tmp_path / "conf"), stderr=asyncio.subprocess.DEVNULL
    )
    back = asyncio.Event()
    url = f"mqtt://127.0.0.1:{port}"
    try:
        async with connect(url, "one", on_reconnect=back.set, patience_s=0.5) as bus:
            await bus.subscribe("x")
            process.send_signal(signal.SIGSTOP)
            sending = [asyncio.create_task(bus.publish("x", b"lost")) for _ in range(300)]
            failed = await asyncio.gather(*sending, return_exceptions=True)
            assert {type(error) for error in failed} == {BrokerUnreachable}
            # Long enough for new connections that it takes and never answers.
            await asyncio.sleep(1.5)
            process.send_signal(signal.SIGCONT)
            async with asyncio.timeout(20):
                await back.wait()
            await bus.publish("x", b"again")
            async with asyncio.timeout(5):
                while (await first(bus))[1] != b"again":
                    pass
    finally:
        process.kill()
        await process.wait()
    assert open_sockets() == before
    gc.collect()
    assert unheard == []


async def test_nobody_answers() -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    port = free_port()
    for attempt in (
        open_broker(f"mqtt://user:secret@127.0.0.1:{port}"),
        connect(f"mqtt://127.0.0.1:{port}", "x"),
    ):
        with pytest.raises(
            BrokerUnreachable, match=f"no MQTT broker answers at mqtt://127.0.0.1:{port}"
        ) as caught:
            async with attempt:
                pass
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert loop.time() - started < 6


async def test_something_answers_that_is_no_broker() -> None:
    server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0)
    accepted: list[asyncio.StreamWriter] = []
    url = f"mqtt://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        with pytest.raises(BrokerUnreachable, match="no MQTT broker answers"):
            async with connect(url, "x", first_patience_s=0.0):
                pass
    finally:
        for writer in accepted:
            writer.close()
        server.close()
        await server.wait_closed()


async def test_a_running_broker_is_used_as_it_is(kind: str) -> None:
    async with open_broker(kind) as ours, open_broker(ours.url) as found:
        assert found == BrokerHandle(url=ours.url, name=ours.url)
        async with connect(found.url, "one") as one:
            await one.publish("x", b"")


async def test_busy_port_is_one_line(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(BrokerStartError, match=f"127.0.0.1:{port}: .*Address already in use; choose"):
            async with open_broker(kind, port=port):
                pass


async def test_broker_dies_with_its_parent(kind: str) -> None:
    code = """
import asyncio, sys
from broker.server.choose import open_broker

async def main():
    async with open_broker(sys.argv[1]) as handle:
        print(handle.url, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
    parent = await python(code, kind)
    assert parent.stdout is not None
    port = int((await parent.stdout.readline()).decode().strip().rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):
        pass
    os.kill(parent.pid, signal.SIGKILL)
    await parent.wait()
    async with asyncio.timeout(10):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    await asyncio.sleep(0.05)
            except OSError:
                break


async def test_wrong_password(mosquitto_installed: None, tmp_path: Path) -> None:
    program = find_mosquitto()
    assert program is not None
    port = free_port()
    (tmp_path / "users").write_text("")
    (tmp_path / "conf").write_text(
        configuration.open_listener(port, root=os.geteuid() == 0) + f"password_file {tmp_path}/users\n"
    )
    async with running([program, "-c", str(tmp_path / "conf")], re.compile("running")):
        with pytest.raises(
            BrokerRefused, match=r"refuses the connection .* check user and password"
        ) as caught:
            async with connect(f"mqtt://me:wrong@127.0.0.1:{port}", "one"):
                pass
    assert "wrong" not in str(caught.value)


async def test_refused_topic() -> None:
    """Mosquitto accepts every subscription and then stays silent: some bytes stand in for a strict one."""

    async def strict(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                kind, length = await reader.readexactly(2)
                body = await reader.readexactly(length)
                if kind >> 4 == 1:
                    writer.write(b"\x20\x02\x00\x00")
                elif kind >> 4 == 8:
                    refused = b"\x80" if b"closed" in body else b"\x01"
                    writer.write(b"\x90\x03" + body[:2] + refused)
        writer.close()

    async with await asyncio.start_server(strict, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"mqtt://127.0.0.1:{port}", "one") as one:
            await one.subscribe("open")
            with pytest.raises(BrokerRefused, match="refuses the topic closed; allow it"):
                await one.subscribe("closed")


async def test_three_processes(kind: str) -> None:
    """Each passes on what it gets, with its name added; the ring of three closes here."""
    code = """
import asyncio, sys
from broker.client.mqtt import connect

async def main():
    url, source, target = sys.argv[1:]
    async with connect(url, target) as bus:
        await bus.subscribe(source + "/+")
        print("ready", flush=True)
        async for message in bus.messages():
            number = message.topic.rpartition("/")[2]
            await bus.publish(target + "/" + number, message.payload + target.encode())
            if number == "99":
                return

asyncio.run(main())
"""
    async with open_broker(kind) as broker, connect(broker.url, "start") as bus:
        await bus.subscribe("c/+")
        members = [await python(code, broker.url, *pair) for pair in (("start", "a"), ("a", "b"), ("b", "c"))]
        try:
            for member in members:
                assert member.stdout is not None
                assert await member.stdout.readline() == b"ready\n"
            await asyncio.gather(*(bus.publish(f"start/{n}", b">") for n in range(100)))
            assert [await first(bus) for _ in range(100)] == [(f"c/{n}", b">abc", False) for n in range(100)]
            assert [await member.wait() for member in members] == [0, 0, 0]
        finally:
            for member in members:
                if member.returncode is None:
                    member.kill()
                    await member.wait()
