"""``sharegrid feeder`` as a stranger uses it."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder.opendss import Feeder
from tests.integration.four_wire import FOUR_WIRE

MASTER = """clear
new circuit.two bus1=head basekv=4.16 r1=0 x1=0.001 r0=0 x0=0.001
new line.l bus1=head bus2=mid phases=3 r1=0.3 x1=0.6 r0=0.6 x0=1.2 c1=0 c0=0 length=1 normamps=30
new transformer.reg phases=3 windings=2 buses=[mid tail] kvs=[4.16 4.16] kvas=[2000 2000] xhl=0.01
new regcontrol.reg transformer=reg winding=2 vreg=120 band=2 ptratio=20
new load.one bus1=tail.1 phases=1 kv=2.4 kw=60 kvar=20 model=2
new load.two bus1=tail.2.3 phases=1 conn=delta kv=4.16 kw=90 kvar=25
new load.odd bus1=mid.1 phases=1 kv=33 kw=5 kvar=0
new generator.gas bus1=mid phases=3 kv=4.16 kw=10 kvar=0
set voltagebases=[4.16]
calcvoltagebases
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dss").write_text(MASTER)
    return tmp_path


def invoke(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, ["feeder", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_check_says_what_the_shipped_feeder_is():
    code, told, _ = invoke("check")
    assert code == 0
    for text in ("132, 278", "91 at 85 buses: 3,490.0 kW", "reg", "7, -1, 0, -1, 8, 1, 5", "usable: 85 LAMs"):
        assert text in told
    assert "4 of 287 conductors above their rating in its own solution, worst line.l115.1 at 119 %" in told


def test_check_says_what_is_odd_and_what_is_not_honoured(folder):
    code, told, _ = invoke("check", "m.dss", "--voltage-min", "0.999")
    assert code == 0
    for text in (
        "! 1 load (odd) rated for another voltage than the bus has",
        "! 1 loads that vary with voltage; in the market all draw constant power",
        "! no bus has coordinates",
        "outside 0.999 to 1.05 pu in its own solution, worst 0.9",
        "! in the loop: 1 generator (gas): no prosumer, so it keeps what the file's own solution has",
        "usable: 2 LAMs with 155.0 kW, 10 node voltages, derivatives from its admittances",
    ):
        assert text in told


def test_check_of_what_cannot_be_used_is_one_line_and_exit_code_2(folder):
    (folder / "m.dss").write_text(MASTER.replace("bus1=tail.1", "bus1=tial.1"))
    code, _, errors = invoke("check", "m.dss")
    assert code == 2
    assert errors == (
        "sharegrid: load.one stands at 'tial.1', which no line or transformer feeds; check the bus names "
        "there and upstream\n"
    )


def test_check_takes_the_bases_that_fit_a_transformer_and_says_so(folder):
    (folder / "m.dss").write_text(MASTER.replace("kvs=[4.16 4.16]", "kvs=[4.16 0.48]"))
    _, told, _ = invoke("check", "m.dss")
    assert "by the windings there, not by calcvoltagebases: tail 0.48 kV, not 4.16 kV" in told


def test_solve_prints_totals_and_writes_what_it_found(folder):
    code, told, _ = invoke("solve", "m.dss", "--load", "0.5", "--out", "o")
    assert code == 0
    assert "77.50 kW" in told
    feeder = Feeder("m.dss")
    spot_kw = 0.5 * feeder.layout.spot_kw
    state = feeder.solve(spot_kw, spot_kw * feeder.layout.tan_phi)
    nodes = pd.read_csv("o/nodes.csv")
    np.testing.assert_allclose(nodes.v_pu, state.v_pu)
    assert nodes.node.tolist() == list(feeder.layout.nodes)
    np.testing.assert_allclose(pd.read_csv("o/branches.csv").current_a, np.abs(state.current_a))


def test_each_voltage_that_is_written_has_the_base_that_it_is_a_part_of(folder):
    assert invoke("solve", "m.dss", "--out", "o")[0] == 0
    assert invoke("linear", "m.dss", "--out", "m.npz")[0] == 0
    nodes = pd.read_csv("o/nodes.csv").set_index("node")
    assert nodes.base_kv["tail.2-3"] == pytest.approx(4.16)
    assert nodes.base_kv["tail.1"] == pytest.approx(4.16 / 3**0.5)
    volts = nodes.base_kv * nodes.v_pu * np.exp(1j * np.radians(nodes.angle_deg))
    assert abs(volts["tail.2-3"]) == pytest.approx(abs(volts["tail.2"] - volts["tail.3"]), rel=1e-9)
    with np.load("m.npz") as model:
        np.testing.assert_allclose(model["node_base_kv"], nodes.base_kv)


def test_solve_as_described_tells_extremes_of_what_customers_see(folder):
    Path("four.dss").write_text(FOUR_WIRE)
    code, told, _ = invoke("solve", "four.dss", "--as-described", "--out", "o")
    assert code == 0
    lowest = next(line for line in told.splitlines() if "lowest" in line)
    assert re.search(r"0\.[89]\d+ pu at \w+\.\d-4 ", lowest)
    # The table has all nodes to ground, neutrals among them.
    assert pd.read_csv("o/nodes.csv").v_pu.min() < 0.2


def test_solve_as_described_is_the_published_solution():
    code, told, _ = invoke("solve", "--as-described")
    assert code == 0
    assert "3,621.55 kW, 1,323.84 kvar" in told
    assert "0.98580 pu at 65.1" in told


def test_the_linear_model_is_an_archive_with_names(folder):
    code, told, _ = invoke("linear", "m.dss", "--load", "0.5", "--out", "x.npz")
    assert code == 0
    assert "2 LAMs, 10 nodes" in told
    feeder = Feeder("m.dss")
    spot_kw = 0.5 * feeder.layout.spot_kw
    model = feeder.linearise(spot_kw, spot_kw * feeder.layout.tan_phi)
    with np.load("x.npz", allow_pickle=False) as archive:
        assert archive["lams"].tolist() == ["tail", "mid"]
        assert archive["nodes"].tolist() == list(model.nodes)
        np.testing.assert_allclose(archive["dv_pu_per_kvar"], model.dv_kvar)
        np.testing.assert_allclose(archive["di_a_per_kw"], model.di)
        assert float(archive["p0_kw"]) == pytest.approx(model.p0_kw)


def test_a_table_of_lams_serves_all_of_them(folder):
    (folder / "lams.csv").write_text("lam,bus,phases,spot_kw\nhomes,tail,,\nfarm,MID,1.2.3,30\n")
    code, told, _ = invoke("check", "m.dss", "--lams", "lams.csv")
    assert code == 0
    assert "usable: 2 LAMs with 180.0 kW" in told
    (folder / "lams.csv").write_text("lam,bus\nhomes,tial\n")
    code, _, errors = invoke("solve", "m.dss", "--lams", "lams.csv")
    assert code == 2
    assert (
        errors == "sharegrid: LAM 'homes' stands at bus 'tial', which the feeder does not have; "
        "did you mean 'tail'?\n"
    )


def test_lams_on_phases_serve_all_of_them(folder):
    lams = Feeder("m.dss", by_phase=True).layout.lams
    assert lams == ("tail.1", "tail.2-3", "mid.1")
    code, told, _ = invoke("check", "m.dss", "--lams-at", "phase")
    assert code == 0
    assert "usable: 3 LAMs" in told
    assert invoke("solve", "m.dss", "--lams-at", "phase")[0] == 0
    assert invoke("linear", "m.dss", "--lams-at", "phase", "--out", "x.npz")[0] == 0
    with np.load("x.npz", allow_pickle=False) as archive:
        assert archive["lams"].tolist() == list(lams)
    (folder / "shape.csv").write_text("load,mid.1\n1,0\n1,1\n")
    code, _, _ = invoke(
        "run", "m.dss", "--lams-at", "phase", "--shape", "shape.csv", "--out", "r", "--format", "csv"
    )
    assert code == 0
    kw = Feeder("m.dss", by_phase=True).layout.spot_kw
    steps = pd.read_csv("r/steps.csv").load_kw.tolist()
    np.testing.assert_allclose(steps, [kw.sum() - kw[lams.index("mid.1")], kw.sum()])
    (folder / "lams.csv").write_text("lam,bus\nhomes,tail\n")
    code, _, errors = invoke("check", "m.dss", "--lams", "lams.csv", "--lams-at", "phase")
    assert code == 2
    assert "--lams says where LAMs attach" in errors


def test_a_run_through_time(folder):
    (folder / "shape.csv").write_text("load,mid\n" + "1,0\n" * 4 + "-2,1\n" * 4)
    code, told, _ = invoke(
        "run", "m.dss", "--shape", "shape.csv", "--out", "r", "--format", "csv", "--voltages"
    )
    assert code == 0
    assert "8 of 8 steps" in told
    steps, summary = pd.read_csv("r/steps.csv"), json.loads(Path("r/summary.json").read_text())
    assert steps.load_kw.tolist() == [150.0] * 4 + [-295.0] * 4
    assert steps.time.tolist()[:2] == ["2024-01-01T00:00:00", "2024-01-01T01:00:00"]
    # The regulator moves when the load does, and stays there as long as it does not change.
    assert (steps.tap_steps > 0).tolist() == [False] * 4 + [True] + [False] * 3
    assert summary["moves"] == {"reg": int(steps.tap_steps.sum())}
    assert summary["load_kwh"] == pytest.approx(-580.0)
    assert summary["source_kwh"] == pytest.approx(-580.0 - 8 * 10.0 + summary["losses_kwh"], abs=0.1)
    voltages = pd.read_csv("r/voltages.csv").drop(columns="time")
    np.testing.assert_allclose(voltages.min(), pd.read_csv("r/nodes.csv").v_min_pu)
    branches = pd.read_csv("r/branches.csv").set_index("branch")
    amps = branches.max_loading["line.l.2"] * 30.0
    assert amps == pytest.approx(2 * 90.0 / 4.16 * np.hypot(1, 25 / 90), rel=0.1)
    assert branches.over_h["line.l.2"] == 4.0
    assert branches.over_kva_h["line.l.2"] == pytest.approx(4 * (amps - 30.0) * 4.16 / np.sqrt(3), rel=0.01)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_pv_of_profiles_takes_no_kvar_off_the_loads(folder, jobs):
    rows = [f"2024-06-21T{hour:02}:00+02:00,{1 + hour % 3},{5 * (hour > 8)}" for hour in range(24)]
    Path("p.csv").write_text("\n".join(["time,load_kw.x,pv_kw.x", *rows]) + "\n")
    common = ("--shape", "p.csv", "--regulators", "held", "--format", "csv", "--jobs", jobs)
    assert invoke("run", "m.dss", *common, "--out", "r")[0] == 0
    steps = pd.read_csv("r/steps.csv")
    feeder = Feeder("m.dss")
    spot_kw, spot_kvar = feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi
    for hour in (3, 12, 23):
        load, pv = (1 + hour % 3) / 3, 5 * (hour > 8) / 3
        state = feeder.solve(spot_kw * (load - pv), spot_kvar * load)
        assert steps.source_kw[hour] == pytest.approx(state.source_kw, abs=1e-6)
        assert steps.source_kvar[hour] == pytest.approx(state.source_kvar, abs=1e-6)


def test_held_regulators_stay(folder):
    code, _, _ = invoke("run", "m.dss", "--steps", "3", "--regulators", "held", "--out", "r")
    assert code == 0
    assert pd.read_parquet("r/steps.parquet").tap_steps.tolist() == [0, 0, 0]


def test_a_step_without_solution_is_marked_and_the_others_count(folder):
    (folder / "shape.csv").write_text("load\n1\n90\n1\n")
    code, told, _ = invoke("run", "m.dss", "--shape", "shape.csv", "--out", "r", "--format", "csv")
    assert code == 0
    assert "2 of 3 steps" in told
    steps = pd.read_csv("r/steps.csv")
    assert steps.solved.tolist() == [True, False, True]
    assert np.isnan(steps.source_kw[1])
    assert steps.v_min_pu[2] == pytest.approx(steps.v_min_pu[0], abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("solve", "absent.dss"), "feeder file 'absent.dss' not found"),
        (("check", "."), "feeder file '.' is a directory"),
        (("linear", "m.dss", "--out", "x.txt"), "give a name that ends in .npz"),
        (("linear", "m.dss", "--out", "no/x.npz"), "choose a path that can be written"),
        (("run", "m.dss", "--out", "m.dss"), "choose a folder that can be written"),
        (("run", "m.dss", "--shape", "absent.csv", "--out", "r"), "absent.csv: no such file"),
        (("solve", "m.dss", "--load", "99"), "did not converge"),
        (("solve", "m.dss", "--load", "nan"), "--load"),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(folder, arguments, says):
    before = sorted(folder.iterdir())
    code, _, errors = invoke(*arguments)
    assert code == 2
    assert says in errors
    assert "Traceback" not in errors
    assert sorted(folder.iterdir()) == before


def test_results_are_not_overwritten_unasked(folder):
    assert invoke("run", "m.dss", "--steps", "1", "--out", "r")[0] == 0
    code, _, errors = invoke("run", "m.dss", "--steps", "1", "--out", "r")
    assert (code, "--force" in errors) == (2, True)
    assert invoke("run", "m.dss", "--steps", "1", "--out", "r", "--force")[0] == 0


def test_check_holds_what_customers_see_against_the_limits(folder):
    (folder / "wires.dss").write_text(FOUR_WIRE)
    code, told, _ = invoke("check", "wires.dss", "--voltage-max", "1.06")
    assert code == 0
    assert (
        "1 of 9 node voltages outside 0.95 to 1.06 pu in its own solution, worst 0.9034 pu at e.1-4" in told
    )
    # Its loads stand between phase and neutral, and are rated for that.
    assert "rated for another voltage" not in told
    (folder / "wires.dss").write_text(FOUR_WIRE.replace("kv=0.24 kw=30", "kv=0.12 kw=30"))
    assert "1 load (a) rated for another voltage than the bus has" in invoke("check", "wires.dss")[1]
