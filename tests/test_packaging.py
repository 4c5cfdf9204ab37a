"""The files around the code say the same as the code."""

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from shutil import copy2

import click
import pytest
import yaml

from cosim.cli import main

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def compose_words(text: str, **variables: str) -> list[str]:
    """Words of a command of the compose file, with ${NAME:-default} filled in."""
    filled = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)
    assert "$" not in filled
    return shlex.split(filled)


def parsed(service: str, **variables: str) -> dict[str, object]:
    """Options of a service's command as the command line reads them, its environment included."""
    described = COMPOSE["services"][service]
    entry = ["device"] if service == "pi" else []
    words = [*entry, *compose_words(described["command"], **variables)]
    env = {name: compose_words(value, **variables) for name, value in described["environment"].items()}
    command: click.Command = main
    with pytest.MonkeyPatch.context() as patch, click.Context(main) as context:
        for name, value in env.items():
            patch.setenv(name, " ".join(value))
        while isinstance(command, click.Group):
            command = command.commands[words.pop(0)]
        return command.make_context("command", words, context).params


@pytest.mark.parametrize("service", ["market", "lam", "feeder", "devices", "control"])
@pytest.mark.parametrize("scenario", ["", "pyproject.toml"])
def test_compose_commands_are_commands_of_ours(service: str, scenario: str) -> None:
    values = parsed(service, SCENARIO=scenario, RUN_ID="x", INTERVALS="3", SEED="5", ARM="1")
    assert values["broker"] == "mqtts://broker:8883?credentials=/security"
    assert (values["run_id"], values["intervals"], values["seed"], values["arm"]) == ("x", 3, 5, True)
    assert values["metrics"] == "0.0.0.0:9464"
    assert str(values["scenario"] or "") == scenario
    if service == "control":
        assert values["elsewhere"] == ("market", "lam", "feeder", "devices")
        assert values["out"] == Path("/runs/x")
        assert values["secure"]
    else:
        assert values["roles"] == (service,)


def test_compose_options_that_are_not_given_are_as_without_them() -> None:
    values = parsed("control")
    assert (values["intervals"], values["seed"], values["start"], values["arm"]) == (None, None, None, False)
    assert values["pace"] == "fast"
    assert parsed("pi")["mqtt"] == "mqtts://broker:8883?credentials=/security"


