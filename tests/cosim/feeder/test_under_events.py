"""Events on IEEE 123: what opens, closes, sticks and steps, and what is left without source."""

import numpy as np
import pytest

from cosim.feeder.boundary import FREE, Boundary
from cosim.feeder.circuit import FeederError
from cosim.feeder.opendss import Feeder
from cosim.feeder.settings import Event
from cosim.feeder.under_events import FeederUnderEvents
from cosim.feeder_setup.schedule import schedule
from cosim.scenario import ScenarioError
from cosim.scenario.sections import Run
from cosim.scenario.timeline import timeline_of


@pytest.fixture(scope="module")
def base():
    return Feeder()


@pytest.fixture
def feeder(base):
    return FeederUnderEvents(base)


def spot(feeder, share=0.8):
    kw = share * feeder.layout.spot_kw
    return kw, kw * feeder.layout.tan_phi


def event(kind, **keys):
    return Event(at=0, kind=kind, **keys)


def test_without_events_it_is_the_feeder_to_the_bit(feeder, base):
    kw, kvar = spot(feeder)
    np.testing.assert_array_equal(feeder.solve(kw, kvar).v_pu, base.solve(kw, kvar).v_pu)
    np.testing.assert_array_equal(feeder.linearise(kw, kvar).dv, base.linearise(kw, kvar).dv)
    assert feeder.unserved() == []
    assert feeder.fed().all()


def test_an_outage_leaves_lams_without_source_and_a_repair_brings_everything_back(feeder, base):
    kw, kvar = spot(feeder)
    before = feeder.solve(kw, kvar)
    taps = feeder.positions()
    told = feeder.apply(event("line-outage", element="L67"))
    dark = feeder.unserved()
    assert len(dark) == 19
    assert told.startswith("line l67 is out; no source feeds 19 LAMs: 73, 74, ")
    state = feeder.solve(kw, kvar)
    assert np.isnan(state.v_pu).sum() == 58
    lost_kw = kw[[feeder.layout.lams.index(name) for name in dark]].sum()
    assert state.source_kw - state.losses_kw == pytest.approx(kw.sum() - lost_kw, abs=1e-3)
    np.testing.assert_array_equal(state.net_kw == 0.0, feeder.fed() == 0.0)
    place = feeder.layout.branches.index("line.l67.1")
    assert state.current_a[place] == 0.0
    assert feeder.positions() == taps

    model = feeder.linearise(kw, kvar)
    assert not model.dv[:, feeder.fed() == 0.0].any()
    assert (model.dp0[feeder.fed() == 0.0] == 1.0).all()
    step = np.random.default_rng(0).normal(size=kw.size) * 0.5
    after = feeder.solve(kw + step, kvar)
    np.testing.assert_allclose(model.predict_v_pu(kw + step), after.v_pu, atol=1e-6)

    told = feeder.apply(event("line-repair", element="l67"))
    assert told.startswith("line l67 is in service; 19 LAMs are fed again: 73, 74, ")
    np.testing.assert_allclose(feeder.solve(kw, kvar).v_pu, before.v_pu, atol=1e-9)
    assert feeder.unserved() == []


def test_an_event_names_the_lams_that_it_darkened_itself(feeder):
    feeder.apply(event("line-outage", element="l67"))
    assert len(feeder.unserved()) == 19
    told = feeder.apply(event("line-outage", element="l114"))
    dark = "35, 37, 38, 39, 41, 42, 43, 45, 46, 47, 48, 49, 50, 51"
    assert told == f"line l114 is out; no source feeds 14 more LAMs: {dark}; 33 in all"
    assert feeder.apply(event("capacitor-off", element="c83")) == "capacitor c83 is off"
    told = feeder.apply(event("line-repair", element="l114"))
    assert told == f"line l114 is in service; 14 LAMs are fed again: {dark}"


def test_a_tie_switch_takes_over_what_an_outage_left(feeder):
    kw, kvar = spot(feeder, 0.4)
    feeder.apply(event("line-outage", element="sw4"))
    assert len(feeder.unserved()) == 36
    feeder.apply(event("switch-closed", element="sw7"))
    assert feeder.unserved() == []
    state = feeder.solve(kw, kvar)
    assert not np.isnan(state.v_pu).any()
    assert state.source_kw - state.losses_kw == pytest.approx(kw.sum(), abs=1e-3)


def test_with_the_head_out_nothing_is_fed_and_nothing_fails(feeder):
    kw, kvar = spot(feeder)
    feeder.apply(event("line-outage", element="l115"))
    assert len(feeder.unserved()) == 85
    state = feeder.solve(kw, kvar)
    assert np.isnan(state.v_pu).all()
    assert (state.source_kw, state.losses_kw) == (0.0, 0.0)
    run = feeder.act(lambda: feeder.solve(kw, kvar), 900.0)
    assert run.actions == ()
    model = feeder.linearise(kw, kvar)
    assert not model.dv.any()
    feeder.apply(event("line-repair", element="l115"))
    assert not np.isnan(feeder.solve(kw, kvar).v_pu).any()


