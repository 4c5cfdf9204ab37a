"""Records of runs in which anything may happen: market and feeder compute again what they computed then."""

import shutil

import pytest

from cosim.replay.replay import Recorded, replay
from cosim.results.reader import load
from tests.simulation.plan import plan_of
from tests.simulation.simulation import played


def replayed(plan, folder):
    """Account of a replay of what was recorded of a plan, and the run."""
    with played(plan, records=True) as simulation:
        assert simulation.wrong == []
        shutil.copytree(simulation.out, folder)
    return replay(Recorded(folder)), load(folder)


# Processes, connections, broker and disk fail in each; no message is lost on a connection that stands.
@pytest.mark.parametrize("seed", [2, 11, 17, 38, 48, 55, 69])
def test_a_run_that_goes_on_after_accidents_plays_again_to_the_bit(seed, tmp_path):
    plan = plan_of(seed)
    assert plan.on_loss == "wait"
    assert not any(vars(plan.weather).values())
    account, _ = replayed(plan, tmp_path / "run")
    assert [str(each) for each in account.differences] == []
    assert account.intervals or account.remarks


@pytest.mark.parametrize("seed", [1, 6, 8])
def test_where_messages_are_lost_or_others_stand_in_an_interval_that_differs_is_flagged(seed, tmp_path):
    account, run = replayed(plan_of(seed), tmp_path / "run")
    assert account.intervals == [0, 1, 2, 3]
    flagged = set(run.intervals["tick"][run.intervals["flags"] > 0])
    assert account.differences
    assert {each.tick for each in account.differences} <= flagged
