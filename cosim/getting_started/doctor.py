"""``sharegrid doctor``: whether this computer has what runs need, and what to do where it has not."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal, NamedTuple

from cosim.extras import EXTRA_OF, remedy
from sharegrid.errors import SharegridError

State = Literal["ok", "note", "lacks"]

_OLDEST = (3, 11)
_MEMORY_GB, _DISK_GB = 2.0, 1.0


class Finding(NamedTuple):
    """One line: what was looked at, how it is, and what to do; ``lacks`` is what a run needs."""

    state: State
    what: str
    detail: str


def findings(broker: str | None, folder: Path) -> Iterator[Finding]:
    """Look at this computer.

    Parameters
    ----------
    broker
        Address of a broker to try as well; ``None`` tries only that a run of its own can have one.
    folder
        Where runs would be written.
    """
    yield _python()
    yield from _extras()
    yield from _tried("OpenDSS", _opendss)
    yield from _tried("broker", lambda: _broker("auto"))
    if broker is not None:
        yield from _tried("broker", lambda: _broker(broker))
    yield from _serial()
    yield _clock()
    yield from _room(folder)


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < _OLDEST:
        return Finding("lacks", "Python", f"{version}; sharegrid needs 3.11 or newer")
    return Finding("ok", "Python", f"{version}, sharegrid {metadata.version('sharegrid')}")


def _extras() -> Iterator[Finding]:
    lacking = {EXTRA_OF[library]: library for library in EXTRA_OF if not importlib.util.find_spec(library)}
    there = dict.fromkeys(extra for extra in EXTRA_OF.values() if extra not in lacking)
    if there:
        yield Finding("ok", "extras", ", ".join(there))
    for extra, library in lacking.items():
        yield Finding("lacks" if extra == "cosim" else "note", "extras", remedy(library))


def _tried(what: str, look: Callable[[], str]) -> Iterator[Finding]:
    """What a look finds, or why it fails."""
    try:
        yield Finding("ok", what, look())
    except ModuleNotFoundError as error:
        yield Finding("lacks", what, remedy(error.name or ""))
    except (SharegridError, OSError) as error:
        yield Finding("lacks", what, " ".join(str(error).split()))


def _opendss() -> str:
    from cosim.feeder_setup.lam_table import open_feeder

    began = time.perf_counter()
    feeder = open_feeder("", "")
    spot_kw = feeder.layout.spot_kw
    state = feeder.solve(spot_kw, spot_kw * feeder.layout.tan_phi)
    version = metadata.version("opendssdirect.py")
    return (
        f"{version}, {feeder.layout.name} opened and solved in {time.perf_counter() - began:.1f} s, "
        f"losses {state.losses_kw:.0f} kW"
    )


def _broker(choice: str) -> str:
    from broker.client.mqtt import connect
    from broker.server.choose import open_broker

    async def round_trip() -> str:
        name = f"doctor-{socket.gethostname()}-{os.getpid()}"
        async with open_broker(choice) as handle, connect(handle.url, name) as bus:
            topic = f"sharegrid/{name}"
            await bus.subscribe(topic)
            began = time.perf_counter()
            await bus.publish(topic, b"x")
            async for _ in bus.messages():
                break
            return f"{handle.name}, a message goes round in {1e3 * (time.perf_counter() - began):.1f} ms"

    return asyncio.run(asyncio.wait_for(round_trip(), 20.0))


def _serial() -> Iterator[Finding]:
    if importlib.util.find_spec("serial") is None:
        return
    from serial.tools.list_ports import comports

    ports = sorted(port.device for port in comports())
    if not ports:
        yield Finding("ok", "serial ports", "none; Modbus TCP needs none")
    for port in ports:
        if os.access(port, os.R_OK | os.W_OK):
            yield Finding("ok", "serial ports", port)
        else:
            yield Finding("note", "serial ports", f"{port}: no right to open it; join the group dialout")


def _clock() -> Finding:
    timedatectl = shutil.which("timedatectl")
    asked = ""
    if timedatectl is not None:
        words = [timedatectl, "show", "--property=NTPSynchronized", "--value"]
        asked = subprocess.run(words, capture_output=True, text=True, check=False, timeout=5).stdout.strip()  # noqa: S603 - fixed words
    now = f"{time.strftime('%Y-%m-%d %H:%M:%S %Z')}"
    if asked == "yes":
        return Finding("ok", "clock", f"{now}, kept by a time server")
    why = "is not kept by a time server" if asked == "no" else "nobody says whether a time server keeps it"
    return Finding("note", "clock", f"{now}; {why}: certificates and --pace real need the right time")


def _room(folder: Path) -> Iterator[Finding]:
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free_gb = shutil.disk_usage(there).free / 1e9
    state: State = "ok" if free_gb > _DISK_GB else "note"
    yield Finding(state, "disk", f"{free_gb:.1f} GB free at {there}; a default day takes some 0.1")
    if not os.access(there, os.W_OK):
        yield Finding("lacks", "disk", f"{there}: no right to write there; go to another folder")
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    state = "ok" if memory_gb > _MEMORY_GB else "note"
    yield Finding(state, "machine", f"{os.cpu_count()} cores, {memory_gb:.0f} GB")
