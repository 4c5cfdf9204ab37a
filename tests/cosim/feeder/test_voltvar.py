"""Volt-var droops: the curve, its fixed point on IEEE 123 with much PV, and the model that follows it."""

import numpy as np
import pytest

from cosim.feeder.circuit import PowerFlowError
from cosim.feeder.opendss import Feeder
from cosim.feeder.voltvar import Droop, seen_by_lams, solve_with_droop, with_droop


@pytest.fixture(scope="module")
def feeder():
    return Feeder()


def droop_of(feeder, scale):
    layout = feeder.layout
    seen = seen_by_lams(layout.lam_nodes, len(layout.nodes))
    return Droop(0.44 * scale * layout.spot_kw, seen)


def test_the_category_b_curve_injects_at_low_and_absorbs_at_high_voltage():
    droop = Droop(np.full(7, 44.0), seen_by_lams(tuple((i,) for i in range(7)), 7))
    volts = np.array([0.90, 0.92, 0.95, 0.98, 1.02, 1.05, 1.10])
    np.testing.assert_allclose(droop.answer_kvar(volts), [-44, -44, -22, 0, 0, 22, 44], atol=1e-12)
    # Corners are rounded: half the slope.
    np.testing.assert_allclose(
        droop.slope(volts), np.array([0, 0.5, 1, 0.5, 0.5, 1, 0]) * 44 / 0.06, rtol=1e-9
    )


def test_a_lam_without_voltage_asks_for_nothing():
    droop = Droop(np.array([10.0, 10.0]), seen_by_lams(((0, 1), (2,)), 3))
    volts = droop.lam_v_pu(np.array([np.nan, np.nan, 1.08]))
    np.testing.assert_array_equal(volts, [1.0, 1.08])
    np.testing.assert_allclose(droop.answer_kvar(volts), [0.0, 10.0])


@pytest.mark.parametrize("scale", [1.0, 3.0, 10.0], ids=["PV as load", "three times", "ten times"])
@pytest.mark.parametrize("export", [0.7, 2.7])
def test_droops_settle_on_a_feeder_full_of_pv_and_lower_its_voltage(feeder, scale, export):
    layout, droop = feeder.layout, droop_of(feeder, scale)
    net_kw, load_kvar = -export * layout.spot_kw, 0.3 * layout.spot_kw * layout.tan_phi
    without = feeder.solve(net_kw, load_kvar)
    solved = []

    def solve(kw, kvar):
        solved.append(kvar)
        return feeder.solve(kw, kvar)

    state, kvar = solve_with_droop(solve, droop, net_kw, load_kvar)
    wanted = droop.answer_kvar(droop.seen @ state.v_pu)
    np.testing.assert_allclose(kvar, wanted, atol=1e-7 * droop.limit_kvar.max())
    assert state.v_pu.max() < without.v_pu.max() - 0.01
    assert len(solved) < 40
    again, kvar_again = solve_with_droop(feeder.solve, droop, net_kw, load_kvar)
    np.testing.assert_array_equal(kvar_again, kvar)
    np.testing.assert_array_equal(again.v_pu, state.v_pu)


def test_plain_iteration_would_swing_where_the_damped_one_settles(feeder):
    layout, droop = feeder.layout, droop_of(feeder, 3.0)
    net_kw, load_kvar = -2.7 * layout.spot_kw, 0.3 * layout.spot_kw * layout.tan_phi
    kvar, misses = np.zeros_like(net_kw), []
    try:
        for _ in range(8):
            state = feeder.solve(net_kw, load_kvar + kvar)
            wanted = droop.answer_kvar(droop.seen @ state.v_pu)
            misses.append(np.abs(wanted - kvar).max())
            kvar = wanted
    except PowerFlowError:
        misses.append(np.inf)
    assert misses[-1] > 0.1 * misses[0]
    solve_with_droop(feeder.solve, droop, net_kw, load_kvar)


def test_the_model_follows_the_droop(feeder):
    layout, droop = feeder.layout, droop_of(feeder, 1.0)
    net_kw, load_kvar = -0.7 * layout.spot_kw, 0.3 * layout.spot_kw * layout.tan_phi
    state, kvar = solve_with_droop(feeder.solve, droop, net_kw, load_kvar)
    held = feeder.linearise(net_kw, load_kvar + kvar)
    model = with_droop(held, droop)
    step = np.random.default_rng(3).normal(size=len(net_kw)) * 0.2
    up, _ = solve_with_droop(feeder.solve, droop, net_kw + step, load_kvar)
    down, _ = solve_with_droop(feeder.solve, droop, net_kw - step, load_kvar)
    dv = (up.v_pu - down.v_pu) / 2
    assert np.abs(dv).max() > 1e-6
    np.testing.assert_allclose(model.dv @ step, dv, atol=2e-3 * np.abs(dv).max())
    assert np.abs(held.dv @ step - dv).max() > 0.05 * np.abs(dv).max()
    np.testing.assert_allclose(model.dp0 @ step, (up.source_kw - down.source_kw) / 2, rtol=2e-3, atol=1e-4)
    q_step = np.zeros_like(step)
    q_step[5] = 0.5
    up, _ = solve_with_droop(feeder.solve, droop, net_kw, load_kvar + q_step)
    down, _ = solve_with_droop(feeder.solve, droop, net_kw, load_kvar - q_step)
    dv = (up.v_pu - down.v_pu) / 2
    np.testing.assert_allclose(model.dv_kvar @ q_step, dv, atol=2e-3 * np.abs(dv).max())
    assert state.v_pu.max() > 1.02
