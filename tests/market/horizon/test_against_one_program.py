"""Small cases against all of it at once by an interior-point method, and what a member could do else."""

from dataclasses import replace

import numpy as np
import pytest

from market.errors import Infeasible, NotConverged
from market.horizon.clearing import clear_horizon
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.stores import within_reach
from market.oracles.horizon import solve_horizon
from tests.market.horizon.objective import objective
from tests.market.horizon.own_program import best_cost
from tests.market.horizon.town import town

SEEDS, BLOCK = 200, 25


def any_town(seed):
    """A town of any shape up to 8 intervals and 15 households, its stores' bounds within reach."""
    rng = np.random.default_rng([seed, 7])
    case = town(
        seed,
        T=int(rng.integers(1, 9)),
        lams=int(rng.integers(1, 4)),
        members=int(rng.integers(1, 6)),
        rows=int(rng.integers(0, 4)),
        hours=float(rng.choice([0.25, 1.0])),
        conjecture=str(rng.choice(["sharing", "sharing", "price-taking"])),
    )
    return replace(case, stores=within_reach(case.stores, case.hours)[0])


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_the_clearing_is_the_optimum_of_the_program_over_the_horizon(first):
    cleared = 0
    for seed in range(first, first + BLOCK):
        case = any_town(seed)
        try:
            outcome = clear_horizon(case)
        except Infeasible:
            with pytest.raises(NotConverged, match="infeasible"):
                solve_horizon(case)
            continue
        cleared += 1
        least = solve_horizon(case).objective
        assert objective(case, outcome) == pytest.approx(least, rel=1e-7, abs=1e-8), seed
        assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == [], seed
    assert cleared > BLOCK // 2


@pytest.mark.parametrize("seed", range(10))
def test_no_owner_of_a_store_gains_by_another_plan_over_time(seed):
    case = town(seed, T=6, lams=2, members=4)
    outcome = clear_horizon(case)
    certificate = certify_horizon(case, outcome.claim(case))
    for store, member in enumerate(case.stores.owner):
        lam = case.first.lam_of[member]
        price, trade = outcome.price[lam], outcome.trade_kw[member]
        fee, slope = (
            np.array([getattr(one, key)[lam] for one in case.intervals]) for key in ("fee", "slope")
        )
        own = case.stores.wear(outcome.power_kw)[store].sum()
        for one, found in zip(case.intervals, outcome.intervals, strict=True):
            own += one.resources.cost(found.output_kw)[one.resources.owner == member].sum()
        bill = (price * trade + fee * np.abs(trade)).sum()
        end = case.stores.end_value[store] * outcome.state_kwh[store, -1]
        now = case.hours * (own + bill) - end
        # A trade that is another moves the price by the slope times the difference.
        best = best_cost(case, store, price - slope * trade, fee, 2 * slope)
        assert now - best <= 1e-8 * (1 + abs(now))
        assert certificate.store_gains.miss[member] >= now - best - 1e-8