def test_compose_waits_for_what_it_needs() -> None:
    services = COMPOSE["services"]
    for name in ("market", "feeder", "devices", "control", "pi"):
        assert services[name]["depends_on"]["broker"]["condition"] == "service_healthy"
        assert services[name]["build"]["context"] == "."
    assert {"market", "feeder", "devices"} <= services["control"]["depends_on"].keys()
    assert services["broker"]["depends_on"]["files"]["condition"] == "service_completed_successfully"


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_composed_containers_are_confined(service: str) -> None:
    described = COMPOSE["services"][service]
    assert described["read_only"]
    assert described["cap_drop"] == ["ALL"]
    assert described["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in described
    assert described["logging"]["options"]["max-size"]
    assert described["mem_limit"]
    assert described["pids_limit"]
    assert ("healthcheck" in described) == (service != "files")
    is_restarted = described.get("restart", "no") != "no"
    # A run whose control is gone is taken up by hand.
    assert is_restarted == (service not in ("files", "control"))
    keys = [volume for volume in described["volumes"] if "SECURITY" in volume]
    assert all(volume.endswith(":ro") for volume in keys) == (service != "files")


def test_composed_files_are_for_the_composed_broker() -> None:
    words = compose_words(COMPOSE["services"]["files"]["command"])
    command = main.commands["broker"].commands["files"]
    with click.Context(main) as context:
        values = command.make_context("files", words[2:], context).params
    assert {"broker", "localhost"} <= set(values["hosts"])
    assert values["seen_at"] == Path("/security/broker")
    assert values["port"] == 8883
    assert "/security/broker/mosquitto.conf" in COMPOSE["services"]["broker"]["command"]


def test_images_are_built_from_what_the_tests_ran_with() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes --requirement scripts/locked/cosim.txt" in text
    assert "--require-hashes --requirement scripts/locked/devices.txt" in text
    assert text.count("--no-deps --no-build-isolation .") == 2
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.1[1-9]\.\d+-slim", text, re.MULTILINE)
    assert re.search(r"eclipse-mosquitto:\d+\.\d+\.\d+", (ROOT / "docker-compose.yml").read_text())
    # Code comes behind dependencies, so that a change of it does not install them anew.
    for stage in text.split("FROM ")[1:]:
        if "pip install --require-hashes" in stage:
            assert stage.index("--require-hashes") < stage.index("COPY broker")


def test_citation_and_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    assert citation["references"][0]["url"] == "https://arxiv.org/abs/2401.11090"
    assert "Apache License" in (ROOT / "LICENSE").read_text().splitlines()[0]


def test_git_holds_neither_links_nor_what_it_ignores() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not in a checkout")
    git = ["git", "-C", str(ROOT), "ls-files"]
    tracked = subprocess.run([*git, "--stage"], capture_output=True, text=True, check=True).stdout
    assert [line for line in tracked.splitlines() if line.startswith("120000 ")] == []
    ignored = [*git, "--cached", "--ignored", "--exclude-standard"]
    assert subprocess.run(ignored, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.parametrize(
    "name", ["apt-install", "check-commit-message", "lock", "make-venv", "need-mosquitto"]
)
def test_scripts_are_well_formed_and_stop_at_errors(name: str) -> None:
    script = ROOT / "scripts" / name
    assert script.stat().st_mode & 0o111
    assert "set -euo pipefail" in script.read_text()
    assert subprocess.run(["bash", "-n", script], capture_output=True).stderr == b""


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("Read counters once", ""),
        ("Read counters once\n\nThey wrap.\n# Changes to be committed", ""),
        ("Merge branch 'a-branch-with-a-very-long-name' into another-branch-with-a-long-name", ""),
        ("", "no subject"),
        ("# only what git writes", "no subject"),
        ("Read counters once.", "full stop"),
        ("Read " + "c" * 68, "73 characters"),
        ("Read counters once\nThey wrap.", "second line"),
    ],
)
def test_form_of_commit_messages(tmp_path: Path, message: str, complaint: str) -> None:
    file = tmp_path / "message"
    file.write_text(message)
    done = subprocess.run(
        [ROOT / "scripts" / "check-commit-message", file], capture_output=True, text=True, check=False
    )
    assert done.returncode == bool(complaint)
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == bool(complaint)


def test_hooks_at_a_commit_are_the_checks_of_make_test() -> None:
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    entries = {hook["entry"].split()[0]: hook for hook in repo["hooks"]}
    rules = (ROOT / "Makefile").read_text()
    for entry, hook in entries.items():
        assert hook["language"] == "system"
        if entry.startswith(".venv/bin/"):
            assert entry.replace(".venv", "$(VENV)") in rules
        else:
            assert (ROOT / entry).stat().st_mode & 0o111


