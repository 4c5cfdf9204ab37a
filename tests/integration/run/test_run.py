"""The whole testbed for two intervals: real broker, real Modbus sockets, real OpenDSS, real files."""

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import pytest

from cosim.results.entries import MICRO
from cosim.results.errors import ResultsError
from cosim.results.ledger import Ledger
from cosim.results.ledger_reader import LedgerReader
from cosim.results.reader import load
from devices.gateway.gateway import Gateway, Outcome

COMMAND = [sys.executable, "-c", "from cosim.cli import main; main()"]


def entries(ledger: Ledger) -> list[tuple]:
    """Every entry of a ledger, in order."""
    return [(account, entry) for account in sorted(ledger.balances()) for entry in ledger.statement(account)]


def test_a_small_run_confirms_settles_and_records(small_run):
    run, world = small_run
    intervals = run.intervals
    assert intervals["status"].tolist() == ["confirmed", "confirmed"]
    assert intervals["linear_error_pu"].max() <= 1e-4
    assert run.ledger.sum_micro() == 0
    with closing(sqlite3.connect(run.path / "ledger.sqlite")) as ledger:
        assert set(ledger.execute("SELECT micro FROM interval_sum")) == {(0,)}
    assert run.ledger.ticks() == [0, 1]
    assert (intervals["rounding_micro"].abs() <= intervals["entries"]).all()
    assert len(run.lams) == 2 * 85
    assert len(run.nodes) == 2 * len(world.layout.nodes)
    assert run.devices["prosumer"].nunique() == world.population.live.sum() == 85
    assert (run.devices["quality"] == "good").all()
    assert run.devices.query("phase == 'meter'")["acknowledged"].all()
    assert (intervals["cost_optimum"] <= intervals["cost_market"] + 1e-9).all()


RENTS = ["wam_fees_usd", "loss_rent_usd", "voltage_rent_usd", "congestion_rent_usd", "limit_rent_usd"]


def test_a_bill_says_what_the_ledger_booked(small_run):
    run, _ = small_run
    name = run.prosumers["prosumer"][7]
    bill = run.statement(name)
    assert bill["time"].dt.strftime("%H:%M%z").tolist() == ["19:00+0200", "19:15+0200"]
    assert bill["paid_usd"].sum() * MICRO == pytest.approx(-run.ledger.balances()[f"prosumer/{name}"])
    assert run.paid.loc[f"prosumer/{name}", "paid_usd"] == pytest.approx(bill["paid_usd"].sum())
    assert (bill["price"] * bill["traded_kwh"]).to_numpy() == pytest.approx(bill["energy_usd"], abs=1e-6)
    assert run.paid.sum().to_numpy() == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ResultsError, match=f"no prosumer '{name}x'; did you mean"):
        run.statement(f"{name}x")


