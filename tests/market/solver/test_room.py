import numpy as np
import pytest

from market.model.curves import Curves, from_points, join
from market.solver.room import Room

ONE = from_points([(np.array([0.1, 0.2]), np.array([2.0, 1.0])), (np.zeros(1), np.ones(1))])
OTHER = from_points([(np.array([0.3, 0.4, 0.5]), np.array([3.0, 2.0, 0.0]))])


def same(one: Curves, other: Curves) -> bool:
    """Whether two sets of curves have the same bits."""
    return all(
        np.array_equal(mine, theirs)
        for mine, theirs in zip(vars(one).values(), vars(other).values(), strict=True)
    )


@pytest.mark.parametrize("expected", [[3, 3], [9, 5], [9, 2], [1, 1]])
def test_parts_filled_in_in_any_order_are_one_set(expected):
    room = Room(expected)
    room.put(1, OTHER)
    room.put(0, ONE)
    assert same(room.curves(), join([ONE, OTHER]))
