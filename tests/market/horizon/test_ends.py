"""Searches end where the certificate holds, however uneven LAMs are and wherever they begin."""

from dataclasses import replace

import numpy as np
import pytest

from market.errors import Infeasible
from market.horizon import allowed, replies
from market.horizon.clearing import clear_horizon
from market.horizon.feeder import FeederLimits
from market.horizon.lam import RESTING
from market.horizon.members import Members, price_size
from market.horizon.proof import beyond_tolerance, certify_horizon
from market.horizon.start import Near
from market.horizon.stores import within_reach
from market.oracles.horizon import solve_horizon
from tests.market.horizon.objective import objective
from tests.market.horizon.town import town

POWER = ("initial_kwh", "lower_kwh", "upper_kwh", "charge_kw", "discharge_kw", "drift_kwh")


def uneven(seed, *, both=False):
    """A town of which one LAM is far larger than the others, or LAMs' prices rise steeply with net purchases.

    What is next to nothing of the largest LAM is much of the others, and little power is much of a price.
    With ``both``, one LAM is larger, and prices may rise so steeply, too.
    """
    rng = np.random.default_rng([seed, 3])
    lams = int(rng.choice([2, 3, 6]))
    members, rows = int(rng.choice([1, 2, 4])), int(rng.choice([0, 2, lams]))
    case = town(seed, T=6, lams=lams, members=members, rows=rows)
    is_large = both or rng.random() < 0.5
    by = np.ones(lams)
    if is_large:
        by[0] = 10.0 ** (rng.uniform(0, 4) if both else rng.uniform(2, 5))
    sensitivity = 100.0 * by[0] if is_large and not both else 10.0 ** rng.uniform(-3, 5 if both else 1)
    stores, each = case.stores, by[case.first.lam_of]
    own = each[stores.owner]
    power = {name: (getattr(stores, name).T * own).T for name in POWER}
    intervals = tuple(
        replace(
            one,
            demand_kw=each * one.demand_kw,
            wam_sensitivity=sensitivity,
            network=one.network and replace(one.network, matrix=one.network.matrix / by),
            resources=replace(
                one.resources,
                max_kw=each[one.resources.owner] * one.resources.max_kw,
                cost_quadratic=one.resources.cost_quadratic / each[one.resources.owner],
            ),
        )
        for one in case.intervals
    )
    case = replace(case, intervals=intervals, stores=replace(stores, **power))
    return replace(case, stores=within_reach(case.stores, case.hours)[0])


def near(outcome, rng):
    """A start that is off by much or by next to nothing."""
    off = 10.0 ** rng.uniform(-11, -2)

    def about(value):
        return value * (1.0 + off * rng.normal(size=np.shape(value)))

    found = []
    for known in map(Near.of, outcome.intervals):
        prices = known.limit_prices
        rows = {name: float(about(price)) for name, price in prices.row.items()}
        prices = replace(prices, energy=float(about(prices.energy)), row=rows)
        found.append(replace(known, price=about(known.price), limit_prices=prices))
    return found


@pytest.mark.parametrize("seed", range(40))
def test_every_end_is_one_that_the_certificate_accepts(seed):
    case, rng = uneven(seed), np.random.default_rng(seed)
    try:
        outcome = clear_horizon(case)
    except Infeasible:
        return
    for _ in range(4):
        assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []
        outcome = clear_horizon(case, near(outcome, rng))


def test_rows_are_met_by_all_lams_together():
    case = town(109, T=12, lams=12, members=4, rows=12)
    sensitivity = 10.0 ** np.random.default_rng([109, 5]).uniform(-2, 5, 12)
    intervals = tuple(
        replace(one, wam_sensitivity=float(each))
        for one, each in zip(case.intervals, sensitivity, strict=True)
    )
    stores, _ = within_reach(case.stores, case.hours)
    case = replace(case, intervals=intervals, stores=stores)
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []


@pytest.mark.parametrize("seed", [3, 6, 149])
def test_ends_of_large_lams_beside_steep_prices_are_accepted(seed):
    case = uneven(seed, both=True)
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []


@pytest.mark.parametrize("seed", [16, 43, 78, 130])
def test_a_lone_member_whose_trade_moves_prices_far_beyond_the_grids_finds_its_optimum(seed):
    case = uneven(seed, both=True)
    beyond = (case.first.wam_slope * case.lam_kw.max(axis=1)).max() / price_size(case)
    assert case.first.members[0] == 1
    assert beyond > 1e4
    outcome = clear_horizon(case)
    assert beyond_tolerance(certify_horizon(case, outcome.claim(case)), case) == []
    assert objective(case, outcome) == pytest.approx(solve_horizon(case).objective, rel=1e-7)


def test_limits_are_held_against_what_the_certificate_allows():
    case = town(1, T=3, lams=2, rows=2)
    limits = FeederLimits.of(case, price_size(case))
    proof = certify_horizon(case, clear_horizon(case).claim(case))
    slack = [each.row_excess.tolerance[0] for each in proof.intervals]
    assert limits.allowed_kw == pytest.approx(allowed.PART * np.repeat(slack, 3), rel=1e-2)
    net_kw, none = np.zeros((2, 3)), np.zeros(3)
    y = np.zeros(limits.base.size)
    y[limits.head] = [one.grid.import_price for one in case.intervals]
    assert limits.are_met(net_kw, y, none)
    y[1] = 0.01  # It asks for the row's upper limit, which is far.
    assert not limits.are_met(net_kw, y, none)
    assert limits.are_met(net_kw, y, np.full(3, np.inf))


def test_prices_that_are_not_finite_write_nothing_beyond_the_room_for_them():
    case = town(3, T=4, lams=1, members=4, stores=1.0)
    members = Members(case)
    for price in (np.nan, np.inf, -np.inf):
        mine, terms = members.of_lam(0, np.zeros(4))
        assert mine.resting == pytest.approx(RESTING * 4 / case.first.slope[0])
        terms.price[:] = price
        plans = [np.zeros((len(case.stores), 4)) for _ in range(5)]
        replies.reply(
            mine.mine, mine.own, terms, 1.0, mine.columns, replies.PlanColumns(*plans), np.zeros((4, 4))
        )
