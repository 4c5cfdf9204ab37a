from pathlib import Path

import numpy as np
import pytest

from market.analysis.settlement import (
    WamSurplus,
    imbalance_payment,
    imbalance_prices,
    settle,
    surplus_miss,
    trade_payment,
    wam_surplus,
)
from market.files.case_file import read_case
from market.model.case import Tariff
from market.solver.clearing import clear

CASES = Path(__file__).parents[1] / "cases"
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
    short, long = imbalance_prices(price, fee, Tariff(0.3, 0.04))
    paid = imbalance_payment(metered - allocated, short, long)
    assert paid == pytest.approx([0.3, -0.04, 0.0, 0.51])


@pytest.mark.parametrize("small", [1.0, 1e-9])
@pytest.mark.parametrize("name", SOLVED)
def test_the_surplus_is_judged_by_what_is_turned_over(name, small):
    """A market of milliwatts is judged no less strictly than one of megawatts."""
    case, outcome, market = settled(name)
    wam = outcome.wam
    found = wam_surplus(
        wam.net_kw, case.wam_fee, wam.energy_price, wam.row_dual, case.network, case.grid, case.offset_kw
    )
    causes = WamSurplus(found.fees * small, found.rows * small, found.limits * small, found.offset * small)
    surplus, turnover = market.wam_surplus * small, abs(market.grid) * small
    assert surplus_miss(surplus, causes, turnover).ratio <= 1.0
    off = 1e-6 * (turnover + causes.size)
    for wrong in (surplus + off, surplus - off, np.nan):
        assert surplus_miss(wrong, causes, turnover).ratio > 1.0