def test_old_python_and_missing_python_are_one_line(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.2"\nexit 1\n')
    old.chmod(0o755)
    for python, word in ((str(old), "Python 3.9.2"), ("python9.9", "no such program")):
        done = subprocess.run(
            [ROOT / "scripts" / "make-venv", python, tmp_path / "venv"], capture_output=True, text=True
        )
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1
        assert word in done.stderr
    assert not (tmp_path / "venv").exists()


def test_missing_package_says_what_is_needed(tmp_path: Path) -> None:
    for program in ("bash", "id", "env"):
        (tmp_path / program).symlink_to(f"/usr/bin/{program}")
    done = subprocess.run(
        [ROOT / "scripts" / "apt-install", "make test", "mosquitto"],
        capture_output=True,
        text=True,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 1
    remedy = "sudo apt-get install -y mosquitto"
    assert done.stderr == (
        f"make test needs: mosquitto. Install it and try again, on Debian or Ubuntu: {remedy}\n"
    )


def test_half_made_environment_is_made_anew_and_the_system_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(os.path.realpath(sys.executable))
    # Without an index nothing can be installed; the environment itself is what is looked at.
    offline = {
        "PIP_NO_INDEX": "1",
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_FIND_LINKS": "",
        "PIP_REQUIRE_VIRTUALENV": "1",
    }
    done = subprocess.run(
        [ROOT / "scripts" / "make-venv", sys.executable, folder],
        capture_output=True,
        text=True,
        env={**os.environ, **offline},
    )
    assert done.returncode != 0
    assert "Could not find" in done.stderr or "No matching distribution" in done.stderr
    assert (folder / "pyvenv.cfg").exists()
    prefix = subprocess.run(
        [folder / "bin" / "python", "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True
    )
    assert prefix.stdout.strip() == str(folder)


def test_file_other_than_the_pinned_one_is_not_installed(tmp_path: Path) -> None:
    wheel = tmp_path / "wheels" / "tiny-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    (tmp_path / "scripts" / "locked").mkdir(parents=True)
    copy2(ROOT / "scripts" / "make-venv", tmp_path / "scripts")
    (tmp_path / "scripts" / "locked" / "dev.txt").write_text(f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    done = subprocess.run(
        [tmp_path / "scripts" / "make-venv", sys.executable, tmp_path / "venv"],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": "/dev/null",
            "PIP_FIND_LINKS": str(wheel.parent),
        },
    )
    assert done.returncode != 0
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not list(tmp_path.glob("venv/lib/*/site-packages/tiny.py"))


def test_coverage_leaves_out_what_is_compiled_and_nothing_else() -> None:
    asked = subprocess.run(["make", "-n", "test"], capture_output=True, text=True, check=True, cwd=ROOT)
    omitted = re.search(r" --omit (\S+) ", asked.stdout)
    assert omitted
    compiled = [
        f"*/{file.relative_to(ROOT)}"
        for file in sorted((ROOT / "market").rglob("*.py"))
        if re.search("^@(compiled|inlined)$", file.read_text(), re.MULTILINE)
    ]
    assert sorted(omitted[1].split(",")) == compiled


@pytest.mark.parametrize(("least", "status"), [("70", 0), ("70.1", 1)])
def test_coverage_is_told_by_package_and_may_not_fall(tmp_path: Path, least: str, status: int) -> None:
    files = {
        "market/model/case.py": {"executed_lines": [1, 2, 3], "missing_lines": [4]},
        "market/errors.py": {"executed_lines": [1, 2], "missing_lines": []},
        "broker/participant/node.py": {"executed_lines": [7, 9], "missing_lines": [8, 12]},
    }
    file = tmp_path / "coverage.json"
    file.write_text(json.dumps({"files": files}))
    done = subprocess.run(
        [sys.executable, "-m", "scripts.coverage_by_package", file, "--least", least],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        ["broker", "50.00"],
        ["market", "83.33"],
        ["total", "70.00"],
    ]
    assert done.returncode == status
    assert done.stderr == ("coverage 70.00 % is below 70.1 %: test what you added\n" if status else "")


def test_every_package_counts_for_coverage() -> None:
    packages = re.search(r"^PACKAGES := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert packages is not None
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]
    assert packages[1].split(",") == shipped["wheel"]["packages"]


def test_every_package_of_the_locks_has_its_licence_and_its_hashes() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "make_licenses_doc.py"))
    listed = dict(
        re.findall(r"^\| ([^|]+) \| ([^|]+) \|", (ROOT / "docs" / "LICENSES.md").read_text(), re.MULTILINE)
    )
    for lock in ("cosim.txt", "devices.txt"):
        for package, version in page["pinned"](lock).items():
            assert listed[package] == version, f"{package}: python -m scripts.make_licenses_doc"
            assert page["licence_of"](package)
        text = (ROOT / "scripts" / "locked" / lock).read_text()
        for entry in re.split(r"^(?=[A-Za-z])", text, flags=re.MULTILINE)[1:]:
            assert "--hash=sha256:" in entry, entry
