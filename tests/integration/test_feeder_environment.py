"""OpenDSS survives changes of the environment, which its runtime reads anew, and stays in its folder."""

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


FOLDER = """
import os, sys
from cosim.feeder.opendss import Feeder
os.chdir(sys.argv[1])
Feeder()
print(os.getcwd())
"""


def test_the_first_feeder_of_a_process_leaves_it_in_its_folder(tmp_path):
    command = [sys.executable, "-c", FOLDER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(tmp_path), done.stderr


def test_a_thread_started_after_variables_were_added_can_use_opendss():
    done = subprocess.run([sys.executable, "-c", STORY], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["3", "x", "y"]
