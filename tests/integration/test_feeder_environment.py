"""OpenDSS survives changes of the environment, which its runtime reads again in each new thread."""

import subprocess
import sys

STORY = """
import os, threading
os.environ["BEFORE"] = "x"
from cosim.feeder.opendss import Feeder
for number in range(2000):
    os.environ[f"LATER_{number}"] = "y" * 100
made = []
for _ in range(3):
    thread = threading.Thread(target=lambda: made.append(Feeder().layout.name))
    thread.start()
    thread.join()
print(len(made), os.environ["BEFORE"], os.environ["LATER_1999"][:1])
"""


def test_a_thread_started_after_variables_were_added_can_use_opendss():
    done = subprocess.run([sys.executable, "-c", STORY], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "x", "y"]
