import time

from devices.client.pauses import Pauses


def pause_s(is_paused, most_s=1.0):
    began = time.monotonic()
    while is_paused():
        assert time.monotonic() - began < most_s
        time.sleep(0.002)
    return time.monotonic() - began


def test_a_unit_is_left_alone_for_longer_with_each_silence_until_it_answers():
    pauses = Pauses(0.1)
    assert not pauses.is_unit_paused(1)
    pauses.silent(1)
    first_s = pause_s(lambda: pauses.is_unit_paused(1))
    pauses.silent(1)
    assert pauses.silent_times(1) == 2
    assert pause_s(lambda: pauses.is_unit_paused(1)) > 1.5 * first_s > 0.1
    assert not pauses.is_unit_paused(2)
    pauses.silent(1)
    pauses.answered(1)
    assert pauses.silent_times(1) == 0
    assert not pauses.is_unit_paused(1)


def test_a_link_is_left_alone_once_three_units_in_a_row_fall_silent():
    pauses = Pauses(0.1)
    for unit in (1, 1, 2):
        pauses.silent(unit)
    assert not pauses.is_link_paused
    pauses.answered(3)
    for unit in (4, 5, 6):
        assert not pauses.is_link_paused
        pauses.silent(unit)
    assert 0.05 < pause_s(lambda: pauses.is_link_paused) < 0.5
