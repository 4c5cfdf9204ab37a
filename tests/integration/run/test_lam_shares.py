"""LAMs in shares, which processes of the role ``lam`` take up."""

import re
import shutil

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder_setup.lam_table import feeder_of
from cosim.results.reader import load
from cosim.scenario import load_scenario
from cosim.world.build import build_world
from cosim.world.names import Role
from tests.integration.run.test_recovery import (
    Processes,
    bookings,
    processes,  # noqa: F401 - a fixture
    settled,
    wait_until_settled,
)

SHARED = ("market", "lam", "feeder", "devices")


@pytest.fixture(scope="module")
def layout(village):
    return feeder_of(load_scenario(village)).layout


@pytest.mark.parametrize(
    ("shares", "sizes"), [(0, [3]), (1, [3]), (2, [2, 1]), (3, [1, 1, 1]), (64, [1, 1, 1])]
)
def test_every_lam_is_in_one_share_and_none_is_empty(village, layout, shares, sizes):
    world = build_world(load_scenario(village, changes={"market.lam_shares": shares}), layout)
    parts = world.roster.lam_hosts
    assert [part.size for part in parts.values()] == sizes
    assert [lam for part in parts.values() for lam in part] == [0, 1, 2]
    assert world.services_of(Role.LAM) == (list(parts) if shares else [])
    assert set(parts).isdisjoint(world.services_of(Role.MARKET)) == (shares > 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lam"], "add --set market.lam_shares=N to all"),
        (["lam,feeder", "--set", "market.lam_shares=2"], "lam is served by itself"),
        (["lam", "--spare", "--set", "market.lam_shares=2"], "lam is served by itself"),
    ],
)
def test_what_does_not_go_with_the_role_is_refused(village, words, said):
    role, *more = words
    serving = ["serve", role, str(village), "--run-id", "r", "--broker", "mqtt://127.0.0.1:1", *more]
    refused = CliRunner().invoke(main, serving)
    assert refused.exit_code == 2
    assert said in refused.output


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.skipif(shutil.which("mosquitto") is None, reason="needs Mosquitto")
def test_shares_of_a_process_that_is_killed_are_taken_up_by_another(processes, whole):  # noqa: F811
    run = shared_run(processes)
    first, second = run.running["lam"], run.running["second"]
    for process in (first, second):
        assert b"serving lam" in process.stderr.readline()
    operated = {process: process.stderr.readline() for process in (first, second)}
    assert {re.match(rb"lams-\d", said)[0] for said in operated.values()} == {b"lams-0", b"lams-1"}
    wait_until_settled(run.out, 2, run.running["control"])
    run.kill("lam")
    _, said = run.running["control"].communicate(timeout=100)
    assert run.running["control"].returncode == 0, said.decode()
    assert b"is operated here" in second.stderr.readline()
    assert [run.running[name].wait(30) for name in ("second", "market", "feeder", "devices")] == [0] * 4
    done = load(run.out)
    assert settled(run.out) == len(done.intervals)
    assert bookings(done) == bookings(whole)
    assert done.intervals["flags"].gt(0).sum() == 1


def shared_run(made: Processes) -> Processes:
    """A run in which two processes share the LAMs."""
    made.common += ["--set", "market.lam_shares=2"]
    for role in SHARED:
        made.start(role)
    made.start("lam", name="second")
    made.control(*made.common, "--out", str(made.out), elsewhere=SHARED)
    return made
