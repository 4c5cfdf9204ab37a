"""A run on a user's own circuit and table of LAMs, from the command line."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from cosim.cli import main
from cosim.results.reader import load
from cosim.study.audit import differences
from tests.integration.four_wire import FOUR_WIRE

MASTER = """clear
new circuit.own bus1=head basekv=0.4 pu=1.0 r1=0 x1=0.001 r0=0 x0=0.001
new line.l bus1=head bus2=street phases=3 r1=0.04 x1=0.02 r0=0.1 x0=0.05 c1=0 c0=0 length=1 normamps=200
new load.homes bus1=street phases=3 kv=0.4 kw=60 kvar=5
new generator.chp bus1=street phases=3 kv=0.4 kw=8 kvar=0
set voltagebases=[0.4]
calcvoltagebases
"""
SCENARIO = """[run]
start = 2024-06-21T19:00:00
intervals = 1
[feeder]
master = "m.dss"
voltage_min_pu = 0.99
[tables]
lams = "lams.csv"
[population]
prosumers = 12
[live]
per_lam = 0
[broker]
use = "embedded"
"""


def test_a_run_on_ones_own_feeder_says_what_it_does_not_honour(tmp_path: Path):
    (tmp_path / "m.dss").write_text(MASTER)
    (tmp_path / "lams.csv").write_text("lam,bus,phases,spot_kw\nhomes,street,,\nroof,STREET,A,5\n")
    (tmp_path / "s.toml").write_text(SCENARIO)
    out = tmp_path / "run"
    done = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    said = [line for line in done.stderr.splitlines() if line.startswith("feeder: ")]
    assert len(said) == 2
    assert said[0].startswith("feeder: 1 generator (chp): no prosumer, so it keeps")
    assert "of 6 node voltages are beyond their limits, worst 0.9" in said[1]
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [event["detail"] for event in events if event["kind"] == "feeder"] == [
        line.removeprefix("feeder: ") for line in said
    ]
    run = load(out)
    assert sorted(set(run.lams.lam)) == ["homes", "roof"]
    assert run.summary.feeder == "own"
    inputs = run.summary.provenance.inputs
    assert inputs.keys() == {"feeder.master", "tables.lams"}
    for key, name in (("feeder.master", "m.dss"), ("tables.lams", "lams.csv")):
        assert inputs[key] == sha256((tmp_path / name).read_bytes()).hexdigest()
    assert inputs["tables.lams"][:16] in (out / "report.html").read_text()


def test_a_limit_on_neutrals_binds_in_the_clearing_and_is_recorded_with_its_price(tmp_path: Path):
    limits = "voltage_min_pu = 0.9\nneutral_max_v = 0.5\nlams_at = 'phase'"
    scenario = SCENARIO.replace("voltage_min_pu = 0.99", limits).replace("= 12", "= 120")
    (tmp_path / "m.dss").write_text(FOUR_WIRE)
    (tmp_path / "s.toml").write_text(scenario.replace('[tables]\nlams = "lams.csv"\n', ""))
    out = tmp_path / "run"
    done = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    run = load(out)
    assert list(run.intervals.status) == ["confirmed"]
    assert set(run.limits.kind) == {"neutral"}
    assert all(name.startswith("e.4 +") for name in run.limits.row)
    assert np.allclose(run.limits.limit.abs(), 0.5)
    assert np.allclose(run.limits.value, run.limits.limit, atol=1e-6)
    assert (run.limits.price * run.limits.limit > 0).all()
    # A neutral's limit has its price in the part for voltages; congestion stays without.
    assert run.lams.voltage.abs().max() > 1e-3
    assert not run.lams.congestion.any()


def test_loads_outside_the_market_vary_with_voltage_where_asked_for(tmp_path: Path):
    shop = "new load.shop bus1=street.2 phases=1 kv=0.23 kw=20 kvar=8 model=8 zipv=(1 0 0 1 0 0 0)\n"
    (tmp_path / "m.dss").write_text(MASTER.replace("set voltagebases", f"{shop}set voltagebases"))
    (tmp_path / "lams.csv").write_text("lam,bus,phases,spot_kw\nroof,street,1,5\n")
    (tmp_path / "s.toml").write_text(SCENARIO.replace("voltage_min_pu = 0.99", "voltage_min_pu = 0.9"))
    (tmp_path / "zip.toml").write_text(
        SCENARIO.replace("voltage_min_pu = 0.99", "voltage_min_pu = 0.9\nother_loads = 'as-described'")
    )
    runs = []
    for name in ("s", "zip"):
        out = tmp_path / f"run-{name}"
        done = CliRunner().invoke(main, ["run", str(tmp_path / f"{name}.toml"), "--out", str(out)])
        assert done.exit_code == 0, done.output
        runs.append(load(out))
        assert max(each.pu for each in differences(runs[-1])) < 1e-9
    drawn_kw = [float(run.connections[run.connections["at"] == "street.2"].metered_kw.sum()) for run in runs]
    v_pu = float(runs[1].nodes[runs[1].nodes.node == "street.2"].v_pu.iloc[0])
    shop_kw = 20.0 * (v_pu * 400.0 / 3**0.5 / 230.0) ** 2
    assert shop_kw < 19.0
    # What else is at this conductor, a third of the homes and of the generator, is as before.
    assert abs(drawn_kw[0] - drawn_kw[1] - (20.0 - shop_kw)) < 1e-6


def test_buses_with_dashes_in_their_names_are_solved_again_as_any_other(tmp_path: Path):
    # Voltages from phase to neutral have a dash between their ends.
    (tmp_path / "m.dss").write_text(FOUR_WIRE.replace("=e.", "=old-e-1."))
    scenario = SCENARIO.replace("voltage_min_pu = 0.99", "voltage_min_pu = 0.9\nlams_at = 'phase'")
    (tmp_path / "s.toml").write_text(scenario.replace('[tables]\nlams = "lams.csv"\n', ""))
    out = tmp_path / "run"
    done = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    run = load(out)
    assert {"old-e-1.1-4", "old-e-1.2-4", "old-e-1.3-4"} <= set(run.nodes.node)
    assert max(each.pu for each in differences(run)) < 1e-9
