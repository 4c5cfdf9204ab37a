"""A broker that is stopped or gone, or a computer that sleeps, for long: the run goes on, with the same bits.

``make soak-absence ARGS="--what stopped --how processes"``
"""

import argparse
import os
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from broker.server.configuration import open_listener
from broker.server.mosquitto import find_mosquitto
from cosim.results.ledger_check import check_ledger
from cosim.results.reader import load
from tests.broker.door.hostile_run import written_scenario
from tests.integration.run.test_recovery import COMMAND, bookings, settled

KINDS, WAYS = ("stopped", "killed", "asleep"), ("one", "processes")
INTERVALS = 14
_NOT_A_WORD = (b"Traceback", b"never retrieved")


def tree_of(pid):
    """A process and all that it has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in tree_of(int(child)))]


class Absence:
    """A run in a folder whose broker, or all of it, is away for a while.

    Parameters
    ----------
    folder
        Empty folder.
    how
        ``one`` process, or a process for each role (``processes``).
    """

    def __init__(self, folder, how):
        self.folder = folder
        self.scenario = written_scenario(folder, intervals=INTERVALS, bidding="slope")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        (folder / "mosquitto.conf").write_text(open_listener(self.port, root=os.geteuid() == 0))
        whole = ["run", str(self.scenario), "--run-id", "village", "--out", str(folder / "whole")]
        subprocess.run([*COMMAND, *whole], check=True, capture_output=True)
        self.words = ["run", str(self.scenario), "--run-id", "village", "--out", str(folder / "run")]
        self.words += ["--broker", f"mqtt://127.0.0.1:{self.port}"]
        self.words += ["--processes"] if how == "processes" else []

    def start_broker(self):
        """Start Mosquitto; its process, once it takes connections."""
        words = [find_mosquitto(), "-c", str(self.folder / "mosquitto.conf")]
        serving = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.02)
            else:
                return serving

    def play(self, what, seconds):
        """Play the run; seconds from the end of the absence until the next interval was settled.

        Raises
        ------
        AssertionError
            The run does not end as it should, its ledger does not hold, or a bit differs.
        """
        out, serving = self.folder / "run", self.start_broker()
        run = subprocess.Popen([*COMMAND, *self.words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            self._wait_beyond(1, run)
            stopped = tree_of(run.pid) if what == "asleep" else []
            stopped += [] if what == "killed" else [serving.pid]
            if what == "killed":
                serving.kill()
                serving.wait()
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            time.sleep(seconds)
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            serving = self.start_broker() if what == "killed" else serving
            before, began = settled(out), time.monotonic()
            self._wait_beyond(before, run)
            took_s = time.monotonic() - began
            _, said = run.communicate(timeout=300)
        finally:
            for process in (run, serving):
                process.kill()
                process.wait()
        assert run.returncode == 0, said.decode()
        assert not any(word in said for word in _NOT_A_WORD), said.decode()
        assert check_ledger(out)[0] == []
        assert bookings(load(out)) == bookings(load(self.folder / "whole"))
        return took_s

    def _wait_beyond(self, count, run):
        while settled(self.folder / "run") <= count and run.poll() is None:
            time.sleep(0.01)


def main():
    """Play what the command line chooses."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--what", choices=KINDS, action="append", help="all by default")
    parser.add_argument("--how", choices=WAYS, action="append", help="both by default")
    parser.add_argument("--away", type=float, default=40.0, help="seconds without a broker")
    parser.add_argument("--asleep", type=float, default=60.0, help="seconds in which all is stopped")
    chosen = parser.parse_args()
    for what in chosen.what or KINDS:
        for how in chosen.how or WAYS:
            seconds = chosen.asleep if what == "asleep" else chosen.away
            with tempfile.TemporaryDirectory() as folder:
                took_s = Absence(Path(folder), how).play(what, seconds)
            print(f"{what} for {seconds:g} s, {how}: the same bits, settled {took_s:.1f} s after")  # noqa: T201


if __name__ == "__main__":
    main()
