"""Anderson's extrapolation: on iterations with known ends, and in power flows that converge slowly."""

import numpy as np
import pytest

from cosim.feeder.circuit import PowerFlowError
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow import solver
from cosim.feeder.powerflow.extrapolation import Extrapolation


def test_it_finds_the_end_of_a_slow_iteration_in_few_steps():
    """Currents that answer to the conjugate of voltages, as those of constant power do."""
    rng = np.random.default_rng(3)
    size, pace = 40, 0.97
    towards = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    unitary, _ = np.linalg.qr(towards)
    paces = np.where(np.arange(size) < 3, pace, 0.05)
    matrix = unitary @ np.diag(paces) @ unitary.T
    end = rng.normal(size=size) + 1j * rng.normal(size=size)

    def once(at):
        return end + matrix @ np.conj(at - end)

    at, far = np.zeros(size, dtype=np.complex128), []
    heading = Extrapolation(at, size)
    for _ in range(25):
        answer = once(at)
        far.append(np.abs(answer - at).max())
        heading.step(answer, answer - at)
        at = answer
    np.testing.assert_allclose(at, end, rtol=0, atol=1e-9)
    assert pace ** len(far) > 0.4


@pytest.fixture(scope="module")
def feeder():
    return Feeder()


@pytest.fixture(scope="module")
def plain():
    """States of power flows that are never extrapolated, by the part of the loads."""

    def solve(feeder, share):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(solver, "_SLOW", np.inf)
            return at(feeder, share)

    return solve


def at(feeder, share):
    spot_kw = feeder.layout.spot_kw
    return feeder.solve(share * spot_kw, share * spot_kw * feeder.layout.tan_phi)


@pytest.mark.parametrize("share", [-6.0, -5.0, 2.0, 2.1])
def test_a_slow_power_flow_ends_in_the_same_state_after_fewer_iterations(feeder, plain, share):
    before = plain(Feeder(), share)
    state = at(feeder, share)
    assert state.iterations <= 20 < before.iterations
    np.testing.assert_allclose(state.v_pu, before.v_pu, rtol=0, atol=2e-9)
    np.testing.assert_allclose(state.current_a, before.current_a, rtol=0, atol=1e-4)
    assert state.source_kw == pytest.approx(before.source_kw, abs=1e-5)


def test_one_that_converges_soon_keeps_its_bits(feeder, plain):
    before = plain(Feeder(), 0.7)
    state = at(feeder, 0.7)
    assert state.iterations == before.iterations
    assert state.v_pu.tolist() == before.v_pu.tolist()


@pytest.mark.parametrize("share", [2.8, 3.2])
def test_low_voltages_are_those_of_an_iteration_that_is_not_extrapolated(feeder, plain, share):
    """Near what the feeder carries at most there are others at which it would not stay."""
    before = plain(Feeder(), share)
    state = at(feeder, share)
    assert state.v_pu.tolist() == before.v_pu.tolist()
    assert state.v_pu.min() < 0.8


def test_beyond_what_the_feeder_carries_there_is_no_power_flow_still(feeder):
    for share in (3.25, 3.4, 4.0):
        with pytest.raises(PowerFlowError, match="did not converge"):
            at(feeder, share)


class Astray(Extrapolation):
    """Leads away from every solution."""

    factor = 1.0

    def step(self, answer, change):
        answer *= self.factor


@pytest.mark.parametrize("factor", [1.05, np.nan])
def test_one_that_leads_nowhere_leaves_the_bits_of_none(plain, monkeypatch, factor):
    before = plain(Feeder(), 2.8)
    feeder = Feeder()
    monkeypatch.setattr(Astray, "factor", factor)
    monkeypatch.setattr(solver, "Extrapolation", Astray)
    state = at(feeder, 2.8)
    assert state.iterations > before.iterations
    assert state.v_pu.tolist() == before.v_pu.tolist()
    assert state.current_a.tolist() == before.current_a.tolist()
