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
from tests.market.horizon.own_program import best_cost, cost_now
from tests.market.horizon.town import town, with_more_stores

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


def is_optimal(case, seed):
    """Whether the clearing finds and proves an optimum; else both must call the case infeasible."""
    try:
        outcome = clear_horizon(case)
    except Infeasible:
        with pytest.raises(NotConverged, match="infeasible"):
            solve_horizon(case)
        return False
    least = solve_horizon(case).objective
    assert objective(case, outcome) == pytest.approx(least, rel=1e-7, abs=1e-8), seed
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == [], seed
    return True


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_the_clearing_is_the_optimum_of_the_program_over_the_horizon(first):
    cleared = sum(is_optimal(any_town(seed), seed) for seed in range(first, first + BLOCK))
    assert cleared > BLOCK // 2


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_it_is_where_owners_have_two_or_three_stores_of_any_kind(first):
    cleared = 0
    for seed in range(first, first + BLOCK):
        case = with_more_stores(any_town(seed), seed)
        case = replace(case, stores=within_reach(case.stores, case.hours)[0])
        cleared += is_optimal(case, seed)
    assert cleared > BLOCK // 2


def gains_nothing(case):
    """Whether no owner of stores gains by other plans, as each one's own program finds and as is proven."""
    outcome = clear_horizon(case)
    certificate = certify_horizon(case, outcome.claim(case))
    for member in np.unique(case.stores.owner):
        lam = case.first.lam_of[member]
        price, trade = outcome.price[lam], outcome.trade_kw[member]
        fee, slope = (
            np.array([getattr(one, key)[lam] for one in case.intervals]) for key in ("fee", "slope")
        )
        now = cost_now(case, outcome, member)
        # A trade that is another moves the price by the slope times the difference.
        best = best_cost(case, member, price - slope * trade, fee, 2 * slope)
        assert now - best <= 1e-8 * (1 + abs(now))
        assert certificate.store_gains.miss[member] >= now - best - 1e-8


@pytest.mark.parametrize("seed", range(10))
def test_no_owner_of_a_store_gains_by_another_plan_over_time(seed):
    gains_nothing(town(seed, T=6, lams=2, members=4))


@pytest.mark.parametrize("seed", range(10))
def test_no_owner_of_several_stores_gains_by_other_plans_of_all_of_them(seed):
    case = with_more_stores(town(seed, T=6, lams=2, members=4), seed)
    gains_nothing(replace(case, stores=within_reach(case.stores, case.hours)[0]))
