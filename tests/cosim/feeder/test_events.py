"""Events that operators ask for while a run goes on, beside those of the scenario."""

import msgspec
import pytest

from broker.snapshot import pack, unpack
from cosim.feeder.boundary import Boundary
from cosim.feeder.events import EventSchedule
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.settings import Event, event_of
from tests.cosim.feeder.test_operation import rules_for


@pytest.fixture(scope="module")
def feeder():
    return Feeder()


def test_what_is_asked_for_happens_after_the_scenarios_and_ends_in_time(feeder):
    fixed = Event(at=2, kind="source-restored")
    schedule = EventSchedule({2: (fixed,)}, interval_min=15.0)
    asked = event_of({"kind": "line-outage", "element": "l100", "for_min": 20.0})
    assert schedule.ask(2, [asked], feeder.layout) == []
    assert schedule.at(2) == (fixed, asked)
    assert [event.kind for event in schedule.at(4)] == ["line-repair"]
    assert schedule.until(3) == [2]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "line-outage", "element": "l1000"}, "no line or switch 'l1000'"),
        ({"kind": "load-step", "lam": "mars", "kw": 5.0}, "no LAM 'mars'"),
        ({"kind": "regulator-tap", "element": "creg9", "tap": 3}, "no regulator 'creg9'"),
    ],
)
def test_what_the_feeder_does_not_have_is_said(feeder, fields, said):
    schedule = EventSchedule({}, interval_min=15.0)
    (refused,) = schedule.ask(0, [event_of(fields)], feeder.layout)
    assert said in refused
    assert schedule.at(0) == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "line-outage"}, "needs element"),
        ({"kind": "earthquake", "element": "l1"}, "earthquake"),
        ({"kind": "line-outage", "element": "l1", "for_min": -5.0}, "for_min"),
        ({"kind": "line-repair", "element": "l1", "for_min": 5.0}, "lasts until another event"),
        ({"kind": "source-voltage", "pu": 3.0}, "pu"),
        ({"kind": "source-voltage", "pu": 0.98, "element": "l1"}, "does not use it"),
    ],
)
def test_what_is_no_event_is_refused_with_the_reason(fields, said):
    with pytest.raises(ValueError, match=said):
        event_of(fields)


def test_what_was_asked_for_outlives_a_restart(feeder):
    rules = rules_for(feeder)
    before = Operation(rules)
    outage = event_of({"kind": "line-outage", "element": "l100", "for_min": 45.0})
    lower = Boundary(source_pu=0.99, load_kw=(1.0,) * len(feeder.layout.lams))
    happened, unserved = before.open(feeder, 1, [outage], lower)
    assert "line l100 is out" in happened[0]
    assert unserved
    kept = before.memory(feeder, 1)
    asked = unpack(pack({"asked": msgspec.to_builtins(kept.asked)}))["asked"]
    assert msgspec.convert(asked, dict[int, tuple[Event, ...]]) == kept.asked
    after = Operation(rules)
    fresh = Feeder()
    assert after.resume(fresh, kept) == unserved
    assert after.memory(fresh, 1) == kept
    assert after.outside(fresh)[0].sum() == len(feeder.layout.lams)
    happened, dark = after.open(fresh, 4)
    assert "line l100 is in service" in happened[0]
    assert dark == []
