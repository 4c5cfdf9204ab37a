import numpy as np
import pytest
from scipy import sparse

from cosim.feeder.powerflow.entries import RealEntries

ENDS = np.array([[0, 3], [1, 2], [2, 0], [3, 1], [1, 2]])  # 3 is ground


@pytest.fixture
def y():
    """Admittance of a network of three nodes, two of which share an entry that is given twice."""
    rng = np.random.default_rng(3)
    at = np.array([0, 1, 2, 0, 1, 1, 2, 0]), np.array([0, 1, 2, 1, 0, 2, 1, 1])
    return sparse.coo_array((rng.normal(size=(2, 8)).T @ [1, 1j], at), shape=(3, 3))


def test_the_real_equations_are_the_complex_ones(y):
    rng = np.random.default_rng(4)
    a, b, dv = (rng.normal(size=(2, count)).T @ [1, 1j] for count in (5, 5, 3))
    entries = RealEntries(y, ENDS)
    indices, pointers = entries.pattern._indices, entries.pattern._pointers
    data = entries.of_network(y.data) + entries.of_loads(a, b)
    matrix = sparse.csc_array((data, indices, pointers), shape=(6, 6))
    incidence = np.zeros((4, 5))
    incidence[ENDS[:, 0], np.arange(5)] += 1.0
    incidence[ENDS[:, 1], np.arange(5)] -= 1.0
    c = incidence[:3]
    right = y @ dv + c @ (a * (c.T @ dv)) - c @ (b * (c.T @ dv.conj()))
    found = matrix @ np.concatenate([dv.real, dv.imag])
    np.testing.assert_allclose(found[:3] + 1j * found[3:], right, atol=1e-13)


def test_entries_are_those_of_other_values_at_the_same_places(y):
    entries = RealEntries(y, ENDS)
    assert entries.are_of(sparse.coo_array((2.0 * y.data, (y.row, y.col)), shape=(3, 3)), ENDS.copy())
    assert not entries.are_of(sparse.coo_array((y.data, (y.col, y.row)), shape=(3, 3)), ENDS)
    assert not entries.are_of(y, ENDS[::-1])
