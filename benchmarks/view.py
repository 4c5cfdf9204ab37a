"""What the live view costs and how fast it is, at the default scenario with --pace 60.

    python -m benchmarks.view [--intervals 8] [--screens 1]

Processor time and memory are those of the view's process alone. First paint is measured in a headless
Chromium, and so is when a step of the clock is on the screen; when it was on the bus another subscriber says.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as mqtt
from playwright.sync_api import Page, sync_playwright

from broker.address import parse_address
from broker.topics import Topics
from cosim.emergency import run_address

LISTEN = """() => {
    window.shown = [];
    const known = new Set();
    const steps = document.getElementById("steps");
    new MutationObserver(() => requestAnimationFrame(() => {
        const opened = Number(steps.dataset.opened);
        if (!known.has(opened)) window.shown.push([opened, Date.now() / 1000]);
        known.add(opened);
    })).observe(steps, {attributes: true, attributeFilter: ["data-opened"]});
}"""


def view_process(parent: int) -> int:
    """Process of the view among a run's children."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if b"\0view\0" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    raise RuntimeError("the run has no view")


def processor_s(process: int) -> float:
    """Processor time that a process has used [s]."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int) -> float:
    """Memory of a process that is in use [MB]."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return 0.0 if found is None else int(found[1]) / 1024.0


def first_paint_s(page: Page, url: str) -> float:
    """From asking for the page to its first content [s]."""
    page.goto(url)
    page.wait_for_timeout(1500)
    found = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    return float(found) / 1000.0


def heard_steps(broker: str, run: str) -> tuple[mqtt.Client, dict[float, float]]:
    """Subscriber to the clock, and when each step came to it, by when it was opened [s since epoch]."""
    heard: dict[float, float] = {}

    def note(client: object, userdata: object, message: mqtt.MQTTMessage) -> None:  # noqa: ARG001
        heard.setdefault(json.loads(message.payload)["opened"], time.time())

    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
    client.on_message = note
    address = parse_address(broker)
    client.connect(address.host, address.port)
    client.subscribe(Topics(run).step)
    client.loop_start()
    return client, heard


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--intervals", type=int, default=8)
    parser.add_argument("--screens", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        words = ["run", "--pace", "60", "--start", "10:00", "--intervals", str(options.intervals)]
        words += ["--view=0", "--out", f"{folder}/run"]
        run = subprocess.Popen(
            [sys.executable, "-m", "sharegrid", *words],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert run.stderr is not None
        url = next(found[1] for line in run.stderr if (found := re.match(r"view: (\S+)", line)))
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        pages = [browser.new_page() for _ in range(options.screens)]
        paints = [first_paint_s(page, url) for page in pages]
        pages[0].evaluate(LISTEN)
        while not pages[0].evaluate("window.shown.length"):
            time.sleep(0.2)
        at = run_address(Path(folder) / "run")
        client, heard = heard_steps(at.broker, at.run)
        process = view_process(run.pid)
        began, used = time.monotonic(), processor_s(process)
        most_mb = 0.0
        while run.poll() is None and pages[0].inner_text("#state") in ("live", "waiting for the run"):
            most_mb = max(most_mb, memory_mb(process))
            used_until, seconds = processor_s(process), time.monotonic() - began
            pages[0].wait_for_timeout(500)
        shown = pages[0].evaluate("window.shown")
        late = sorted(seen - heard[opened] for opened, seen in shown if opened in heard)
        client.loop_stop()
        browser.close()
        run.wait()
    p95 = late[int(0.95 * (len(late) - 1))]
    print(f"screens {options.screens}, steps seen {len(late)} in {seconds:.0f} s")
    print(f"processor {100 * (used_until - used) / seconds:.1f} % of a core, memory {most_mb:.0f} MB")
    print(f"first paint {max(paints):.2f} s")
    print(f"bus to screen: median {1000 * statistics.median(late):.0f} ms, p95 {1000 * p95:.0f} ms")


if __name__ == "__main__":
    main()
