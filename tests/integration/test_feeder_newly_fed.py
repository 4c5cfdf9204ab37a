"""What an event feeds that an open switch cut off at the start: judged, limited and recorded from then on."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cosim.cli import main
from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import Broken
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.reach import reaching
from cosim.feeder.settings import Event
from cosim.feeder.under_events import FeederUnderEvents
from cosim.results.reader import load
from cosim.study.audit import differences

# Behind the switch: a thin line, a transformer and a regulator; behind them a second switch.
MASTER = """clear
new circuit.c basekv=12.47 pu=1.02 bus1=src mvasc3=500 mvasc1=400
new linecode.main nphases=3 r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0 units=km normamps=300
new linecode.thin nphases=3 r1=1.3 x1=0.8 r0=2.8 x0=2.2 c1=0 c0=0 units=km normamps=20
new line.up bus1=src bus2=a linecode=main length=2 units=km
new load.la bus1=a kv=12.47 kw=900 kvar=300
new line.sw bus1=a bus2=c switch=y
new line.far bus1=c bus2=d linecode=thin length=4 units=km
new transformer.t windings=2 buses=(d e) conns=(delta wye) kvs=(12.47 0.48) kvas=(1000 1000) xhl=4
new load.le bus1=e kv=0.48 kw=900 kvar=300
new transformer.r windings=2 buses=(d h) kvs=(12.47 12.47) kvas=(9999 9999) xhl=.01
new regcontrol.r transformer=r winding=2 vreg=122 band=2 ptratio=60 delay=15
new load.lh bus1=h kv=12.47 kw=100 kvar=30
new line.second bus1=d bus2=f switch=y
new line.last bus1=f bus2=g linecode=main length=1 units=km
set voltagebases=[12.47 0.48]
calcvoltagebases
open line.sw 1
open line.second 2
solve
"""
CLOSING = ("second", "sw")


@pytest.fixture
def master(tmp_path: Path) -> str:
    (tmp_path / "m.dss").write_text(MASTER)
    return str(tmp_path / "m.dss")


def event(kind, element):
    return Event(at=0, kind=kind, element=element)


def buses(state):
    """Buses at which a state has voltages."""
    return {
        name.partition(".")[0]
        for name, v_pu in zip(state.nodes, state.v_pu, strict=True)
        if not np.isnan(v_pu)
    }


def test_what_events_feed_has_voltages_currents_and_derivatives(master):
    feeder = FeederUnderEvents(reaching(Feeder(master), CLOSING))
    kw = feeder.layout.spot_kw
    kvar = kw * feeder.layout.tan_phi
    assert feeder.layout.lams == ("a",)
    steps = [
        (event("switch-closed", "second"), {"src", "a"}),
        (event("switch-closed", "sw"), {"src", "a", "c", "d", "e", "h", "f", "g"}),
        (event("line-outage", "far"), {"src", "a", "c"}),
        (event("switch-open", "sw"), {"src", "a"}),
    ]
    assert buses(feeder.solve(kw, kvar)) == {"src", "a"}
    for happens, fed in steps:
        told = feeder.apply(happens)
        assert told.partition("; fed outside the market: ")[2] == ("c, d, e, h, f, g" if "g" in fed else "")
        state = feeder.solve(kw, kvar)
        assert buses(state) == fed
        far_a = abs(state.current_a[state.branches.index("line.far.1")])
        assert far_a == pytest.approx(51.0 if "d" in fed else 0.0, abs=1.0)
        model, after = feeder.linearise(kw, kvar), feeder.solve(1.1 * kw, kvar)
        v_pu, current_a = model.predict(1.1 * kw, kvar)
        np.testing.assert_allclose(v_pu, after.v_pu, atol=2e-6)
        np.testing.assert_allclose(current_a, after.current_a, atol=0.02)


def test_a_feeder_that_feeds_all_or_of_which_nothing_closes_is_itself(master):
    assert (feeder := Feeder(master)).widest is feeder
    assert (feeder := reaching(Feeder(master), ["up", "no-line"])).widest is feeder
    assert (feeder := reaching(Feeder(), ["l67"])).widest is feeder


def test_limits_hold_for_what_was_fed_newly_and_controls_there_are_remembered(master):
    feeder = reaching(Feeder(master), CLOSING)
    layout = feeder.widest.layout
    events = {1: (event("switch-closed", "sw"),)}
    rules = OperatingRules(
        Limits(0.95, 1.05, layout.rating_a), 900.0, np.zeros(1), controls_act=True, events=events
    )
    operation, kw = Operation(rules), layout.spot_kw
    kvar, still = kw * layout.tan_phi, np.zeros(1)
    assert operation.open(feeder, 0) == ([], [])
    assert operation.meter(feeder, kw, kvar).broken == Broken()
    operation.open(feeder, 1)
    answer = operation.judge(feeder, Proposal(1, 0, kw, kvar, still, 0.5 * kw, 2 * kw))
    assert any(text.startswith("current in line.far.1 is 157") for text in answer.broken.violations)
    assert any(text.startswith("voltage at e.1 is 0.00") for text in answer.broken.violations)
    assert {"e.1", "line.far.1 +0"} <= set(answer.model.rows.name)
    after = operation.meter(feeder, kw, kvar)
    assert {action.device for action in after.run.actions} == {"r"}
    again = Operation(rules)
    fresh = reaching(Feeder(master), CLOSING)
    assert again.resume(fresh, operation.memory(feeder, 1)) == []
    np.testing.assert_array_equal(again.meter(fresh, kw, kvar).run.last.v_pu, after.run.last.v_pu)


STREET = """clear
new circuit.own bus1=head basekv=0.4 pu=1.0 r1=0 x1=0.001 r0=0 x0=0.001
new line.l bus1=head bus2=street phases=3 r1=0.04 x1=0.02 r0=0.1 x0=0.05 c1=0 c0=0 length=1 normamps=200
new load.homes bus1=street phases=3 kv=0.4 kw=60 kvar=5
new line.gate bus1=street bus2=yard phases=3 r1=0.1 x1=0.05 r0=0.2 x0=0.1 c1=0 c0=0 length=1 normamps=90
new load.shop bus1=yard phases=3 kv=0.4 kw=20 kvar=0
set voltagebases=[0.4]
calcvoltagebases
open line.gate 1
solve
"""
SCENARIO = """[run]
start = 2024-06-21T19:00:00
intervals = 2
[feeder]
master = "m.dss"
voltage_min_pu = 0.982
[population]
prosumers = 40
forecast_error = 0.0
[population.pv]
forecast_error = 0.0
[live]
per_lam = 0
[broker]
use = "embedded"
[[events]]
at = 1
kind = "switch-closed"
element = "gate"
"""


def test_in_a_run_a_limit_behind_the_switch_binds_and_its_voltages_are_recorded(tmp_path: Path):
    (tmp_path / "m.dss").write_text(STREET)
    (tmp_path / "s.toml").write_text(SCENARIO)
    out = tmp_path / "run"
    done = CliRunner().invoke(main, ["run", str(tmp_path / "s.toml"), "--out", str(out)])
    assert done.exit_code == 0, done.output
    run = load(out)
    assert list(run.intervals.status) == ["confirmed"] * 2
    yard = run.nodes[run.nodes.node.str.startswith("yard.")]
    assert yard[yard["tick"] == 0].v_pu.isna().all()
    assert yard[yard["tick"] == 1].v_pu.to_numpy() == pytest.approx(0.982, abs=2e-4)
    assert set(run.limits["tick"]) == {1}
    assert {name.partition(".")[0] for name in run.limits.row} == {"yard"}
    assert max(each.pu for each in differences(run)) < 1e-9