def test_a_stuck_regulator_holds_its_tap_while_the_others_move(feeder):
    kw, kvar = spot(feeder, 0.2)
    feeder.apply(event("regulator-stuck", element="reg4a"))
    before = feeder.positions().taps
    run = feeder.act(lambda: feeder.solve(kw, kvar), 900.0)
    moved = {action.device for action in run.actions}
    assert moved
    assert "reg4a" not in moved
    assert feeder.positions().taps["reg4a"] == before["reg4a"]
    feeder.apply(event("regulator-freed", element="reg4a"))
    run = feeder.act(lambda: feeder.solve(kw, kvar), 900.0)
    assert "reg4a" in {action.device for action in run.actions}


def test_the_source_sags_and_a_load_steps_in(feeder, base):
    kw, kvar = spot(feeder)
    before = feeder.solve(kw, kvar)
    feeder.apply(event("source-voltage", pu=0.98))
    lower = feeder.solve(kw, kvar)
    assert lower.v_pu.max() < before.v_pu.max() - 0.015
    feeder.apply(event("source-voltage", pu=1.0))
    feeder.apply(event("load-step", lam="47", kw=100.0, kvar=30.0))
    loaded = feeder.solve(kw, kvar)
    np.testing.assert_array_equal(loaded.net_kw, kw)
    at = feeder.layout.lams.index("47")
    more, more_kvar = kw.copy(), kvar.copy()
    more[at] += 100.0
    more_kvar[at] += 30.0
    np.testing.assert_allclose(loaded.v_pu, base.solve(more, more_kvar).v_pu, atol=1e-9)
    model = feeder.linearise(kw, kvar)
    np.testing.assert_array_equal(model.net_kw, kw)
    assert model.p0_kw == pytest.approx(loaded.source_kw)
    feeder.apply(event("load-step", lam="47"))
    np.testing.assert_allclose(feeder.solve(kw, kvar).v_pu, before.v_pu, atol=1e-9)


def test_what_the_description_has_open_is_asked_once_for_all_intervals(feeder, base, monkeypatch):
    kw, kvar = spot(feeder)
    asked, closing = [], base.closing
    monkeypatch.setattr(base, "closing", lambda name: asked.append(name) or closing(name))
    feeder.solve(kw, kvar)
    positions = [feeder.record((kw, kvar), (kw, kvar)).positions for _ in range(3)]
    assert positions[0] == positions[2]
    assert positions[0]["switch.sw7"] == "open"
    assert positions[0]["switch.sw1"] == "closed"
    assert sorted(asked) == sorted(feeder.layout.switches)


def test_circuits_that_were_left_are_let_go_of(base):
    """A co-simulation moves the source in every interval, and each circuit is megabytes."""
    feeder, left = FeederUnderEvents(base), []
    kw, kvar = spot(feeder)
    for source_pu in (1.01, 1.02, 0.99):
        feeder.stand_at(Boundary(source_pu=source_pu))
        left.append(feeder._now)
        model = feeder.linearise(kw, kvar)
    assert [each._dss.Basic.NumCircuits() for each in left] == [0, 0, 1]
    feeder.stand_at(Boundary())
    assert base._dss.Basic.NumCircuits() == 1
    np.testing.assert_array_equal(feeder.solve(kw, kvar).v_pu, base.solve(kw, kvar).v_pu)
    assert np.isfinite(model.dv).all()


def test_a_boundary_stands_over_events_and_beside_their_loads(feeder, base):
    kw, kvar = spot(feeder)
    before, at = feeder.solve(kw, kvar), feeder.layout.lams.index("47")
    feeder.apply(event("load-step", lam="47", kw=40.0, kvar=10.0))
    more_kw, more_kvar = np.zeros_like(kw), np.zeros_like(kw)
    more_kw[at], more_kvar[at] = 60.0, 20.0
    load = Boundary(load_kw=tuple(more_kw), load_kvar=tuple(more_kvar))
    feeder.stand_at(load)
    np.testing.assert_array_equal(feeder.outside()[0][at], 100.0)
    expected = base.solve(kw + more_kw / 0.6, kvar + 1.5 * more_kvar)
    np.testing.assert_allclose(feeder.solve(kw, kvar).v_pu, expected.v_pu, atol=1e-9)
    feeder.apply(event("load-step", lam="47"))
    feeder.stand_at(Boundary(source_pu=0.98))
    feeder.apply(event("source-voltage", pu=1.03))
    assert feeder.record((kw, kvar), (kw, kvar)).changes[-1] == "edit vsource.source pu=0.98"
    low = feeder.solve(kw, kvar).v_pu
    feeder.apply(event("source-restored"))
    np.testing.assert_allclose(feeder.solve(kw, kvar).v_pu, low, atol=1e-9)
    assert low.max() < before.v_pu.max() - 0.015
    feeder.stand_at(FREE)
    np.testing.assert_allclose(feeder.solve(kw, kvar).v_pu, before.v_pu, atol=1e-9)


