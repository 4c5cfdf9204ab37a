"""What simulations have found, each in the smallest form that shows it."""

from functools import cache

import pytest
from msgspec.json import decode

from broker.messages import Step
from tests.simulation.outcome import simulate
from tests.simulation.plan import Accident, Plan, Weather, calm
from tests.simulation.simulation import played

CURVE, SLOPE, STAND_IN = ("curve", "wait", 4), ("slope", "wait", 4), ("curve", "stand-in", 4)


def plan_with(*accidents, variant=CURVE, torn_write=None):
    return Plan(7, *variant, Weather(), accidents, torn_write)


@cache
def opened(variant):
    """Number of the message that opens each step of each tick where nothing happens."""
    with played(calm(variant)) as simulation:
        return simulation.opened


def losing(count, is_meant):
    """Loses the first messages that are meant: by receiver, topic and body."""
    left = [count]

    def loses(name, topic, payload):
        is_lost = left[0] > 0 and is_meant(name, topic, payload)
        left[0] -= is_lost
        return is_lost

    loses.left = left
    return loses


@pytest.mark.parametrize("variant", [CURVE, SLOPE])
def test_a_market_that_dies_before_it_has_told_what_it_remembers_changes_no_bit(variant):
    """No interval is booked without everybody's memory, or the next one would begin from an older one."""
    numbers = opened(variant)
    for number in range(numbers["meter", 1], numbers["settle", 1] + 2, 3):
        outcome = simulate(plan_with(Accident("kill", "market", number, 3.0), variant=variant))
        assert (outcome.wrong, outcome.differs) == ([], [])
        assert outcome.flags


@pytest.mark.parametrize("step", ["measure", "bid", "clear", "act", "settle"])
def test_a_computer_that_slept_changes_no_bit(step):
    """Deadlines are past when it wakes, and gates would close on who has not had the time to answer."""
    outcome = simulate(plan_with(Accident("sleep", "", opened(CURVE)[step, 1] + 1, 36_000.0)))
    assert (outcome.wrong, outcome.differs) == ([], [])
    assert outcome.flags


def test_a_computer_that_slept_where_the_others_stand_in_is_told_of():
    number = opened(STAND_IN)["clear", 1]
    outcome = simulate(plan_with(Accident("sleep", "", number, 36_000.0), variant=STAND_IN))
    assert outcome.wrong == []
    assert any("slept for 36000 s" in text for texts in outcome.flags.values() for text in texts)


def test_a_control_that_dies_behind_the_last_interval_ends_the_run_when_it_is_back():
    """Roles elsewhere have ended by then, and nobody is missed."""
    end = opened(CURVE)["end", 4]
    outcome = simulate(plan_with(Accident("kill", "control", end + 9, 5.0)))
    assert (outcome.wrong, outcome.differs) == ([], [])


def test_a_role_that_comes_back_in_the_last_interval_ends_with_the_run():
    number = opened(STAND_IN)["dispatch", 3]
    outcome = simulate(plan_with(Accident("kill", "feeder", number, 3.0), variant=STAND_IN))
    assert outcome.wrong == []
    assert outcome.flags[3]


def test_an_interval_has_its_row_although_the_recorder_missed_the_next_ones_beginning():
    loses = losing(
        1, lambda name, topic, payload: name == "recorder" and is_step(topic, payload, "measure", 1)
    )
    outcome = simulate(plan_with(), loses)
    assert loses.left == [0]
    assert (outcome.wrong, outcome.differs) == ([], [])


def test_a_reading_that_only_the_recorder_missed_is_asked_for_again():
    loses = losing(1, lambda name, topic, _: name == "recorder" and "/telemetry/measure/" in topic)
    outcome = simulate(plan_with(), loses)
    assert loses.left == [0]
    assert (outcome.wrong, outcome.differs) == ([], [])


def test_a_service_whose_availability_the_clock_missed_is_known_by_its_signs_of_life():
    number = opened(CURVE)["bid", 1]
    loses = losing(1, lambda name, topic, body: is_online(name, topic, body) and b"feeder" in body)
    outcome = simulate(plan_with(Accident("kill", "feeder", number, 3.0)), loses)
    assert loses.left == [0]
    assert (outcome.wrong, outcome.differs) == ([], [])


def test_a_role_that_misses_the_end_is_told_again():
    loses = losing(1, lambda name, topic, payload: name == "feeder" and is_step(topic, payload, "end", 4))
    outcome = simulate(plan_with(), loses)
    assert loses.left == [0]
    assert outcome.wrong == []


def test_a_stop_stands_at_devices_that_went_back_to_before_it():
    stop = Accident("stop", "", opened(CURVE)["measure", 1] + 2, 0.0)
    back = Accident("kill", "control", opened(CURVE)["dispatch", 1], 0.5)
    assert simulate(plan_with(stop, back)).wrong == []


def is_step(topic, payload, step, tick):
    if not topic.endswith("/clock/step"):
        return False
    told = decode(payload, type=Step)
    return (told.step, told.tick) == (step, tick)


def is_online(name, topic, payload):
    return name == "clock" and "/availability/" in topic and b'"online":true' in payload
