"""Exported units in FMPy: what they tell is what the engines compute, wherever the unit was carried to."""

import os
import shutil
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import fmpy
import numpy as np
import pytest
from click.testing import CliRunner
from fmpy.fmi1 import FMICallException
from fmpy.fmi2 import FMU2Slave
from fmpy.validation import validate_fmu

from cosim.cli import main
from cosim.feeder.opendss import Feeder
from market.files.case_file import read_case
from market.solver.clearing import clear
from tests.broker.door.hostile_run import LAMS, MASTER
from tests.integration.documents.blocks import ROOT, blocks_of

STEP_S = 900.0


def exported(*words):
    done = CliRunner().invoke(main, ["fmi", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.stdout


class Stepped:
    """A unit in a simulator, set and read by name."""

    def __init__(self, path, folder):
        description = fmpy.read_model_description(str(path))
        self.place = {each.name: each.valueReference for each in description.modelVariables}
        fmpy.extract(str(path), str(folder))
        self.unit = FMU2Slave(
            guid=description.guid,
            unzipDirectory=str(folder),
            modelIdentifier=description.coSimulation.modelIdentifier,
            instanceName="tried",
        )
        self.time_s = 0.0

    def begin(self):
        self.unit.instantiate()
        self.unit.setupExperiment(startTime=0.0)
        self.unit.enterInitializationMode()
        self.unit.exitInitializationMode()

    def put(self, values):
        self.unit.setReal([self.place[name] for name in values], list(values.values()))

    def step(self):
        self.unit.doStep(self.time_s, STEP_S)
        self.time_s += STEP_S

    def get(self, *names):
        return np.array(self.unit.getReal([self.place[name] for name in names]))


@contextmanager
def stepped(path, folder):
    simulator = Stepped(path, folder)
    simulator.begin()
    try:
        yield simulator
    finally:
        simulator.unit.terminate()
        simulator.unit.freeInstance()


def loads(layout, kw, kvar):
    return {
        f"{name}.{lam}": float(value)
        for name, values in (("net_kw", kw), ("net_kvar", kvar))
        for lam, value in zip(layout.lams, values, strict=True)
    }


def test_a_feeder_unit_is_the_feeder_controls_included(tmp_path):
    path, feeder = tmp_path / "grid.fmu", Feeder()
    exported("feeder", "--out", path)
    assert validate_fmu(str(path)) == []
    layout = feeder.layout
    spot_kvar = layout.spot_kw * layout.tan_phi
    nodes = [f"v_pu.{name}" for name in layout.nodes]
    with stepped(path, tmp_path / "unit") as unit:
        at_start = feeder.solve(layout.spot_kw, spot_kvar)
        np.testing.assert_allclose(unit.get(*nodes), at_start.v_pu, atol=1e-12)
        acted = 0
        for share in (0.3, 1.1, -0.4):
            kw, kvar = share * layout.spot_kw, share * spot_kvar
            unit.put(loads(layout, kw, kvar))
            unit.step()
            run = feeder.act(lambda kw=kw, kvar=kvar: feeder.solve(kw, kvar), STEP_S)
            acted += len(run.actions)
            np.testing.assert_allclose(unit.get(*nodes), run.last.v_pu, atol=1e-12)
            taps = [f"tap.{name}" for name in layout.regulators]
            np.testing.assert_array_equal(unit.get(*taps), run.last.taps)
            weights = run.shares()
            head_kw = sum(w * state.source_kw for (_, state), w in zip(run.states, weights, strict=True))
            assert unit.get("head_kw")[0] == pytest.approx(head_kw, rel=1e-12)
        assert acted


def test_a_unit_carries_its_files_and_its_source_follows(tmp_path):
    folder = tmp_path / "mine"
    (folder / "parts").mkdir(parents=True)
    head, _, rest = MASTER.partition("new load.homes")
    bases = "set voltagebases=[0.4]\ncalcvoltagebases\n"
    (folder / "m.dss").write_text(f"{head}redirect parts/loads.dss\n{bases}")
    (folder / "parts" / "loads.dss").write_text(f"new load.homes{rest.partition('set ')[0]}")
    (folder / "lams.csv").write_text(LAMS)
    path = tmp_path / "own.fmu"
    words = ["feeder", folder / "m.dss", "--lams", folder / "lams.csv", "--hold-controls", "--out"]
    said = exported(*words, path)
    assert said == f"{path}: own, 3 LAMs, 9 node voltages; 7 inputs\n"
    again = tmp_path / "again" / "own.fmu"
    again.parent.mkdir()
    exported(*words, again)
    guids = {fmpy.read_model_description(str(each)).guid for each in (path, again)}
    assert len(guids) == 1
    shutil.rmtree(folder)
    with stepped(path, tmp_path / "unit") as unit:
        unit.put({"net_kw.homes": 10.0, "net_kw.roof": 2.0, "net_kw.farm": 0.0, "source_pu": 1.03})
        unit.step()
        high = unit.get("v_pu.head.1", "head_kw", "losses_kw")
        assert high[0] == pytest.approx(1.03, abs=1e-4)
        assert high[1] == pytest.approx(12.0 + high[2], abs=1e-6)
        unit.put({"source_pu": 0.0})
        unit.step()
        assert unit.get("v_pu.head.1")[0] == pytest.approx(1.0, abs=1e-4)
        # More than the lines can carry has no power flow: the step is discarded, and the next one is as ever.
        unit.put({"net_kw.homes": 1e7})
        with pytest.raises(FMICallException):
            unit.step()
        unit.put({"net_kw.homes": 10.0, "source_pu": 1.03})
        unit.step()
        np.testing.assert_allclose(unit.get("v_pu.head.1", "head_kw", "losses_kw"), high, atol=1e-9)


def test_a_market_unit_is_the_market(tmp_path):
    page = blocks_of(ROOT / "docs" / "case-format.md")
    source, path = tmp_path / "case.json", tmp_path / "market.fmu"
    source.write_text(next(block.text for block in page if block.language == "json"))
    exported("market", source, "--out", path)
    assert validate_fmu(str(path)) == []
    case = read_case(source)
    source.unlink()
    with stepped(path, tmp_path / "unit") as unit:
        prices = [f"price.{lam}" for lam in case.lam_id]
        trades = [f"trade_kw.{name}" for name in case.prosumer_id]
        first = clear(case)
        np.testing.assert_allclose(unit.get(*prices), first.price, atol=1e-12)
        np.testing.assert_allclose(unit.get(*trades), first.trade_kw, atol=1e-12)
        unit.put({f"demand_kw.{case.prosumer_id[0]}": float(case.demand_kw[0]) + 0.25})
        unit.step()
        demand_kw = case.demand_kw + 0.25 * (np.arange(len(case.demand_kw)) == 0)
        second = clear(replace(case, demand_kw=demand_kw))
        np.testing.assert_allclose(unit.get(*prices), second.price, atol=1e-12)
        assert unit.get("grid_kw")[0] == pytest.approx(second.wam.grid_kw, abs=1e-12)
        assert not np.allclose(first.trade_kw, second.trade_kw)
        # What a case file may not hold a step may not, either.
        unit.put({"import_price": -1.0})
        with pytest.raises(FMICallException):
            unit.step()


def test_a_unit_runs_in_a_simulator_that_is_no_python(tmp_path):
    compiler, name = shutil.which("cc"), sysconfig.get_config_var("LDLIBRARY") or ""
    library = Path(sysconfig.get_config_var("LIBDIR") or "", name)
    if compiler is None or ".so" not in name or not library.exists():
        pytest.skip("needs a C compiler and Python as a shared library")
    path, folder, host = tmp_path / "grid.fmu", tmp_path / "unit", tmp_path / "host"
    exported("feeder", "--out", path)
    fmpy.extract(str(path), str(folder))
    description = fmpy.read_model_description(str(path))
    head = next(each for each in description.modelVariables if each.name == "head_kw")
    source = Path(__file__).with_name("host.c")
    subprocess.run([compiler, "-o", host, source, "-ldl"], check=True)
    done = subprocess.run(
        [host, folder / "binaries/linux64/grid.so", description.guid, (folder / "resources").as_uri(),
         str(head.valueReference)],
        capture_output=True,
        text=True,
        env={
            "LD_PRELOAD": str(library),
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPATH": os.pathsep.join([str(ROOT), sysconfig.get_path("purelib")]),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    feeder = Feeder()
    kw, kvar = feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi
    own = [feeder.act(lambda: feeder.solve(kw, kvar), STEP_S).last.source_kw for _ in range(3)]
    np.testing.assert_allclose([float(line) for line in done.stdout.splitlines()], own, rtol=1e-9)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["feeder", "--out", "grid.zip"], "--out grid.zip: name it like grid.fmu"),
        (["feeder", "--out", "my-grid.fmu"], "with letters, digits and _ before the ending"),
        (["feeder", "nowhere.dss", "--out", "grid.fmu"], "feeder file 'nowhere.dss' not found"),
        (["market", "nowhere.json", "--out", "market.fmu"], "nowhere.json"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["fmi", *words])
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
