import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from devices.physics.meter import count_energy, count_reactive, phase_quantities

POWERS = arrays(float, (12, 3), elements=st.floats(-50.0, 50.0))


@given(POWERS)
def test_counters_never_fall_and_their_difference_telescopes(powers):
    counters = np.array([[100.0, 0.0, 3.0], [5.0, 7.0, 0.0]])
    start = counters
    for mean_kw in powers:
        after = count_energy(counters, mean_kw, 0.25)
        assert (after >= counters).all()
        counters = after
    net = (counters - start)[0] - (counters - start)[1]
    assert net == pytest.approx(powers.sum(axis=0) * 0.25, abs=1e-9)


@given(POWERS, POWERS)
def test_reactive_energy_goes_to_one_quadrant(powers, reactive):
    counters = np.zeros((4, 3))
    for mean_kw, mean_kvar in zip(powers, reactive, strict=True):
        after = count_reactive(counters, mean_kw, mean_kvar, 0.5)
        assert ((after - counters > 0.0).sum(axis=0) <= 1).all()
        counters = after
    assert counters[:2].sum(axis=0) - counters[2:].sum(axis=0) == pytest.approx(
        reactive.sum(axis=0) * 0.5, abs=1e-9
    )


def test_quadrants_by_hand():
    counted = count_reactive(np.zeros((4, 4)), [1.0, -1.0, -1.0, 1.0], [2.0, 2.0, -2.0, -2.0], 1.0)
    assert counted == pytest.approx(2.0 * np.eye(4))


def test_single_phase_by_hand():
    phases = phase_quantities([2.3], [0.0], [[1.0, 1.0, 1.0]], np.array([[False, True, False]]), [230.0])
    assert phases.v.tolist() == [[0.0, 230.0, 0.0]]
    assert phases.i_a == pytest.approx(np.array([[0.0, 10.0, 0.0]]))
    assert phases.p_w == pytest.approx(np.array([[0.0, 2300.0, 0.0]]))


def test_power_factor_has_the_sign_of_the_power():
    phases = phase_quantities([-3.0], [4.0], [[1.0] * 3], np.ones((1, 3), dtype=bool), [230.0])
    assert phases.power_factor == pytest.approx(np.full((1, 3), -0.6))
    assert phases.s_va.sum() == pytest.approx(5000.0)


def test_a_dead_feeder_draws_no_current():
    phases = phase_quantities([1.0], [0.0], [[0.0] * 3], np.ones((1, 3), dtype=bool), [230.0])
    assert (phases.i_a == 0.0).all()
