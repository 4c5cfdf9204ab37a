import os
import re
import sys

import pytest

from broker.errors import BrokerAddressError, BrokerStartError
from broker.server import child, choose, configuration, embedded, mosquitto
from broker.server.child import ChildFailed, running


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_child_says_ready_and_is_stopped() -> None:
    code = "import os, sys; print('pid', os.getpid(), flush=True); print('x' * 10**6); sys.stdin.read()"
    async with running(script(code), re.compile(r"pid (\d+)\n")) as program:
        assert not gone(int(program.match[1]))
    assert gone(int(program.match[1]))


@pytest.mark.parametrize(("closing_s", "ends"), [(0.2, False), (10.0, True)])
async def test_child_is_killed_only_where_it_takes_longer_to_end_than_it_may(
    closing_s, ends, tmp_path
) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        f"    time.sleep(1.0); open({str(tmp_path / 'ended')!r}, 'w'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end); print('ready', flush=True); time.sleep(60)"
    )
    async with running(script(code), re.compile("ready"), closing_s=closing_s):
        pass
    assert (tmp_path / "ended").exists() is ends


async def test_child_that_ends_or_hangs_is_one_line() -> None:
    with pytest.raises(ChildFailed, match=r"^no such port$"):
        async with running(
            script("import sys; print('hello', flush=True); sys.exit('no such port')"), re.compile("ready")
        ):
            pass
    with pytest.raises(ChildFailed, match=r"^warming up$"):
        async with running(
            script("import sys; print('warming up', flush=True); sys.stdin.read()"),
            re.compile("ready"),
            patience_s=0.5,
        ):
            pass
    with pytest.raises(ChildFailed, match="No such file"):
        async with running(["/nowhere/program"], re.compile("ready")):
            pass


async def test_child_that_ignores_the_request_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_CLOSING_S", 0.1)
    code = (
        "import os, signal, time; signal.signal(15, signal.SIG_IGN); print('pid', os.getpid(), flush=True); "
    )
    async with running(script(code + "time.sleep(60)"), re.compile(r"pid (\d+)\n")) as program:
        pass
    assert gone(int(program.match[1]))


def test_mosquitto_limits_are_explicit() -> None:
    text = configuration.open_listener(18830, root=False)
    assert "listener 18830 127.0.0.1\n" in text
    for option in ("max_queued_messages", "max_queued_bytes", "max_inflight_messages", "max_packet_size"):
        found = re.search(rf"^{option} (\d+)$", text, re.MULTILINE)
        assert found is not None
        assert int(found[1]) >= 1000
    assert "user root" not in text
    assert "user root\n" in configuration.open_listener(18830, root=True)


async def test_missing_programs_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosquitto, "find_mosquitto", lambda: None)
    with pytest.raises(BrokerStartError, match=r"apt-get install mosquitto, or take --broker embedded$"):
        async with choose.open_broker("mosquitto"):
            pass

    def absent(name: str) -> str:
        raise embedded.PackageNotFoundError(name)

    monkeypatch.setattr(embedded, "version", absent)
    with pytest.raises(BrokerStartError, match=r"amqtt is not installed"):
        async with choose.open_broker("embedded"):
            pass


async def test_unknown_choice_names_the_choices() -> None:
    with pytest.raises(
        BrokerAddressError, match=r"'rabbit'.*auto, embedded, mosquitto, mqtt://host:port or mqtts"
    ):
        async with choose.open_broker("rabbit"):
            pass


async def test_auto_prefers_mosquitto(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(kind: str):
        def start(port: int, *_: object):
            tried.append((kind, port))
            raise BrokerStartError(kind)

        return start

    monkeypatch.setattr(choose, "mosquitto", refuse("mosquitto"))
    monkeypatch.setattr(choose, "embedded", refuse("embedded"))
    for path in ("/usr/sbin/mosquitto", None):
        monkeypatch.setattr(choose, "find_mosquitto", lambda path=path: path)
        with pytest.raises(BrokerStartError):
            async with choose.open_broker("auto", port=7):
                pass
    assert tried == [("mosquitto", 7), ("embedded", 7)]
