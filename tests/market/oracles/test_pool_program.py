"""Two hundred generated cases: the exact pool against the whole program in an interior-point solver."""

from dataclasses import replace

import numpy as np
import pytest

from market.errors import Infeasible
from market.model.case import Network
from market.solver.clearing import clear
from tests.market.quantity import members_cost, quantity_case, turnover

monolithic = pytest.importorskip("market.oracles.monolithic")

GROUPS, CASES_PER_GROUP = 20, 10


@pytest.mark.parametrize("group", range(GROUPS))
def test_exact_and_independent_cost_the_same(group):
    for seed in range(1000 + group * CASES_PER_GROUP, 1000 + (group + 1) * CASES_PER_GROUP):
        case = quantity_case(seed)
        ours, theirs = clear(case), monolithic.clear(case)
        allowed = 1e-7 * (turnover(case, ours) + 1e-3)
        assert abs(members_cost(case, ours) - members_cost(case, theirs)) <= allowed, f"seed {seed}"
        np.testing.assert_allclose(theirs.trade_kw, ours.trade_kw, atol=2e-3)
        # Both keep the same balance of shared energy.
        assert abs(theirs.trade_kw.sum()) < 1e-6


def test_what_cannot_be_kept_has_one_name():
    case = quantity_case(3, rows=0)
    lams = len(case.lam_id)
    row = Network(np.ones((1, lams)), np.zeros(1), np.array([1e5]), np.array([2e5]), name=("feeder",))
    with pytest.raises(Infeasible, match="network row feeder"):
        monolithic.clear(replace(case, network=row))
