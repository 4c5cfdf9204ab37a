import math

import pytest

from devices.gateway.set_point_state import SetPointState
from devices.gateway.write_times import WriteTimes


def state():
    return SetPointState(WriteTimes(lambda: 0.0, 1.0), lambda: 0.0)


def test_a_snapshot_brings_back_what_was_in_force():
    first, second = state(), state()
    first.held_kw, first.until_s, first.is_active = 2.5, 60.0, True
    second.restore(first.snapshot())
    assert vars(second)["held_kw"] == 2.5
    assert (second.until_s, second.is_active, second.target_kw) == (60.0, True, None)
    assert state().until_s == math.inf


def test_a_snapshot_forgets_nothing():
    first, second = state(), state()
    other = {bool: True, float: 7.0, type(None): 7.0}
    told = {name: value for name, value in vars(first).items() if not name.startswith("_")}
    for name, value in told.items():
        setattr(first, name, other[type(value)])
    second.restore(first.snapshot())
    assert {name: vars(second)[name] for name in told} == {name: vars(first)[name] for name in told}


@pytest.mark.parametrize("name", ["_until_s", "_is_active"])
def test_a_snapshot_without_what_is_always_there_is_refused(name):
    with pytest.raises(ValueError, match=name):
        state().restore({**state().snapshot(), name: None})
