"""A small scenario in which a line goes out and a meter falls silent."""

from tests.broker.door.hostile_run import written_scenario

INTERVALS = 8
SILENT = "p00004"
FIRST = 2
_HAPPENS = f"""
[live]
per_lam = 2
poll_timeout_s = 0.2

[[events]]
at = {FIRST}
kind = "line-outage"
element = "m"

[[faults]]
kind = "silent"
device = "meter"
prosumers = ["{SILENT}"]
first_interval = {FIRST}
intervals = 9
"""


def happening_scenario(folder, more=""):
    """Write the scenario into a folder, with more sections; its file."""
    path = written_scenario(folder, intervals=INTERVALS)
    path.write_text(
        path.read_text().replace("[live]\nper_lam = 2\npoll_timeout_s = 10.0\n", "") + _HAPPENS + more
    )
    return path
