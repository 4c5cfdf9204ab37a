"""How soon ``sharegrid device`` answers, and how much memory it needs: ``python benchmarks/device.py``.

The least start-up of five, and the largest resident memory of three seconds of one of them.
"""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMAND = (sys.executable, "-c", "from cosim.cli import main; main()", "device")
OPTIONS = ("--tcp", "127.0.0.1:0", "--quiet")


def measured(kind: str) -> tuple[float, float]:
    """Seconds until the device serves, and peak resident memory [MB]."""
    began = time.perf_counter()
    with subprocess.Popen([*COMMAND, kind, *OPTIONS], stdout=subprocess.PIPE, text=True) as device:
        assert device.stdout is not None
        device.stdout.readline()
        seconds = time.perf_counter() - began
        time.sleep(3.0)
        status = Path(f"/proc/{device.pid}/status").read_text()
        device.send_signal(signal.SIGTERM)
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak is not None
    return seconds, int(peak[1]) / 1024


if __name__ == "__main__":
    for kind in ("meter", "inverter", "battery"):
        runs = [measured(kind) for _ in range(5 if kind == "meter" else 1)]
        seconds = min(seconds for seconds, _ in runs)
        print(f"{kind}: serves after {seconds:.2f} s, {max(peak for _, peak in runs):.0f} MB at most")
