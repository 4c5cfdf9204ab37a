from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.case import Grid, Tariff
from market.casefile import read_case
from market.clearing import clear
from market.settlement import imbalance_payment, settle, settle_interval, trade_payment, wam_surplus

CASES = Path(__file__).parent / "cases"
SOLVED = [p.stem for p in sorted(CASES.glob("*.json")) if "solution" not in p.stem and "infeas" not in p.stem]


def settled(name):
    case = read_case(CASES / f"{name}.json")
    outcome = clear(case)
    wam = outcome.wam
    market = settle(
        case.lam_of,
        outcome.trade_kw,
        outcome.price,
        case.fee,
        wam.price,
        case.wam_fee,
        wam.net_kw,
        case.grid,
        wam.grid_kw,
    )
    return case, outcome, market


def test_a_buyer_pays_the_fee_and_a_seller_gets_it_less():
    paid = trade_payment(np.full(3, 0.2), np.full(3, 0.01), np.array([2.0, -2.0, 0.0]))
    assert paid == pytest.approx([0.42, -0.38, 0.0])


@pytest.mark.parametrize("name", SOLVED)
def test_payments_sum_to_zero_and_the_surplus_has_its_causes(name):
    case, outcome, market = settled(name)
    left = market.prosumer.sum() - market.lam_surplus.sum() - market.grid - market.wam_surplus
    assert left == pytest.approx(0.0, abs=1e-12)
    wam = outcome.wam
    causes = wam_surplus(
        wam.net_kw, case.wam_fee, wam.energy_price, wam.row_dual, case.network, case.grid, case.offset_kw
    )
    assert causes.total == pytest.approx(market.wam_surplus, abs=1e-9)
    assert market.uplift == max(-market.wam_surplus, 0.0)


def test_a_lam_keeps_its_fees_and_its_conjectured_rent():
    case, outcome, market = settled("rows-binding")
    fees = case.net_kw(case.fee[case.lam_of] * np.abs(outcome.trade_kw))
    expected = case.wam_slope * outcome.wam.net_kw**2 + fees
    assert market.lam_surplus == pytest.approx(expected, abs=1e-9)
    assert (market.lam_surplus >= 0).all()


def test_a_departure_is_charged_at_the_worse_of_market_and_tariff():
    metered, allocated = np.array([3.0, 1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0, 2.0])
    price, fee = np.array([0.2, 0.2, 0.2, 0.5]), np.full(4, 0.01)
    paid = imbalance_payment(metered, allocated, price, fee, Tariff(0.3, 0.04))
    assert paid == pytest.approx([0.3, -0.04, 0.0, 0.51])


@given(st.integers(0, 2**32 - 1), st.floats(-20.0, 20.0), st.sampled_from([0.25, 0.5, 1.0]))
def test_every_interval_sums_to_zero(seed, drift_kw, hours):
    case, outcome, market = _BALANCED
    rng = np.random.default_rng(seed)
    allocated = outcome.trade_kw * hours
    metered = allocated + rng.normal(0.0, 0.3, allocated.size)
    price, fee = outcome.price[case.lam_of], case.fee[case.lam_of]
    imbalance = imbalance_payment(metered, allocated, price, fee, case.tariff)
    scheduled = outcome.wam.grid_kw
    ledger = settle_interval(market, imbalance, case.grid, scheduled, scheduled + drift_kw, hours)
    assert ledger.total == pytest.approx(0.0, abs=1e-12)
    assert ledger.uplift >= 0
    assert ledger.wam_surplus <= 0


_BALANCED = settled("rows-binding")


def test_the_grid_is_paid_for_what_flowed():
    _, _, market = _BALANCED
    grid = Grid(0.25, 0.05, 100.0, 100.0)
    ledger = settle_interval(market, np.zeros(2), grid, 4.0, -2.0, 0.5)
    assert ledger.grid_residual == pytest.approx((0.05 * 2.0 + 0.25 * 4.0) * 0.5)
