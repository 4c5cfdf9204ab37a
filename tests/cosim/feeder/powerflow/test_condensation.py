"""Equations without the nodes that nothing is injected at, held against all equations."""

import numpy as np
import pytest
from scipy import sparse

from cosim.feeder.circuit import Complexes
from cosim.feeder.powerflow.condensation import Condensation
from cosim.feeder.powerflow.entries import RealEntries
from cosim.feeder.powerflow.factors import Ints

BUSES, PHASES = 60, 2


def network(rng: np.random.Generator, chords: int) -> sparse.csc_array:
    """Admittance of a random tree of buses, with some lines across it."""
    n = BUSES * PHASES
    y = np.diag(1e-3 * rng.uniform(1.0, 2.0, n)).astype(np.complex128)
    lines = [(int(rng.integers(max(0, bus - 3), bus)), bus) for bus in range(1, BUSES)]
    lines += [tuple(rng.choice(BUSES, 2, replace=False).tolist()) for _ in range(chords)]
    for one, other in lines:
        own = rng.uniform(0.5, 2.0, (PHASES, PHASES)) + PHASES * np.eye(PHASES)
        block = (own + own.T) * (1.0 - 2.0j)
        first, second = (PHASES * bus + np.arange(PHASES) for bus in (one, other))
        for rows, columns, sign in (
            (first, first, 1),
            (second, second, 1),
            (first, second, -1),
            (second, first, -1),
        ):
            y[np.ix_(rows, columns)] += sign * block
    return sparse.csc_array(y)


def whole(y: sparse.csc_array, ends: Ints, a: Complexes, b: Complexes) -> np.ndarray:
    """All equations as a dense matrix."""
    n = y.shape[0]
    entries = RealEntries(y.tocoo(), ends)
    pattern = entries.pattern
    data = entries.of_network(y.tocoo().data) + entries.of_loads(a, b)
    return sparse.csc_array((data, pattern._indices, pattern._pointers), shape=(2 * n, 2 * n)).toarray()


@pytest.mark.parametrize(
    ("seed", "loads", "chords"), [(1, 12, 0), (2, 3, 4), (3, 60, 3), (4, 1, 0), (5, 5, 20)]
)
def test_answers_are_those_of_all_equations(seed: int, loads: int, chords: int) -> None:
    rng = np.random.default_rng(seed)
    y, n = network(rng, chords), BUSES * PHASES
    bus = np.repeat(np.arange(BUSES), PHASES)
    at = PHASES * rng.choice(BUSES, loads, replace=False) + rng.integers(0, PHASES, loads)
    ends = np.stack([at, np.full(loads, n)], axis=1)
    stay = np.zeros(n, dtype=bool)
    stay[at] = stay[0] = True
    a, b = (0.1 * (rng.standard_normal(loads) + 1j * rng.standard_normal(loads)) for _ in range(2))
    condensation = Condensation(y, ends, stay, bus)
    if loads < BUSES:
        assert len(condensation._between.kept) < n
    values = y.copy()
    for moved, same in ((0, True), (int(np.flatnonzero(~stay)[0]), False)):
        values = values.copy()
        values[moved, moved] += 0.5
        after = Condensation(values, ends, stay, bus, condensation)
        assert (after._between is condensation._between) == (same or moved in condensation._between.kept)
        for equations, matrix in ((condensation, whole(y, ends, a, b)), (after, whole(values, ends, a, b))):
            factors = equations.factorised(a, b)
            given = np.zeros(2 * n)
            given[np.concatenate([at, n + at])] = rng.standard_normal(2 * loads)
            assert factors.solve(given) == pytest.approx(np.linalg.solve(matrix, given), rel=1e-9, abs=1e-9)
            rows = sparse.random_array((7, 2 * n), density=0.05, rng=rng).tocsr()
            wanted = np.concatenate([at, n + at])
            right = np.linalg.solve(matrix.T, rows.toarray().T)[wanted]
            assert factors.solve_transposed(rows, wanted) == pytest.approx(right, rel=1e-9, abs=1e-9)


def test_a_network_of_which_all_stays_is_left_alone() -> None:
    y, n = network(np.random.default_rng(6), 0), BUSES * PHASES
    ends = np.stack([np.arange(n), np.full(n, n)], axis=1)
    everything = np.ones(n, dtype=bool)
    condensation = Condensation(y, ends, everything, np.repeat(np.arange(BUSES), PHASES))
    a, b = np.full(n, 0.1j), np.full(n, 0.05 + 0j)
    given = np.arange(2.0 * n)
    right = np.linalg.solve(whole(y, ends, a, b), given)
    assert condensation.factorised(a, b).solve(given) == pytest.approx(right, rel=1e-9, abs=1e-9)
