"""Images and a whole run in containers, on a real Docker Engine: `make containers`."""

import json
import os
import sqlite3
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["broker", "market", "feeder", "devices", "pi"]
OURS = ["market", "feeder", "devices", "pi"]
OPTIONS = {"RUN_ID": "composed", "INTERVALS": "2", "START": "10:00", "SEED": "3"}
PROJECT = "sharegrid-test"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif("SHAREGRID_CONTAINERS" not in os.environ, reason="make containers runs these"),
]


def said(*words, env=None, check=True):
    done = subprocess.run(words, capture_output=True, text=True, env=env, cwd=ROOT, check=False)
    assert not check or done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("composed")
    for name in ("runs", "security"):
        (folder / name).mkdir()
    commit = said("git", "rev-parse", "HEAD").strip()
    return {
        **os.environ,
        **OPTIONS,
        "RUNS": str(folder / "runs"),
        "SECURITY": str(folder / "security"),
        "RUN_AS": f"{os.getuid()}:{os.getgid()}",
        "COMMIT": commit,
        "VERSION": "test",
        "COMPOSE_PROJECT_NAME": PROJECT,
    }


@pytest.fixture(scope="module")
def composed(environment):
    """The composition as it stands with its roles up, then a run by its control to the end."""

    def compose(*words, check=True):
        return said("docker", "compose", "--profile", "pi", *words, env=environment, check=check)

    compose("build", "files", "pi")
    try:
        scaled = ["--scale", "lam=2", "lam"]
        compose("up", "--detach", "--wait", "--wait-timeout", "240", *scaled, *SERVICES)
        inspected = {
            name: json.loads(said("docker", "inspect", compose("ps", "--quiet", name).strip()))[0]
            for name in SERVICES
        }
        listed = compose("exec", "--no-TTY", "broker", "cat", "/proc/1/cmdline")
        ran = compose("run", "--rm", "--no-TTY", "control")
        logs = compose("logs", "--no-color")
    finally:
        compose("down", "--volumes", "--timeout", "20", check=False)
    return inspected, ran, logs, listed


def image(name):
    return json.loads(said("docker", "image", "inspect", f"{name}:test"))[0]


@pytest.mark.parametrize(("name", "most_mb"), [("sharegrid", 700), ("sharegrid-devices", 200)])
def test_images_are_small_and_say_what_they_are(composed, environment, name, most_mb):
    found = image(name)
    assert found["Size"] / 1e6 < most_mb
    assert found["Config"]["User"] == "1000:1000"
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.revision"] == environment["COMMIT"]
    assert labels["org.opencontainers.image.version"] == "test"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_confined_and_healthy(composed, name):
    inspected, _, _, _ = composed
    host, state = inspected[name]["HostConfig"], inspected[name]["State"]
    assert state["Health"]["Status"] == "healthy"
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert host["Memory"] > 0
    assert host["PidsLimit"] > 0
    assert host["LogConfig"]["Config"]["max-size"] == "10m"
    assert not host["PortBindings"]
    mounts = [mount for mount in inspected[name]["Mounts"] if "/security" in mount["Destination"]]
    assert mounts
    assert all(mount["Type"] == "bind" and not mount["RW"] for mount in mounts)


@pytest.mark.parametrize("name", OURS)
def test_a_container_has_the_keys_of_its_own_part_alone(composed, environment, name):
    inspected, _, _, _ = composed
    own = "device-pi" if name == "pi" else name
    sources = [each["Source"] for each in inspected[name]["Mounts"] if each["Destination"] == "/security"]
    assert sources == [f"{environment['SECURITY']}/clients/{own}"]
    told = json.dumps(inspected[name]["Config"])
    for key in Path(environment["SECURITY"]).rglob("*.key"):
        assert key.stat().st_mode & 0o077 == 0
        assert key.read_text().splitlines()[-2 if "PRIVATE" in key.read_text() else 0] not in told


def test_the_run_gives_the_ledger_of_one_process(composed, environment, tmp_path):
    _, ran, _, listed = composed
    assert "results: /runs/composed" in ran
    assert "key" not in listed
    words = ["run", "--run-id", "composed", "--intervals", "2", "--start", "10:00", "--seed", "3"]
    python = os.environ.get("SHAREGRID_PYTHON", os.sys.executable)
    said(python, "-m", "sharegrid", *words, "--out", str(tmp_path / "alone"))
    assert rows(Path(environment["RUNS"]) / "composed") == rows(tmp_path / "alone")


def rows(folder):
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        return ledger.execute("SELECT * FROM entry ORDER BY tick, kind, account").fetchall()


def test_logs_hold_no_secrets_and_no_faults(composed):
    _, ran, logs, _ = composed
    for text in (ran, logs):
        assert "PRIVATE KEY" not in text
        assert "Traceback" not in text
    assert "Denied PUBLISH" not in logs


def test_nothing_is_left_behind(composed):
    label = f"label=com.docker.compose.project={PROJECT}"
    assert said("docker", "ps", "--all", "--quiet", "--filter", label) == ""
    assert said("docker", "volume", "ls", "--quiet", "--filter", label) == ""
    assert said("docker", "network", "ls", "--quiet", "--filter", label) == ""
