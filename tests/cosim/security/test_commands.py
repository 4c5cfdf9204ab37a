"""`sharegrid broker`, and runs that are to be secure."""

import json
import os
import re

import pytest
from click.testing import CliRunner

from broker.server.mosquitto import find_mosquitto
from cosim.cli import main
from cosim.options import RunError, RunOptions, plan_run
from cosim.scenario import load_scenario
from cosim.scenario.secrets import masked
from tests.broker.door.hostile_run import written_scenario


def sharegrid(*words, **env):
    return CliRunner().invoke(main, [str(word) for word in words], env=env)


@pytest.fixture(scope="module")
def scenario(tmp_path_factory):
    return written_scenario(tmp_path_factory.mktemp("scenario"), intervals=1)


@pytest.fixture(scope="module")
def out(scenario, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files") / "security"
    result = sharegrid("broker", "files", scenario, "--out", folder, "--host", "lab", "--device", "pi")
    assert result.exit_code == 0, result.output
    assert re.search(r"^\d+ certificates written, 0 kept$", result.output, re.MULTILINE)
    assert f"address: mqtts://lab:8883?credentials={folder}/clients/ROLE" in result.output
    assert re.search(r"server +\d{4}-\d\d-\d\d +39\d days left", result.output)
    return folder


def test_files_are_written_for_every_process(out):
    folders = {path.name for path in (out / "clients").iterdir()}
    assert {"market", "feeder", "devices", "control", "operator", "observer", "device-pi"} <= folders
    assert sum(name.startswith("prosumer-") for name in folders) == 6
    configuration = (out / "broker" / "mosquitto.conf").read_text()
    assert "listener 8883\n" in configuration
    assert "require_certificate true\n" in configuration
    assert "allow_anonymous false\n" in configuration
    assert f"acl_file {out}/broker/grants.acl\n" in configuration


def test_a_second_call_writes_what_is_missing(out, scenario):
    result = sharegrid("broker", "files", scenario, "--out", out, "--device", "pi", "--device", "roof")
    assert "1 certificates written" in result.output
    only = sharegrid("broker", "files", scenario, "--out", out, "--device", "pi", "--run-id", "day1")
    assert only.exit_code == 0
    grants = (out / "broker" / "grants.acl").read_text()
    assert "sharegrid/v1/day1/clock/step" in grants
    assert "sharegrid/v1/+/" not in grants


def test_check_says_until_when_certificates_hold(out, tmp_path, scenario):
    result = sharegrid("broker", "check", out)
    assert result.exit_code == 0
    assert "days left" in result.output
    soon = tmp_path / "soon"
    sharegrid("broker", "files", scenario, "--out", soon, "--days", "3")
    assert ": renew it" in sharegrid("broker", "check", soon).output
    nothing = sharegrid("broker", "check", tmp_path / "nothing")
    assert nothing.exit_code == 2
    assert "no certificates are here" in nothing.output


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--device", "a/b"], "'a/b': use letters"),
        (["--run-id", "+"], "'\\+': use letters"),
        (["--host", "a b"], "--host 'a b': give a name or an address"),
        (["--host", "lab", "--host", "a..b"], "--host 'a..b': give a name or an address"),
        (["--days", "0"], "--days"),
        (["--port", "0"], "--port"),
    ],
)
def test_options_that_cannot_be_are_one_line(tmp_path, scenario, words, reason):
    result = sharegrid("broker", "files", scenario, "--out", tmp_path / "out", *words)
    assert result.exit_code == 2
    assert re.search(reason, result.output)
    assert len(result.output.splitlines()) == 1


def test_a_secure_run_keeps_its_results_and_leaves_no_secret(scenario, tmp_path):
    if find_mosquitto() is None and not os.environ.get("CI"):
        pytest.skip("Mosquitto is missing; make test installs it")
    entries = []
    for name, words in (("plain", []), ("secure", ["--secure"])):
        result = sharegrid(
            *("run", scenario, "--run-id", "same", "--broker", "mosquitto", "--out", tmp_path / name, *words)
        )
        assert result.exit_code == 0, result.output
        entries.append(json.loads((tmp_path / name / "summary.json").read_text()))
    assert entries[0]["settlement"] == entries[1]["settlement"]
    assert "with TLS" in json.dumps(entries[1])
    written = b"".join(path.read_bytes() for path in (tmp_path / "secure").iterdir())
    for secret in (b"PRIVATE KEY", b"sharegrid-security-", b"command.key"):
        assert secret not in written


def test_secure_needs_a_broker_that_can_be(scenario, tmp_path):
    options = RunOptions(scenario=scenario, out=tmp_path / "x", secure=True, broker="mqtt://me:pw@lab")
    with pytest.raises(RunError, match="--secure: mqtt://me:\\*\\*\\*@lab is not encrypted; give mqtts"):
        plan_run(options)
    result = sharegrid("run", scenario, "--secure", "--broker", "embedded", "--out", tmp_path / "y")
    assert result.exit_code == 2
    assert "the embedded broker knows no certificates; take --broker mosquitto" in result.output


def test_scenarios_may_name_a_secure_broker(scenario, tmp_path):
    path = scenario.parent / "secure.toml"
    path.write_text(scenario.read_text() + '[broker]\nuse = "mqtts://lab?credentials=/etc/x"\n')
    assert load_scenario(path).broker.use == "mqtts://lab?credentials=/etc/x"
    assert masked("mqtts://me:pw@lab?credentials=/etc/x") == "mqtts://me:***@lab?credentials=/etc/x"
