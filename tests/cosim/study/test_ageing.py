"""Ageing by IEEE C57.91: the standard's own factors, and limits that can be worked out by hand."""

import numpy as np
import pytest

from cosim.study.ageing import NORMAL_LIFE_H, Thermal, age, ageing_factor, hottest_spot_c


def test_factors_are_those_of_the_standard():
    # Table of ageing acceleration factors, 65 degC rise.
    spot_c = np.array([80.0, 98.0, 110.0, 120.0, 130.0, 140.0])
    np.testing.assert_allclose(ageing_factor(spot_c), [0.0358, 0.282, 1.0, 2.71, 6.98, 17.2], rtol=6e-3)


def test_rated_load_at_30_degrees_lives_its_normal_life():
    loading = np.ones((48, 2))
    aged = age(loading, np.full(48, 30.0), 1.0, Thermal())
    np.testing.assert_allclose(aged.hottest_c, 110.0)
    np.testing.assert_allclose(aged.equivalent_factor, 1.0)
    np.testing.assert_allclose(aged.life_lost_pct, 100.0 * 48.0 / NORMAL_LIFE_H)


def test_oil_follows_a_step_of_load_with_its_time_constant():
    thermal = Thermal(oil_time_h=3.0, spot_rise_c=0.0)
    loading = np.array([0.0, *[1.0] * 3])[:, None]
    spot_c = hottest_spot_c(loading, np.zeros(4), 1.0, thermal)[:, 0]
    cold_c = 55.0 * (1.0 / 6.0) ** 0.8
    assert spot_c[0] == pytest.approx(cold_c)
    # One time constant after the step, 63 % of it are done.
    assert spot_c[3] == pytest.approx(55.0 + (cold_c - 55.0) * np.exp(-1.0))


def test_the_winding_is_hotter_with_load_by_its_exponent():
    rises = hottest_spot_c(np.array([[0.5, 1.0, 1.5]]), np.zeros(1), 1.0, Thermal(oil_rise_c=0.0))
    np.testing.assert_allclose(rises[0], 25.0 * np.array([0.5, 1.0, 1.5]) ** 1.6)
