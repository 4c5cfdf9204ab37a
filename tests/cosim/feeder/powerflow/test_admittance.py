from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from cosim.feeder.powerflow.admittance import FactorisedState, Network, PowerFlowEquations

SOURCE_V = 2400.0
LINE_OHM = 0.3 + 0.6j
STIFF_OHM = 1e-6


def voltage_at_load(va: complex) -> complex:
    """Upper solution of V = E - Z conj(S / V), in closed form."""
    z = LINE_OHM + STIFF_OHM
    drop = z * np.conj(va)
    # |V|^4 + |V|^2 (2 Re(drop) - E^2) + |drop|^2 = 0
    b = 2 * drop.real - SOURCE_V**2
    square = (-b + np.sqrt(b * b - 4 * abs(drop) ** 2)) / 2
    return np.conj((square + drop) / SOURCE_V) if square > 0 else np.nan


def two_bus() -> Network:
    """Node 1 behind a stiff source, node 2 with the load; node 3 hangs on nothing."""
    line, source = 1 / LINE_OHM, 1 / STIFF_OHM
    y = np.zeros((4, 4), dtype=complex)
    y[1:3, 1:3] = [[source + line, -line], [-line, line]]
    return Network(
        y=sparse.csc_array(y),
        fed=np.array([False, True, True, False]),
        winding_ends=np.array([[2, 0]]),
        monitored=np.array([[2, 0]]),
        neutrals=np.zeros(0, dtype=np.intp),
        branch_rows=sparse.csr_array(np.array([[0, line, -line, 0]])),
        source_nodes=np.array([1]),
        source_rows=sparse.csr_array(np.array([[0, source, 0, 0]])),
    )


def exact_derivatives(va: complex, per_unit: complex):
    v2 = voltage_at_load(va)
    current = np.conj(va / v2)
    volts = np.array([0.0, SOURCE_V - STIFF_OHM * current, v2, 0.0])
    direction = sparse.csc_array(np.array([[per_unit]]))
    return (
        PowerFlowEquations(two_bus())
        .factorised(volts, np.array([-current]), np.array([va]), np.zeros(1))
        .follow(direction)
    )


@pytest.mark.parametrize("va", [150e3 + 70e3j, -150e3 + 0j, 400e3 - 50e3j])
@pytest.mark.parametrize("per_unit", [1e3 + 0j, 1e3j])
def test_derivatives_are_those_of_the_closed_form(va, per_unit):
    found = exact_derivatives(va, per_unit)
    step = 1e-3

    def quantities(amount):
        v = voltage_at_load(va + amount * per_unit)
        i = np.conj((va + amount * per_unit) / v)
        return np.array([abs(v), i.real, i.imag, (SOURCE_V * np.conj(i) - STIFF_OHM * abs(i) ** 2).real])

    slope = (quantities(step) - quantities(-step)) / (2 * step)
    assert voltage_at_load(va) == pytest.approx(
        SOURCE_V - (LINE_OHM + STIFF_OHM) * np.conj(va / voltage_at_load(va))
    )
    result = [found.volts[0, 0], found.current[0, 0].real, found.current[0, 0].imag, found.source_w[0]]
    np.testing.assert_allclose(result, slope, rtol=2e-6, atol=1e-6)


def test_a_load_between_phases_draws_opposite_currents():
    """Two nodes of 2 and 4 S; without present load 8 W across 4 V are 2 A."""
    network = Network(
        y=sparse.csc_array(np.diag([0.0, 2.0, 4.0]).astype(complex)),
        fed=np.array([False, True, True]),
        winding_ends=np.array([[1, 2]]),
        monitored=np.array([[1, 0], [2, 0]]),
        neutrals=np.zeros(0, dtype=np.intp),
        branch_rows=sparse.csr_array((0, 3), dtype=complex),
        source_nodes=np.array([1]),
        source_rows=sparse.csr_array(np.array([[0, 2.0, 0]], dtype=complex)),
    )
    volts = np.array([0.0, 6.0, 2.0], dtype=complex)
    direction = sparse.csc_array(np.array([[8.0 + 0j]]))
    found = (
        PowerFlowEquations(network).factorised(volts, np.zeros(1), np.zeros(1), np.zeros(1)).follow(direction)
    )
    np.testing.assert_allclose(found.volts[:, 0], [-1.0, 0.5])


def test_more_directions_than_fit_one_block_are_those_taken_one_by_one():
    directions = 1e3 * np.exp(1j * np.linspace(0, 6, 70))[None, :]
    equations = PowerFlowEquations(two_bus())
    va = 150e3 + 70e3j
    v2 = voltage_at_load(va)
    current = np.conj(va / v2)
    point = (
        np.array([0.0, SOURCE_V - STIFF_OHM * current, v2, 0.0]),
        np.array([-current]),
        np.array([va]),
        np.zeros(1),
    )
    together = equations.factorised(*point).follow(sparse.csc_array(directions))
    for i in (0, 15, 16, 69):
        alone = equations.factorised(*point).follow(sparse.csc_array(directions[:, i : i + 1]))
        np.testing.assert_allclose(together.volts[:, i], alone.volts[:, 0])
        np.testing.assert_allclose(together.current[:, i], alone.current[:, 0])
        np.testing.assert_allclose(together.source_w[i], alone.source_w[0])


def test_currents_of_windings_that_share_nodes_are_summed_there():
    rng = np.random.default_rng(2)
    nodes, windings, lams = 5, 9, 3
    ends = rng.permuted(np.tile(np.arange(nodes + 1), (windings, 1)), axis=1)[:, :2]
    across = rng.normal(size=windings) + 1j * rng.normal(size=windings)
    incidence = np.zeros((nodes + 1, windings))
    incidence[ends[:, 0], np.arange(windings)] = 1.0
    incidence[ends[:, 1], np.arange(windings)] = -1.0
    va = rng.normal(size=(windings, lams)) * (rng.random((windings, lams)) < 0.6)
    nothing = np.zeros(0)
    state = FactorisedState(
        factors=None,
        ends=ends,
        incidence=sparse.csr_array(incidence[:nodes]),
        drawn=nothing,
        across=across,
        monitored=nothing,
        along=nothing,
        neutrals=nothing,
        branches=sparse.csr_array((0, nodes)),
        source_place=nothing,
        source_a=nothing,
        source_v=nothing,
        sources=sparse.csr_array((0, nodes)),
    )
    given = state.given_a(sparse.csc_array(va + 0j))
    expected = -incidence[:nodes] @ np.conj(va / across[:, None])
    np.testing.assert_allclose(given, np.concatenate([expected.real, expected.imag]), atol=1e-13)


def test_a_network_without_source_is_singular():
    network = replace(two_bus(), y=sparse.csc_array((4, 4), dtype=complex))
    volts = np.array([0.0, SOURCE_V, SOURCE_V, 0.0], dtype=complex)
    with pytest.raises(np.linalg.LinAlgError):
        PowerFlowEquations(network).factorised(volts, np.zeros(1), np.zeros(1), np.zeros(1))
