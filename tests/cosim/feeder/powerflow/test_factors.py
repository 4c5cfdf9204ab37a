import numpy as np
import pytest
from scipy import sparse

from cosim.feeder.powerflow.factors import Pattern


@pytest.fixture
def matrix():
    """Equations like a feeder's: a random tree, its entries in both directions, no symmetry of values."""
    rng, size = np.random.default_rng(7), 300
    child = np.arange(1, size)
    parent = np.array([rng.integers(0, each) for each in child])
    row, column = np.concatenate([child, parent]), np.concatenate([parent, child])
    tree = sparse.coo_array((rng.normal(size=len(row)), (row, column)), shape=(size, size))
    found = (tree + sparse.diags_array(4.0 + rng.random(size))).tocsc()
    found.sort_indices()
    return found


def agree(found, right):
    np.testing.assert_allclose(found, right, rtol=0, atol=1e-12 * np.abs(right).max())


@pytest.mark.parametrize("shape", [(300,), (300, 1), (300, 20)])
def test_both_ways_of_factorising_solve_equations_and_their_transpose(matrix, shape):
    pattern, given = Pattern(matrix.indices, matrix.indptr), np.random.default_rng(1).normal(size=shape)
    for factors in (pattern.columns(matrix.data), pattern.rows(matrix.data)):
        agree(matrix @ factors.solve(given), given)
        columns = given.reshape(300, -1)
        solved = factors.solve_transposed(sparse.csr_array(columns.T), np.arange(300))
        agree(matrix.T @ solved, columns)


@pytest.mark.parametrize("way", ["columns", "rows"])
def test_of_a_transpose_some_unknowns_are_given_for_rows_with_few_entries(matrix, way):
    factors = getattr(Pattern(matrix.indices, matrix.indptr), way)(matrix.data)
    rows = sparse.random_array((5, 300), density=0.02, rng=np.random.default_rng(4)).tocsr()
    wanted = np.array([7, 3, 299, 120])
    expected = np.linalg.solve(matrix.T.toarray(), rows.toarray().T)[wanted]
    agree(factors.solve_transposed(rows, wanted), expected)


def test_an_order_that_is_known_gives_the_bits_that_a_new_one_gives(matrix):
    pattern, given = (
        Pattern(matrix.indices, matrix.indptr),
        (sparse.csr_array(np.ones((1, 300))), np.arange(300)),
    )
    other = matrix.data * np.random.default_rng(2).uniform(0.5, 1.5, matrix.nnz)
    pattern.rows(other)
    known = pattern.rows(matrix.data).solve_transposed(*given)
    new = Pattern(matrix.indices, matrix.indptr).rows(matrix.data).solve_transposed(*given)
    np.testing.assert_array_equal(known, new)
