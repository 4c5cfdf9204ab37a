"""A run that is taken up again with hardware whose owner has changed what may be done with it."""

from pathlib import Path

import pytest

from cosim.safety import ArmingError, owners_changes
from cosim.scenario import load_scenario

DEVICE = """
[[devices]]
prosumer = "h0"
profile = "sunspec-battery"
connect = "tcp://127.0.0.1:502/1"
armed = true
min_kw = -2.0
max_kw = 2.0
revert_s = 60.0
"""
OUT = Path("runs/lab")


@pytest.fixture
def begun(tmp_path):
    file = tmp_path / "lab.toml"
    file.write_text(DEVICE)
    return load_scenario(file), file


def test_what_did_not_change_is_not_said(begun):
    scenario, file = begun
    file.write_text(DEVICE + "\n[run]\nseed = 8\n")
    assert owners_changes(scenario, str(file), OUT) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_kw = 2.0", "max_kw = 1.5", "max_kw = 1.5, was 2"),
        ("min_kw = -2.0", "min_kw = 0.0", "min_kw = 0, was -2"),
        ("armed = true", "armed = false", "armed = false, was true"),
        ("revert_s = 60.0", "revert_s = 30.0", "revert_s = 30, was 60"),
        ("revert_s = 60.0", "revert_s = 60.0\nramp_kw_per_s = 0.5", "ramp_kw_per_s = 0.5, was 0"),
        ("revert_s = 60.0", "revert_s = 60.0\nwrites_per_day = 9", "writes_per_day = 9, was 0"),
        ("revert_s = 60.0", "revert_s = 60.0\nsafe_kw = 1.0", "safe_kw = 1, was 0"),
        # One that is wider does not make up for another.
        ("max_kw = 2.0\nrevert_s = 60.0", "max_kw = 3.0\nrevert_s = 9.0", "max_kw = 3, was 2, revert_s = 9"),
    ],
)
def test_what_may_be_done_no_more_forbids_arming(begun, old, new, words):
    scenario, file = begun
    file.write_text(DEVICE.replace(old, new))
    with pytest.raises(ArmingError) as refused:
        owners_changes(scenario, str(file), OUT)
    said = str(refused.value)
    assert said.startswith(f"--arm: in {file} sunspec-battery of h0 (tcp://127.0.0.1:502/1) has {words}")
    assert said.endswith(
        "the run has what stands in runs/lab/scenario.toml: "
        "start a new run with it, or read the devices only: leave out --arm"
    )
    assert "\n" not in said


def test_a_device_that_its_owner_took_out_is_not_armed(begun):
    scenario, file = begun
    file.write_text(DEVICE.replace(":502", ":503"))
    with pytest.raises(ArmingError, match="is not there any more"):
        owners_changes(scenario, str(file), OUT)


def test_what_may_be_done_by_now_is_said(begun):
    scenario, file = begun
    file.write_text(
        DEVICE.replace("max_kw = 2.0", "max_kw = 3.0").replace("revert_s = 60.0", "revert_s = 0.0")
    )
    (line,) = owners_changes(scenario, str(file), OUT)
    assert "max_kw = 3, was 2, revert_s = 0, was 60; the run goes on with what was, which is less" in line


def test_a_scenario_that_is_gone_is_said_and_one_that_is_broken_forbids_arming(begun):
    scenario, file = begun
    file.write_text("[[devices]")
    with pytest.raises(ArmingError, match="whether it lets less be done by now cannot be told"):
        owners_changes(scenario, str(file), OUT)
    file.unlink()
    for known in (str(file), ""):
        (line,) = owners_changes(scenario, known, OUT)
        assert "envelopes are those of runs/lab/scenario.toml" in line
