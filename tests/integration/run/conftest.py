"""A small run that several tests look at: 400 prosumers on IEEE 123, two evening intervals."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from broker.server.choose import open_broker
from broker.server.mosquitto import mosquitto
from cosim.composition import control, perform, services
from cosim.control.pacing import Pacing
from cosim.feeder.thread import FeederOwner
from cosim.feeder_setup.lam_table import feeder_of
from cosim.recording.feeder_map import feeder_map
from cosim.results.entries import account_names
from cosim.results.ledger import Ledger
from cosim.results.reader import Run, load
from cosim.results.writer import RunWriter
from cosim.run_setup import RunSetup
from cosim.scenario import load_scenario, resolved_toml
from cosim.world.build import build_world
from cosim.world.world import World
from tests.broker.door.hostile_run import LAMS, MASTER, SCENARIO

SMALL = """
[run]
start = 2024-06-21T19:00:00
intervals = 2

[population]
prosumers = 400
annual_kwh_median = 40000.0

[population.pv]
share = 0.4
kwp_min = 8.0
kwp_max = 60.0

[population.battery]
share_with_pv = 0.6
kwh_min = 20.0
kwh_max = 80.0
"""


COMMAND = [sys.executable, "-c", "from cosim.cli import main; main()"]
VILLAGE_INTERVALS = 14


@pytest.fixture(scope="session")
def village(tmp_path_factory):
    """A small scenario whose regulators, batteries, counters and loads all have something to remember."""
    folder = tmp_path_factory.mktemp("village")
    (folder / "m.dss").write_text(MASTER)
    (folder / "lams.csv").write_text(LAMS)
    scenario = SCENARIO.format(intervals=VILLAGE_INTERVALS, bidding="slope", horizon=3)
    follows = "[population.voltage_dependence]\nconstant_impedance = 0.5\nconstant_current = 0.2\n"
    noise = "[live.emulation]\nmeter_noise_percent = 0.5\n"
    (folder / "s.toml").write_text(scenario + follows + noise)
    return folder / "s.toml"


@pytest.fixture(scope="session")
def whole(village, tmp_path_factory):
    """The run that nobody disturbed."""
    out = tmp_path_factory.mktemp("whole") / "run"
    command = [
        sys.executable,
        "-c",
        "from cosim.cli import main; main()",
        "run",
        str(village),
        "--run-id",
        "village",
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return load(out)


@pytest.fixture(scope="session")
def small_scenario(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scenario") / "small.toml"
    path.write_text(SMALL)
    return path


async def play_small(
    scenario: Path, out: Path, broker: str = "mosquitto", run_id: str = "small"
) -> tuple[Run, World]:
    """Run a scenario with every role in this process."""
    async with AsyncExitStack() as stack:
        loaded = load_scenario(scenario)
        owner = await stack.enter_async_context(FeederOwner(partial(feeder_of, loaded)))
        world = build_world(loaded, owner.layout)
        handle = await stack.enter_async_context(open_broker(broker))
        writer = stack.enter_context(RunWriter(out))
        writer.scenario(resolved_toml(world.scenario))
        writer.feeder_map(feeder_map(world))
        accounts = account_names(world.roster.prosumers, world.roster.lams)
        ledger = stack.enter_context(Ledger.create(out / "ledger.sqlite", accounts, "small"))
        setup = RunSetup(world, "small", handle.url, owner)
        jobs = await stack.enter_async_context(services(setup, ["market", "feeder", "devices"]))
        clock, recorder = await stack.enter_async_context(
            control(setup, writer, ledger, Pacing(), lambda _: None)
        )
        await perform([*jobs, recorder.run, clock.run])
    return load(out), world


@pytest.fixture(scope="session")
def play_run():
    """Runs a scenario in this process: ``await play_run(scenario, out, broker)``."""
    return play_small


@pytest.fixture(scope="session")
def small_run(small_scenario, tmp_path_factory) -> tuple[Run, World]:
    return asyncio.run(play_small(small_scenario, tmp_path_factory.mktemp("run") / "run"))


@pytest.fixture
def own_mosquitto():
    """Address of a Mosquitto for a test without an event loop."""
    with asyncio.Runner() as runner:
        broker = mosquitto()
        yield runner.run(broker.__aenter__()).url
        runner.run(broker.__aexit__(None, None, None))
