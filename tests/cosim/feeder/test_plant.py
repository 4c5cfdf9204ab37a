"""Events on IEEE 123: what opens, closes, sticks and steps, and what is left without source."""

import numpy as np
import pytest

from cosim.feeder.opendss import Feeder
from cosim.feeder.plant import Plant
from cosim.feeder.schedule import schedule
from cosim.scenario import ScenarioError
from cosim.scenario.network import Event
from cosim.scenario.sections import Run
from cosim.scenario.timeline import timeline_of


@pytest.fixture(scope="module")
def base():
    return Feeder()


@pytest.fixture
def plant(base):
    return Plant(base)


def spot(plant, share=0.8):
    kw = share * plant.layout.spot_kw
    return kw, kw * plant.layout.tan_phi


def event(kind, **keys):
    return Event(at=0, kind=kind, **keys)


def test_without_events_it_is_the_feeder_to_the_bit(plant, base):
    kw, kvar = spot(plant)
    np.testing.assert_array_equal(plant.solve(kw, kvar).v_pu, base.solve(kw, kvar).v_pu)
    np.testing.assert_array_equal(plant.linearise(kw, kvar).dv, base.linearise(kw, kvar).dv)
    assert plant.unserved() == []
    assert plant.fed().all()


def test_an_outage_leaves_lams_without_source_and_a_repair_brings_everything_back(plant, base):
    kw, kvar = spot(plant)
    before = plant.solve(kw, kvar)
    taps = plant.positions()
    told = plant.apply(event("line-outage", element="L67"))
    dark = plant.unserved()
    assert len(dark) == 19
    assert told.startswith("line l67 is out; no source feeds 19 LAMs: 73, 74, ")
    state = plant.solve(kw, kvar)
    assert np.isnan(state.v_pu).sum() == 55
    lost_kw = kw[[plant.layout.lams.index(name) for name in dark]].sum()
    assert state.source_kw - state.losses_kw == pytest.approx(kw.sum() - lost_kw, abs=1e-3)
    np.testing.assert_array_equal(state.net_kw == 0.0, plant.fed() == 0.0)
    place = plant.layout.branches.index("line.l67.1")
    assert state.current_a[place] == 0.0
    assert plant.positions() == taps

    model = plant.linearise(kw, kvar)
    assert not model.dv[:, plant.fed() == 0.0].any()
    assert (model.dp0[plant.fed() == 0.0] == 1.0).all()
    step = np.random.default_rng(0).normal(size=kw.size) * 0.5
    after = plant.solve(kw + step, kvar)
    np.testing.assert_allclose(model.predict_v_pu(kw + step), after.v_pu, atol=1e-6)

    assert plant.apply(event("line-repair", element="l67")) == "line l67 is in service"
    np.testing.assert_allclose(plant.solve(kw, kvar).v_pu, before.v_pu, atol=1e-9)
    assert plant.unserved() == []


def test_a_tie_switch_takes_over_what_an_outage_left(plant):
    kw, kvar = spot(plant, 0.4)
    plant.apply(event("line-outage", element="sw4"))
    assert len(plant.unserved()) == 36
    plant.apply(event("switch-closed", element="sw7"))
    assert plant.unserved() == []
    state = plant.solve(kw, kvar)
    assert not np.isnan(state.v_pu).any()
    assert state.source_kw - state.losses_kw == pytest.approx(kw.sum(), abs=1e-3)


def test_with_the_head_out_nothing_is_fed_and_nothing_fails(plant):
    kw, kvar = spot(plant)
    plant.apply(event("line-outage", element="l115"))
    assert len(plant.unserved()) == 85
    state = plant.solve(kw, kvar)
    assert np.isnan(state.v_pu).all()
    assert (state.source_kw, state.losses_kw) == (0.0, 0.0)
    run = plant.act(lambda: plant.solve(kw, kvar), 900.0)
    assert run.actions == ()
    model = plant.linearise(kw, kvar)
    assert not model.dv.any()
    plant.apply(event("line-repair", element="l115"))
    assert not np.isnan(plant.solve(kw, kvar).v_pu).any()


def test_a_stuck_regulator_holds_its_tap_while_the_others_move(plant):
    kw, kvar = spot(plant, 0.2)
    plant.apply(event("regulator-stuck", element="reg4a"))
    before = plant.positions().taps
    run = plant.act(lambda: plant.solve(kw, kvar), 900.0)
    moved = {action.device for action in run.actions}
    assert moved
    assert "reg4a" not in moved
    assert plant.positions().taps["reg4a"] == before["reg4a"]
    plant.apply(event("regulator-freed", element="reg4a"))
    run = plant.act(lambda: plant.solve(kw, kvar), 900.0)
    assert "reg4a" in {action.device for action in run.actions}


def test_the_source_sags_and_a_load_steps_in(plant, base):
    kw, kvar = spot(plant)
    before = plant.solve(kw, kvar)
    plant.apply(event("source-voltage", pu=0.98))
    lower = plant.solve(kw, kvar)
    assert lower.v_pu.max() < before.v_pu.max() - 0.015
    plant.apply(event("source-voltage", pu=1.0))
    plant.apply(event("load-step", lam="47", kw=100.0, kvar=30.0))
    loaded = plant.solve(kw, kvar)
    np.testing.assert_array_equal(loaded.net_kw, kw)
    at = plant.layout.lams.index("47")
    more, more_kvar = kw.copy(), kvar.copy()
    more[at] += 100.0
    more_kvar[at] += 30.0
    np.testing.assert_allclose(loaded.v_pu, base.solve(more, more_kvar).v_pu, atol=1e-9)
    model = plant.linearise(kw, kvar)
    np.testing.assert_array_equal(model.net_kw, kw)
    assert model.p0_kw == pytest.approx(loaded.source_kw)
    plant.apply(event("load-step", lam="47"))
    np.testing.assert_allclose(plant.solve(kw, kvar).v_pu, before.v_pu, atol=1e-9)


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
