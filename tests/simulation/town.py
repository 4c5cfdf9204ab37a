"""The small town that simulations play in: built once for each variant, for it never changes."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from cosim.feeder_setup.lam_table import feeder_of
from cosim.scenario import load_scenario
from cosim.world.build import build_world
from tests.broker.door.hostile_run import written_scenario

_MORE = """
[live.emulation]
meter_noise_percent = 0.5
[recovery]
on_loss = "{on_loss}"
"""


class Town:
    """Scenario, world, and a feeder at rest that the control may ask."""

    def __init__(self, bidding, on_loss, intervals):
        folder = Path(tempfile.mkdtemp(prefix="simulation-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        path = written_scenario(folder, intervals=intervals, bidding=bidding)
        with path.open("a") as file:
            file.write(_MORE.format(on_loss=on_loss))
        self.scenario = load_scenario(path)
        self.feeder = feeder_of(self.scenario)
        self.world = build_world(self.scenario, self.feeder.layout)


@cache
def town_of(variant):
    """The town of a variant (`tests.simulation.plan.Plan.variant`)."""
    return Town(*variant)
