"""Regulators and switched capacitors in time, on a small circuit and on IEEE 123."""

import numpy as np
import pytest

from cosim.feeder.controls import Action, ControlRun, Positions, reversals
from cosim.feeder.opendss import Feeder

CIRCUIT = """
clear
new circuit.small basekv=12.47 pu=1.0 bus1=head mvasc3=200 mvasc1=200
new transformer.reg phases=3 windings=2 buses=[head mid] kvs=[12.47 12.47] kvas=[9000 9000] xhl=0.1
new regcontrol.reg transformer=reg winding=2 vreg=122 band=2 ptratio=60 delay=30 tapdelay=4
new line.far bus1=mid bus2=end r1=1 x1=2 r0=2 x0=4 c1=0 c0=0 length=1
new capacitor.bank bus1=end phases=3 kvar=1200 kv=12.47 {states}
new load.town bus1=end phases=3 conn=wye kv=12.47 kw=1000 kvar=500
{control}
set voltagebases=[12.47]
calcvoltagebases
set controlmode=off
solve
"""
CALM = (
    "new capcontrol.bank element=line.far terminal=1 capacitor=bank type=kvar ptratio=1 ctratio=1"
    " onsetting=800 offsetting=-600 delay=15 delayoff=15 deadtime=10"
)
RESTLESS = (
    "new capcontrol.bank element=line.far terminal=1 capacitor=bank type=kvar ptratio=1 ctratio=1"
    " onsetting=300 offsetting=-100 delay=15 delayoff=15 deadtime=1"
)


@pytest.fixture
def small(tmp_path):
    """Makes the small feeder with a capacitor's control."""

    def make(control=CALM, states="states=[0]"):
        path = tmp_path / "master.dss"
        path.write_text(CIRCUIT.format(control=control, states=states))
        return Feeder(path)

    return make


def acted(feeder, kw, kvar, window_s=900.0):
    return feeder.act(lambda: feeder.solve(np.array([kw]), np.array([kvar])), window_s)


def test_a_regulator_waits_for_its_delay_and_then_moves_one_tap_at_a_time(small):
    feeder = small()
    run = acted(feeder, 1500.0, 0.0)
    taps = [action for action in run.actions if action.kind == "regulator"]
    assert [action.at_s for action in taps] == [30.0 + 4.0 * k for k in range(len(taps))]
    assert {action.steps for action in taps} == {1}
    assert len(taps) > 1
    assert feeder.taps() == {"reg": len(taps)}
    assert sum(run.shares()) == pytest.approx(1.0)
    assert run.count("regulator") == len(taps)
    assert run.hunting == ()
    assert acted(feeder, 1500.0, 0.0).actions == ()


def test_a_window_that_is_too_short_leaves_the_rest_to_the_next(small):
    feeder = small()
    whole = acted(feeder, 1500.0, 0.0)
    last = max(action.at_s for action in whole.actions)
    other = small()
    assert acted(other, 1500.0, 0.0, window_s=20.0).actions == ()
    assert acted(other, 1500.0, 0.0, window_s=last).count("regulator") == len(whole.actions) - 1
    assert other.taps()["reg"] == feeder.taps()["reg"] - 1


def test_a_capacitor_switches_when_reactive_power_asks_for_it_and_keeps_its_state(small):
    feeder = small()
    assert feeder.positions().capacitors == {"bank": (0,)}
    on = acted(feeder, 1000.0, 1000.0)
    assert [a.steps for a in on.actions if a.kind == "capacitor"] == [1]
    assert feeder.positions().capacitors == {"bank": (1,)}
    assert on.last.v_pu.min() > on.first.v_pu.min()
    assert on.count("capacitor") == 1
    off = acted(feeder, 1000.0, 0.0)
    assert [a.steps for a in off.actions if a.kind == "capacitor"] == [-1]
    assert feeder.positions().capacitors == {"bank": (0,)}


def test_controls_that_hunt_are_stopped_and_named(small):
    run = acted(small(RESTLESS), 1000.0, 500.0, window_s=3600.0)
    assert run.hunting == ("bank",)
    assert reversals(list(run.actions), "bank") > 3
    assert len(run.actions) < 20
    assert max(action.at_s for action in run.actions) < 600.0


def test_what_controls_do_tells_nothing_of_what_was_solved_before():
    feeder, other = Feeder(), Feeder()
    spot_kw = feeder.layout.spot_kw
    kvar = spot_kw * feeder.layout.tan_phi
    start = feeder.positions()
    acted_at = {}
    for name, each in (("fresh", other), ("used", feeder)):
        if name == "used":
            each.act(lambda: feeder.solve(0.1 * spot_kw, 0.1 * kvar), 900.0)
            each.linearise(0.5 * spot_kw, kvar)
            each.put(start)
        acted_at[name] = each.act(lambda each=each: each.solve(0.3 * spot_kw, 0.3 * kvar), 900.0)
    fresh, used = acted_at["fresh"], acted_at["used"]
    assert fresh.actions == used.actions
    assert len(fresh.actions) > 5
    for (_, one), (_, two) in zip(fresh.states, used.states, strict=True):
        np.testing.assert_array_equal(one.v_pu, two.v_pu)
    np.testing.assert_array_equal(feeder.solve(0.3 * spot_kw, 0.3 * kvar).v_pu, used.last.v_pu)
    assert used.last.taps == tuple(feeder.taps().values())


def test_a_model_after_controls_moved_and_came_back_is_that_of_before():
    feeder = Feeder()
    spot_kw = feeder.layout.spot_kw
    kvar = spot_kw * feeder.layout.tan_phi
    start = feeder.positions()
    before = feeder.linearise(spot_kw, kvar)
    feeder.act(lambda: feeder.solve(0.2 * spot_kw, 0.2 * kvar), 900.0)
    elsewhere = feeder.linearise(spot_kw, kvar)
    assert np.abs(elsewhere.v_pu - before.v_pu).max() > 1e-3
    feeder.put(start)
    again = feeder.linearise(spot_kw, kvar)
    np.testing.assert_array_equal(again.dv, before.dv)
    np.testing.assert_array_equal(again.v_pu, before.v_pu)


def test_positions_are_told_apart_by_taps_and_by_capacitors():
    at = Positions({"a": 1}, {"c": (0,)})
    assert at == Positions({"a": 1}, {"c": (0,)})
    assert (
        len({at, Positions({"a": 1}, {"c": (0,)}), Positions({"a": 2}, {"c": (0,)}), Positions({"a": 1})})
        == 3
    )


def test_shares_are_the_parts_of_the_span_between_actions():
    run = ControlRun(100.0, ((0.0, None), (25.0, None), (75.0, None)), (Action(25.0, "regulator", "a", -2),))
    assert run.shares() == (0.25, 0.5, 0.25)
    assert run.count("regulator") == 2
    assert run.count("capacitor") == 0
