import numpy as np
import pytest

from market.solver.staircase import Staircases
from tests.market.solver.limits import CAP, network_stairs


def test_kinks_at_one_price_act_as_one_riser():
    stairs = Staircases(np.array([[-CAP, 0.1, 0.1, CAP]]), np.array([[-np.inf, -2.0, 0.0, 2.0, np.inf]]))
    assert stairs.admissible(np.array([0.1])) == (pytest.approx([-2.0]), pytest.approx([2.0]))


def test_a_price_lies_between_the_kinks_beside_it():
    stairs = network_stairs(np.full(4, -1.0), np.ones(4))
    y = np.array([-2.0, 0.0, 0.5, 2 * CAP])
    low, high = stairs.riser(y)
    assert low.tolist() == [-CAP, 0.0, 0.0, CAP]
    assert high.tolist() == [0.0, 0.0, CAP, np.inf]
