"""A run whose services send all that they can in bundles: nobody waits for what came in none of them."""

from click.testing import CliRunner

from broker.collector import ASK_AFTER_S
from cosim.cli import main
from cosim.results.reader import load
from tests.broker.door.hostile_run import written_scenario


def test_no_step_waits_for_what_is_asked_for_again(tmp_path):
    scenario, out = written_scenario(tmp_path, intervals=3), tmp_path / "run"
    options = ["--set", "broker.bundle_from=1", "--broker", "mosquitto", "--out", str(out)]
    done = CliRunner().invoke(main, ["run", str(scenario), *options])
    assert done.exit_code == 0, done.output
    run = load(out)
    # Half of the steps at least were over before anything was asked for again.
    assert run.summary.seconds.dispatch.p50 < ASK_AFTER_S
    assert run.intervals["flags"].tolist() == [0, 0, 0]
