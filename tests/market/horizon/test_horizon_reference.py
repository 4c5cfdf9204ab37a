"""Benchmarks over a horizon: by other ways of computing them, and in their order."""

from dataclasses import replace

import numpy as np
import pytest

from market.analysis.reference import FLOOR, references
from market.horizon.case import HorizonCase
from market.horizon.clearing import clear_horizon
from market.horizon.reference import _alone, _optimal, horizon_references
from market.horizon.stores import no_stores, within_reach
from market.oracles.horizon import solve_horizon
from tests.market.horizon.objective import objective
from tests.market.horizon.own_program import best_cost
from tests.market.horizon.town import town


def reachable(seed, **shape):
    case = town(seed, **shape)
    return replace(case, stores=within_reach(case.stores, case.hours)[0])


@pytest.mark.parametrize("seed", range(3))
def test_without_stores_they_are_those_of_each_interval(seed):
    case = reachable(seed, T=3, members=3, rows=1, hours=0.5)
    case = HorizonCase(case.intervals, no_stores(3), 0.5)
    found, missing = horizon_references(case)
    assert missing == []
    each = [references(one)[0] for one in case.intervals]
    for name, benchmark in found.items():
        assert benchmark.social_cost == pytest.approx(
            0.5 * sum(one[name].social_cost for one in each), rel=1e-5
        )


@pytest.mark.parametrize("seed", range(3))
def test_alone_each_owner_does_what_is_best_against_the_tariff(seed):
    case = reachable(seed, T=5, members=3)
    alone = HorizonCase(tuple(_alone(one) for one in case.intervals), case.stores, case.hours)
    outcome = clear_horizon(alone)
    assert horizon_references(case)[0]["no_sharing"].trade_kw == pytest.approx(outcome.trade_kw)
    tariff = case.first.tariff
    middle, half, none = np.full(5, tariff.middle), np.full(5, tariff.half_spread), np.zeros(5)
    for store, member in enumerate(case.stores.owner):
        own = case.stores.wear(outcome.power_kw)[store].sum() + tariff.bill(outcome.trade_kw[member]).sum()
        for one, found in zip(case.intervals, outcome.intervals, strict=True):
            own += one.resources.cost(found.output_kw)[one.resources.owner == member].sum()
        now = case.hours * own - case.stores.end_value[store] * outcome.state_kwh[store, -1]
        assert now == pytest.approx(best_cost(case, member, middle, half, none), abs=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_is_the_least_cost_and_sharing_saves(seed):
    case = reachable(seed, T=6, members=4, rows=seed % 3)
    found, missing = horizon_references(case)
    assert missing == []
    free = HorizonCase(tuple(_optimal(one) for one in case.intervals), case.stores, case.hours)
    # Of a slope that stands in for none the program knows the cost.
    slope_cost = 0.5 * FLOOR * case.hours * float((found["optimum"].trade_kw ** 2).sum())
    least = solve_horizon(free).objective - slope_cost
    assert found["optimum"].social_cost == pytest.approx(least, abs=1e-6)
    outcome = clear_horizon(case)
    assert objective(case, outcome) > found["optimum"].social_cost
    cost = {name: benchmark.social_cost for name, benchmark in found.items()}
    assert cost["optimum"] <= cost["single_layer_network"] + 1e-6
    assert cost["single_layer_network"] < cost["lam_only"] < cost["no_sharing"]
    assert found["optimum"].violations == found["single_layer_network"].violations == 0
