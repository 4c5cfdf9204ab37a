"""A run in which one device in twenty is faulty, in every way: it completes, and the account is whole."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.report import write_report
from cosim.results.reader import load

SCENARIO = Path(__file__).resolve().parents[3] / "scenarios" / "faulty-devices.toml"
FEWER = {"prosumers = 2000": "prosumers = 400", "per_lam = 3": "per_lam = 2", "= 0.4\n": "= 0.15\n"}


@pytest.fixture(scope="module")
def faulty_run(play_run, tmp_path_factory):
    """The shipped scenario with fewer prosumers and less patience, over its first 30 intervals."""
    folder = tmp_path_factory.mktemp("faulty")
    text = SCENARIO.read_text()
    for old, new in (FEWER | {"intervals = 48": "intervals = 30", "size = 0.6": "size = 0.3"}).items():
        assert old in text
        text = text.replace(old, new)
    scenario = folder / "faulty.toml"
    scenario.write_text(text.replace("first_interval = 44", "first_interval = 12"))
    return asyncio.run(play_run(scenario, folder / "run"))


@pytest.mark.slow
def test_every_interval_is_settled_and_sums_to_zero(faulty_run):
    run, world = faulty_run
    assert run.ledger.ticks() == list(range(30))
    with closing(sqlite3.connect(run.path / "ledger.sqlite")) as ledger:
        assert set(ledger.execute("SELECT micro FROM interval_sum")) == {(0,)}
    struck = {fault.prosumer for fault in world.faults}
    assert 0.04 < len(struck) / world.population.live.sum() < 0.08


@pytest.mark.slow
def test_every_fault_is_counted_and_no_wrong_energy_is_settled_silently(faulty_run):
    run, world = faulty_run
    faults = run.faults
    assert len(faults) == len(world.faults) >= 12
    assert set(faults["kind"]) == {fault.kind for fault in world.faults}
    assert (faults["silent_kwh"] == 0.0).all()
    wrong = faults[faults["wrong_kwh"] > 0.0]
    assert wrong["noticed"].notna().all()
    checks = dict(zip(zip(faults["kind"], faults["device"], strict=True), faults["checks"], strict=True))
    assert checks["silent", "meter"].startswith("no answer")
    assert checks["stuck", "meter"].startswith("frozen")
    assert "counter" in checks["sign", "meter"]
    assert "acknowledgement" in checks["exception", "battery"]
    assert checks["lost", "battery"] == "acknowledgement"
    assert checks["reboot", "meter"] == "counter"


@pytest.mark.slow
def test_suspect_readings_are_not_what_is_settled(faulty_run):
    run, _ = faulty_run
    turned = run.faults.set_index("kind").loc["sign"]
    devices = run.devices[(run.devices["prosumer"] == turned["prosumer"]) & (run.devices["phase"] == "meter")]
    quality = devices.set_index("tick")["quality"]
    during = quality.loc[turned["first"] : turned["last"]]
    assert set(during) == {"suspect"}
    assert quality.loc[turned["last"] + 1] == "good"
    flags = [event["detail"] for event in run.events if event["kind"] == "flag"]
    assert any(turned["prosumer"] in flag and "not plausible" in flag for flag in flags)


def test_the_command_says_what_faults_cost(small_scenario, tmp_path):
    scenario = tmp_path / "small.toml"
    order = '[[faults]]\nkind = "sign"\nshare = 0.05\n'
    scenario.write_text(small_scenario.read_text() + order)
    told = ["run", str(scenario), "--intervals", "1", "--broker", "mosquitto"]
    sound = CliRunner().invoke(main, [*told, "--without-faults", "--out", str(tmp_path / "sound")])
    assert sound.exit_code == 0, sound.output
    faulty = CliRunner().invoke(
        main, [*told, "--against", str(tmp_path / "sound"), "--out", str(tmp_path / "faulty")]
    )
    assert faulty.exit_code == 0, faulty.output
    assert "4 injected" in faulty.output
    run = load(tmp_path / "faulty")
    cost = run.summary.faults.cost
    other = load(tmp_path / "sound")
    more_kwh = run.intervals["imbalance_kwh"].sum() - other.intervals["imbalance_kwh"].sum()
    assert cost.imbalance_kwh == pytest.approx(more_kwh)
    page = write_report(run).read_text()
    assert "paid by prosumers with faults" in page
    assert json.loads((tmp_path / "sound" / "summary.json").read_text())["faults"] is None
    wrong = CliRunner().invoke(main, [*told, "--seed", "9", "--against", str(tmp_path / "sound")])
    assert wrong.exit_code == 2
    assert "another scenario" in wrong.output


def test_an_absurd_spike_holds_nobody_up_and_is_noticed(tmp_path):
    assert CliRunner().invoke(main, ["init", str(tmp_path / "lab")]).exit_code == 0
    scenario = tmp_path / "lab" / "spike.toml"
    order = '[[faults]]\nkind = "spike"\ndevice = "meter"\nprosumers = ["house"]\n'
    when = "first_interval = 1\nintervals = 1\nsize = 1e9\n"
    scenario.write_text((tmp_path / "lab" / "scenario.toml").read_text() + order + when)
    out = tmp_path / "run"
    told = ["run", str(scenario), "--intervals", "3", "--broker", "mosquitto", "--out", str(out)]
    said = CliRunner().invoke(main, told)
    assert said.exit_code == 0, said.output
    assert "has waited" not in said.output
    run = load(out)
    assert run.summary.messages.rejected == 0
    (fault,) = run.faults.to_dict("records")
    assert (fault["noticed"], fault["checks"], fault["silent_kwh"]) == (1, "range", 0.0)
    flags = [event["detail"] for event in run.events if event["kind"] == "flag" and event["tick"] == 1]
    assert any(flag.startswith("house is not plausible: range (p_kw of ") for flag in flags)
