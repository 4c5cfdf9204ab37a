"""Events on IEEE 123: what opens, closes, sticks and steps, and what is left without source."""

import numpy as np
import pytest

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

    assert feeder.apply(event("line-repair", element="l67")) == "line l67 is in service"
    np.testing.assert_allclose(feeder.solve(kw, kvar).v_pu, before.v_pu, atol=1e-9)
    assert feeder.unserved() == []


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


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"kind": "line-outage", "element": "l15x"}, "no line or switch 'l15x'; did you mean 'l15'?"),
        ({"kind": "regulator-stuck", "element": "reg9"}, "no regulator 'reg9'; did you mean 'reg"),
        ({"kind": "load-step", "lam": "nowhere"}, "no LAM 'nowhere'; known are 1, 2, 4, 5, 6, 7, 9, 10, ..."),
    ],
)
def test_an_event_at_something_unknown_is_refused_before_the_run(base, wrong, text):
    timeline = timeline_of(Run())
    good = Event(at="14:30", kind="switch-open", element="SW4")
    assert schedule((good, good), base.layout, timeline) == {58: (good, good)}
    with pytest.raises(ScenarioError) as error:
        schedule((good, Event(at=3, **wrong)), base.layout, timeline)
    assert str(error.value).startswith("events[1].")
    assert text in str(error.value)
