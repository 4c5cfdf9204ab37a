import numpy as np

from market.model.curves import from_points
from market.model.pieces import fall, has_jumps, pieces

JUMPS = from_points([(np.array([0.0, 0.5, 0.5]), np.array([2.0, 1.0, 0.0])), (np.zeros(1), np.ones(1))])


def test_fall_is_zero_on_jumps_and_at_ends():
    assert fall(JUMPS).tolist() == [2.0, 0.0, 0.0, 0.0]


def test_jumps_are_told_by_the_vertex_before_them():
    found = pieces(JUMPS)
    assert found.jumping.tolist() == [1]
    assert found.jump_kw.tolist() == [1.0]
    assert has_jumps(JUMPS)


def test_vertices_that_are_the_same_make_no_jump():
    curves = from_points([(np.array([0.1, 0.1, 0.3]), np.array([1.0, 1.0, 0.0])), (np.zeros(1), -np.ones(1))])
    assert pieces(curves).jumping.size == 0
    assert not has_jumps(curves)
