import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.physics.inverter import curtail, ramp

POWER = st.floats(-20.0, 20.0)
RATE = st.floats(1e-3, 50.0)
TIME = st.floats(0.0, 900.0)


def test_ramp_by_hand():
    motion = ramp([0.0], [4.0], [0.5], 10.0)
    assert motion.end_kw == pytest.approx([4.0])
    assert motion.net_kws == pytest.approx([0.5 * 8.0 * 4.0 + 2.0 * 4.0])


def test_ramp_that_does_not_get_there():
    motion = ramp([1.0], [-9.0], [0.1], 20.0)
    assert motion.end_kw == pytest.approx([-1.0])
    assert motion.up_kws == pytest.approx([5.0])
    assert motion.down_kws == pytest.approx([-5.0])


def test_unlimited_ramp_moves_at_once_and_never_in_no_time():
    assert ramp([0.0], [3.0], [np.inf], 10.0).net_kws == pytest.approx([30.0])
    assert ramp([0.0], [3.0], [np.inf], 0.0).end_kw == pytest.approx([0.0])


@given(POWER, POWER, RATE, TIME)
def test_ramp_agrees_with_small_steps(start, target, rate, dt):
    motion = ramp([start], [target], [rate], dt)
    times = (np.arange(20_000) + 0.5) * dt / 20_000
    power = start + np.clip(target - start, -rate * times, rate * times)
    assert motion.up_kws[0] == pytest.approx(np.maximum(power, 0).mean() * dt, rel=1e-4, abs=1e-2)
    assert motion.down_kws[0] == pytest.approx(np.minimum(power, 0).mean() * dt, rel=1e-4, abs=1e-2)
    assert motion.end_kw[0] == pytest.approx(start + np.clip(target - start, -rate * dt, rate * dt), abs=1e-9)


@given(POWER, POWER, RATE, TIME, st.floats(0.0, 1.0))
def test_ramp_may_be_cut_anywhere(start, target, rate, dt, share):
    whole = ramp([start], [target], [rate], dt)
    first = ramp([start], [target], [rate], share * dt)
    rest = ramp(first.end_kw, [target], [rate], dt - share * dt)
    assert first.net_kws + rest.net_kws == pytest.approx(whole.net_kws, rel=1e-9, abs=1e-6)
    assert rest.end_kw == pytest.approx(whole.end_kw, abs=1e-9)


def test_curtailment_follows_the_lower_of_sun_and_limit():
    motion = curtail([5.0, 1.0, 5.0], [5.0, 5.0, 2.0], [2.0, np.inf, 4.0], [1.0, 1.0, 1.0], 100.0)
    assert motion.end_kw == pytest.approx([2.0, 5.0, 2.0])


def test_loss_of_sun_acts_at_once():
    assert curtail([5.0], [1.0], [np.inf], [0.01], 10.0).net_kws == pytest.approx([10.0])


def test_all_devices_at_once_are_each_device_alone():
    rng = np.random.default_rng(7)
    start, sun, limit = rng.uniform(0, 5, (3, 50))
    together = curtail(start, sun, limit, np.full(50, 0.2), 30.0)
    alone = [
        curtail([a], [b], [c], [0.2], 30.0).net_kws[0] for a, b, c in zip(start, sun, limit, strict=True)
    ]
    assert together.net_kws == pytest.approx(alone)
