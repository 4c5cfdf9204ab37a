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


@pytest.mark.parametrize("name", ["_until_s", "_is_active"])
def test_a_snapshot_without_what_is_always_there_is_refused(name):
    with pytest.raises(ValueError, match=name):
        state().restore({**state().snapshot(), name: None})