def test_a_capacitor_goes_and_comes_with_its_kvar(feeder):
    kw, kvar = spot(feeder)
    with_it = feeder.solve(kw, kvar).source_kvar
    assert feeder.apply(event("capacitor-off", element="C83")) == "capacitor c83 is off"
    assert feeder.solve(kw, kvar).source_kvar - with_it == pytest.approx(600.0, rel=0.2)
    feeder.apply(event("capacitor-on", element="c83"))
    assert feeder.solve(kw, kvar).source_kvar == pytest.approx(with_it, abs=1e-6)


def test_a_regulator_is_put_at_a_tap_and_refuses_one_that_it_has_not(feeder):
    kw, kvar = spot(feeder)
    before, tap = feeder.solve(kw, kvar), feeder.positions().taps["reg4a"]
    told = feeder.apply(event("regulator-tap", element="reg4a", tap=2))
    assert told == f"regulator reg4a is put from tap {tap} to tap 2"
    assert feeder.positions().taps["reg4a"] == 2
    fell = before.v_pu - feeder.solve(kw, kvar).v_pu
    assert fell[feeder.layout.nodes.index("83.1")] == pytest.approx((tap - 2) * 0.00625, rel=0.15)
    with pytest.raises(FeederError, match="'reg4a' has no tap 99"):
        feeder.apply(event("regulator-tap", element="reg4a", tap=99))
    assert feeder.positions().taps["reg4a"] == 2


def test_a_transformer_fails_and_a_fault_opens_its_line(feeder):
    kw, kvar = spot(feeder)
    told = feeder.apply(event("transformer-outage", element="reg4a"))
    assert told.startswith("transformer reg4a is out; no source feeds 14 LAMs: 68, 69, ")
    assert np.isnan(feeder.solve(kw, kvar).v_pu[feeder.layout.nodes.index("83.1")])
    feeder.act(lambda: feeder.solve(kw, kvar), 900.0)
    told = feeder.apply(event("transformer-repair", element="reg4a"))
    assert told.startswith("transformer reg4a is in service; 14 LAMs are fed again: ")
    told = feeder.apply(event("fault", element="l67"))
    assert told.startswith(
        "a fault on line l67 draws 5,275 A; cleared: line l67 is out; no source feeds 19 LAMs"
    )


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kind": "line-outage", "element": "l15x"}, "no line or switch 'l15x'; did you mean 'l15'?"),
        ({"kind": "regulator-stuck", "element": "reg9"}, "no regulator 'reg9'; did you mean 'reg"),
        ({"kind": "transformer-outage", "element": "reg4x"}, "no transformer 'reg4x'; did you mean 'reg4"),
        ({"kind": "capacitor-off", "element": "c84"}, "no capacitor 'c84'; did you mean 'c83'?"),
        ({"kind": "fault", "element": "l15x"}, "no line or switch 'l15x'; did you mean 'l15'?"),
        ({"kind": "load-step", "lam": "nowhere"}, "no LAM 'nowhere'; known are 1, 2, 4, 5, 6, 7, 9, 10, ..."),
    ],
)
def test_an_event_at_something_unknown_is_refused_before_the_run(base, wrong, text):
    timeline = timeline_of(Run())
    good = Event(at="14:30", kind="switch-open", element="SW4")
    assert schedule((good, good), base.layout, timeline) == {58: (good, good)}
    with pytest.raises(ScenarioError) as error:
        schedule((good, Event(at=3, **wrong)), base.layout, timeline)
    assert str(error.value).startswith("events, entry 2: ")
    assert text in str(error.value)


def test_what_lasts_for_minutes_ends_by_itself(base):
    timeline = timeline_of(Run())
    due = schedule(
        (
            Event(at=3, kind="fault", element="l67", for_min=20),
            Event(at=4, kind="load-step", lam="47", kw=9.0, for_min=15),
            Event(at=5, kind="source-voltage", pu=1.02, for_min=1),
        ),
        base.layout,
        timeline,
    )
    assert [(tick, [each.kind for each in events]) for tick, events in sorted(due.items())] == [
        (3, ["fault"]),
        (4, ["load-step"]),
        (5, ["line-repair", "load-step", "source-voltage"]),
        (6, ["source-restored"]),
    ]
    assert due[5][1] == Event(at=5, kind="load-step", lam="47")