def test_every_cleared_interval_is_certified_and_its_money_explained(small_run):
    run, _ = small_run
    intervals, lams = run.intervals, run.lams
    assert intervals["certified"].tolist() == [True, True]
    for figure in ("duality_gap", "prosumer_gain", "lam_gain", "balance_kw", "price_error", "payment_error"):
        assert intervals[figure].abs().max() < 1e-9
    parts = lams[["energy", "loss", "voltage", "congestion"]].sum(axis=1)
    np.testing.assert_allclose(parts, lams["wam_price"], rtol=0, atol=1e-12)
    # The ledger rounds each payment to a micro-dollar.
    np.testing.assert_allclose(intervals[RENTS].sum(axis=1), intervals["wam_surplus_usd"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(intervals["uplift_usd"], (-intervals["wam_surplus_usd"]).clip(lower=0))
    assert lams["surplus_usd"].min() >= 0.0
    assert (intervals["lam_fees_usd"] <= intervals["lam_surplus_usd"] + 1e-9).all()
    by_tick = lams.groupby("tick")["surplus_usd"].sum()
    np.testing.assert_allclose(by_tick, intervals["lam_surplus_usd"], rtol=0, atol=1e-9)
    assert (intervals["audit_s"] > 0).all()


def test_benchmarks_and_savings_stand_beside_the_market(small_run):
    run, world = small_run
    intervals = run.intervals
    for name in ("no_sharing", "lam_only", "single_layer", "single_layer_network", "optimum"):
        assert intervals[f"cost_{name}"].notna().all()
    assert (intervals["cost_optimum"] <= intervals["cost_single_layer_network"] + 1e-9).all()
    assert intervals["violated_single_layer"].notna().all()
    savings = run.prosumers.set_index("prosumer")["saving_usd"]
    assert list(savings.index) == list(world.roster.prosumers)
    assert savings.sum() == pytest.approx(intervals["saving_usd"].sum())
    assert savings.sum() == pytest.approx(run.lams["saving_usd"].sum())
    assert run.prosumers["bought_kwh"].sum() == pytest.approx(intervals["bought_kwh"].sum())
    assert (intervals["traded_lam_kwh"] <= intervals["bought_kwh"]).all()


def test_meters_show_the_feeder_s_voltage_and_the_counters_what_was_booked(small_run):
    run, world = small_run
    second = run.devices.query("phase == 'measure' and tick == 1").set_index("prosumer")["v_pu"]
    lams = run.lams.query("tick == 0").set_index("lam")["v_pu"]
    for member in world.roster.live_members:
        name, lam = world.roster.prosumers[member], world.roster.lams[world.roster.lam[member]]
        assert second[name] == pytest.approx(lams[lam], abs=1e-4)
    counters = run.devices.set_index(["prosumer", "tick", "phase"])
    net = counters["import_kwh"] - counters["export_kwh"]
    for member in world.roster.live_members[:10]:
        name = world.roster.prosumers[member]
        assert net[name, 1, "measure"] == net[name, 0, "meter"]


def test_inverters_follow_what_the_market_awarded(small_run):
    run, _ = small_run
    asked = run.devices.query("phase == 'meter' and tick == 0").set_index("prosumer")["battery_set_point_kw"]
    does = run.devices.query("phase == 'measure' and tick == 1").set_index("prosumer")["battery_kw"]
    moved = asked[asked.abs() > 0.1].index
    assert len(moved) > 10
    assert np.allclose(does[moved], asked[moved], atol=0.02, rtol=1e-3)


async def test_a_set_point_that_is_not_written_changes_energy_and_payment(
    small_run, small_scenario, play_run, tmp_path, monkeypatch
):
    base, _ = small_run
    asked = base.devices.query("phase == 'meter' and tick == 0").set_index("prosumer")["battery_set_point_kw"]
    name = asked.abs().idxmax()
    command = Gateway.command

    async def drop(self, prosumer, set_points, valid_s=0.0):
        if prosumer == name:
            return Outcome(True, "")
        return await command(self, prosumer, set_points, valid_s)

    monkeypatch.setattr(Gateway, "command", drop)
    run, _ = await play_run(small_scenario, tmp_path / "run")

    def energy(of):
        rows = of.devices.query("phase == 'meter' and tick == 0").set_index("prosumer")
        return rows["import_kwh"] - rows["export_kwh"]

    change = (energy(run) - energy(base)).abs()
    assert change[name] > 0.9 * abs(asked[name]) * 0.25
    assert change.drop(name).max() == 0.0
    account = f"prosumer/{name}"
    assert base.ledger.balances()[account] != run.ledger.balances()[account]
    assert run.ledger.sum_micro() == 0


async def test_the_embedded_broker_gives_the_same_ledger(small_run, small_scenario, play_run, tmp_path):
    run, _ = await play_run(small_scenario, tmp_path / "run", "embedded")
    assert entries(run.ledger) == entries(small_run[0].ledger)


def test_three_processes_give_the_same_ledger(small_run, small_scenario, tmp_path, own_mosquitto):
    out = tmp_path / "run"
    common = [str(small_scenario), "--broker", own_mosquitto, "--run-id", "apart"]
    serving = [
        subprocess.Popen([*COMMAND, "serve", roles, *common], stderr=subprocess.PIPE)
        for roles in ("market", "feeder,devices")
    ]
    try:
        elsewhere = ["--elsewhere", "market,feeder,devices", "--out", str(out)]
        done = subprocess.run([*COMMAND, "run", *common, *elsewhere], capture_output=True, timeout=90)
        assert done.returncode == 0, done.stderr.decode()
        assert [process.wait(30) for process in serving] == [0, 0]
    finally:
        for process in serving:
            process.kill()
            process.communicate()
    run = load(out)
    assert run.summary.intervals.confirmed == 2
    assert entries(run.ledger) == entries(small_run[0].ledger)


def test_ctrl_c_ends_cleanly_with_what_is_done(small_scenario, tmp_path):
    out = tmp_path / "run"
    command = [*COMMAND, "run", str(small_scenario), "--intervals", "96", "--out", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not (out / "ledger.sqlite").exists() or not LedgerReader.open(out / "ledger.sqlite").ticks():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, errors.decode()
    assert b"interrupted" in errors
    summary = json.loads((out / "summary.json").read_text())
    assert 1 <= summary["intervals"]["settled"] < 96
    assert summary["settlement"]["sum_micro"] == 0
    assert len(load(out).intervals) == summary["intervals"]["settled"]
    assert (out / "report.html").stat().st_size > 10_000
