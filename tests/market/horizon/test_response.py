"""What LAMs buy where their members' answers are linear, and that changes of sides lose nothing."""

import numpy as np
import pytest

from market.horizon.feeder import FeederLimits
from market.horizon.gram import gram_of
from market.horizon.lam import WamTerms
from market.horizon.members import price_size
from market.horizon.response import Response
from tests.market.horizon.town import town

M, T = 4, 12
RESTS = np.full(M, 1e-9)


def linear_market(seed):
    """Prices, net purchases, their fall and the LAMs' terms; the last LAM has nobody who answers."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(M, T, 2 * T))
    fall = root @ root.transpose(0, 2, 1)
    fall[-1] = 0.0
    fee = np.where(rng.random((M, 1)) < 0.5, 0.01, 0.02) * np.ones((M, T))
    terms = WamTerms(rng.uniform(1e-3, 1e-1, (M, T)), fee, np.zeros((M, T)))
    return rng, rng.uniform(0.1, 0.3, (M, T)), rng.normal(size=(M, T)), fall, terms


@pytest.mark.parametrize("seed", range(5))
def test_who_trades_has_its_price_and_who_rests_buys_nothing(seed):
    rng, price, kw, fall, terms = linear_market(seed)
    response = Response(price, kw, fall, RESTS, terms, np.ones((M, T), dtype=np.intp), 1e-9)
    for _ in range(6):
        side = rng.integers(-1, 2, (M, T))
        response.turn(side)
    wam_price = rng.uniform(0.1, 0.3, (M, T))
    local, net_kw = response.at(wam_price)
    answers = np.arange(M) < M - 1
    assert np.abs(net_kw[answers][side[answers] == 0]).max() < 1e-7
    gap = local - wam_price - side * terms.fee - terms.slope * net_kw
    assert np.abs(gap[side != 0]).max() < 1e-12
    assert net_kw == pytest.approx(kw - np.einsum("mtu,mu->mt", fall, local - price), abs=1e-12)
    assert response.net_kw(wam_price)[answers] == pytest.approx(net_kw[answers], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_changed_sides_are_those_of_a_new_beginning(seed):
    rng, price, kw, fall, terms = linear_market(seed)
    changed = Response(price, kw, fall, RESTS, terms, np.ones((M, T), dtype=np.intp), 1e-9)
    for _ in range(6):
        side = rng.integers(-1, 2, (M, T))
        changed.turn(side)
    anew = Response(price, kw, fall, RESTS, terms, side, 1e-9)
    trades = side != 0
    rows = rng.normal(size=(3 * T, M))
    interval = np.repeat(np.arange(T), 3)
    none = np.zeros((0, 0))
    grams = [gram_of(rows, interval, one.inverse, one.ease, one.trades, none) for one in (changed, anew)]
    assert grams[0] == pytest.approx(grams[1], abs=1e-9)
    wam_price = rng.uniform(0.1, 0.3, (M, T))
    for mine, its in zip(changed.at(wam_price), anew.at(wam_price), strict=True):
        assert mine[trades] == pytest.approx(its[trades], abs=1e-9)
    # The gram is how values fall with the limits' prices.
    moved = wam_price.copy()
    moved[:, 0] += 1e-3 * rows[0]
    fell = (anew.at(wam_price)[1] - anew.at(moved)[1])[:, interval]
    assert np.einsum("nm,mn->n", rows, fell) == pytest.approx(1e-3 * grams[1][:, 0], abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_hardly_anybody_answering_costs_no_digits(seed):
    rng, price, kw, fall, terms = linear_market(seed)
    fall *= 1e-5
    response = Response(price, kw, fall, RESTS, terms, np.ones((M, T), dtype=np.intp), 1e-9)
    for _ in range(30):
        side = rng.integers(-1, 2, (M, T))
        response.turn(side)
    wam_price = rng.uniform(0.1, 0.3, (M, T))
    local, net_kw = response.at(wam_price)
    gap = local - wam_price - side * terms.fee - terms.slope * net_kw
    assert np.abs(gap[side != 0]).max() < 1e-14
    assert response.net_kw(wam_price)[side != 0] == pytest.approx(net_kw[side != 0], abs=1e-12)


def test_values_of_limits_are_those_of_each_interval_by_itself():
    few, many = town(1, T=6, lams=3, rows=2), town(2, T=6, lams=3, rows=5)
    mixed = few.intervals[:2] + many.intervals[2:5] + few.intervals[5:]
    case = type(few)(mixed, few.stores, few.hours)
    limits = FeederLimits.of(case, price_size(case))
    net_kw = np.random.default_rng(3).normal(size=(3, 6))
    parts = []
    for t, one in enumerate(case.intervals):
        parts += [[one.grid_kw(net_kw[:, t])], one.network.base + one.network.matrix @ net_kw[:, t]]
    assert limits.values(net_kw) * limits.scale == pytest.approx(np.concatenate(parts), abs=1e-12)
    y = np.random.default_rng(4).normal(size=limits.base.size) * (np.arange(limits.base.size) % 3 > 0)
    assert float(y @ (limits.values(net_kw) - limits.base)) == pytest.approx(
        float((limits.prices(y) * net_kw).sum()), abs=1e-12
    )
