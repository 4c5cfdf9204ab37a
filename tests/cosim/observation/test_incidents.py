"""What people are told of a run: each kind of thing once in an interval, devices by name."""

import pytest

from broker.messages import Availability, Done, Rejected, Settled, Step, Stopped, Telemetry
from cosim.observation.incidents import MOST_KEPT, Incidents

HEADER = {"run": "r", "seq": 0}


def step(tick, name="measure"):
    return Step(**HEADER, tick=tick, sender="clock", step=name, opened=0.0, deadline=1.0, interval_s=900.0)


def done(tick, *flags, sender="wam"):
    return Done(**HEADER, tick=tick, sender=sender, step="clear", flags=list(flags))


def reading(tick, quality, checks=()):
    values = dict.fromkeys(("p_kw", "q_kvar", "v_pu", "import_kwh", "export_kwh"))
    values |= {"phase": "measure", "quality": quality, "checks": list(checks)}
    return Telemetry(**HEADER, tick=tick, sender="gateway-0", **values)


def settled(tick, *flags):
    names = ("import_price", "export_price", "retail_price", "feed_in_price", "bought_kwh", "traded_lam_kwh")
    more = ("traded_wam_kwh", "imbalance_kwh", "grid_scheduled_kw", "grid_actual_kw")
    absent = ("made_kwh", "saving_usd", "cost_market", "cost_no_sharing", "cost_optimum", "efficiency")
    return Settled(
        **HEADER,
        tick=tick,
        sender="recorder",
        **dict.fromkeys(names + more, 0.0),
        **dict.fromkeys(absent),
        certified=None,
        entries=0,
        money=[],
        flags=list(flags),
    )


@pytest.fixture
def heard():
    said = []
    incidents = Incidents(lambda each: said.append(each.line))

    def take(*messages, party=""):
        for message in messages:
            incidents.take(message, party)
        return said

    take.incidents = incidents
    return take


def test_alike_flags_of_an_interval_are_said_once_and_counted(heard):
    said = heard(step(3), done(3, "bid of p00001 is missing", "bid of p00002 is missing", "held at 4.5 kW"))
    assert said == ["bid of p00001 is missing", "held at 4.5 kW"]
    counts = {each.text: each.count for each in heard.incidents.latest}
    assert counts == {"bid of p00001 is missing": 2, "held at 4.5 kW": 1}
    assert heard(step(4), done(4, "bid of p00001 is missing"))[2:] == ["bid of p00001 is missing"]


def test_a_flag_that_the_recorder_repeats_is_not_counted_twice(heard):
    heard(step(3), done(3, "x is missing"), settled(3, "x is missing", "as metered: line.l is at 120 %"))
    assert [(each.text, each.count) for each in heard.incidents.latest] == [
        ("as metered: line.l is at 120 %", 1),
        ("x is missing", 1),
    ]


def test_what_hardware_does_wrong_is_an_alarm_and_its_end_a_note(heard):
    heard(step(3), done(3, "alarm: pv of lab shows 6 kW", "over: pv of lab shows 0 kW", "set-point not kept"))
    weights = {each.text.partition(" ")[0]: each.weight for each in heard.incidents.latest}
    assert weights == {"alarm:": "alarm", "over:": "note", "set-point": "warning"}


def test_devices_that_do_not_answer_are_named_once_until_they_answer_again(heard):
    heard(step(1))
    for name in ("mill", "farm"):
        heard(reading(1, "held"), party=name)
    (incident,) = heard.incidents.latest
    assert incident.line == "mill, farm do not answer"
    assert incident.weight == "alarm"
    heard(step(2))
    heard(reading(2, "missing"), party="mill")
    assert len(heard.incidents.latest) == 1
    heard(reading(2, "good"), party="mill")
    assert heard.incidents.latest[0].line == "mill answers again"
    heard(reading(2, "suspect", ["energy"]), party="mill")
    assert heard.incidents.latest[0].line == "mill: reading is suspect (energy)"


def test_a_meter_that_answers_without_a_reading_is_not_said_to_be_silent(heard):
    heard(step(1))
    for name in ("mill", "farm"):
        heard(reading(1, "held", ["incomplete"]), party=name)
    (incident,) = heard.incidents.latest
    assert (incident.line, incident.weight) == ("mill, farm answer without a reading", "alarm")


def test_a_service_that_goes_offline_is_an_alarm_and_its_return_a_note(heard):
    there, gone = (
        Availability(**HEADER, tick=-1, sender="feeder", online=online) for online in (True, False)
    )
    assert heard(there, gone, gone, there) == ["feeder went offline", "feeder is back"]
    assert [each.weight for each in heard.incidents.latest] == ["note", "alarm"]


def test_refusals_and_stops_are_told(heard):
    heard(step(1), Rejected(**HEADER, tick=1, sender="wam", topic="a/b", reason="too many bytes"))
    stop = {"by": "operator-1", "reason": "smoke", "devices": 3, "observed": 1, "failed": []}
    heard(Stopped(**HEADER, tick=1, sender="gateway-0", safe=2, **stop))
    heard(Stopped(**HEADER, tick=1, sender="gateway-0", safe=2, is_update=True, **stop))
    assert [each.text for each in heard.incidents.latest] == [
        "emergency stop by operator-1 (smoke): 2 of 2 devices are safe",
        "refused a/b: too many bytes",
    ]


def test_no_more_than_a_number_of_them_is_kept(heard):
    words = ("one", "two", "three", "four", "five")
    for tick in range(MOST_KEPT):
        heard(step(tick), done(tick, *words))
    assert len(heard.incidents.latest) == MOST_KEPT
    assert heard.incidents.total == MOST_KEPT * len(words)
    assert heard.incidents.latest[0].tick == MOST_KEPT - 1
