"""Indicators: hand-worked values, their ranges, and where they have no meaning."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from market.analysis import indicators as kpi
from market.analysis.reference import no_sharing, optimum
from market.model.case import Case, Grid, Resources, Tariff
from market.solver.clearing import clear


def neighbours():
    """One consumer of 2 kW and one producer of 3 kW for nothing, in one LAM without strategy or fees."""
    return Case(
        prosumer_id=("buyer", "seller"),
        lam_id=("lam",),
        lam_of=np.array([0, 0]),
        demand_kw=np.array([2.0, 0.0]),
        resources=Resources(
            np.array([1]), np.array([0.0]), np.array([3.0]), np.array([0.0]), np.array([0.0])
        ),
        sensitivity=np.array([1e6]),
        fee=np.zeros(1),
        wam_sensitivity=1e6,
        wam_fee=np.zeros(1),
        balance=np.ones(1),
        offset_kw=0.0,
        network=None,
        grid=Grid(0.25, 0.05, 100.0, 100.0),
        tariff=Tariff(0.30, 0.04),
    )


def test_two_neighbours_by_hand():
    case = neighbours()
    outcome = clear(case)
    found = kpi.indicators(
        case,
        outcome.trade_kw,
        outcome.output_kw,
        outcome.price,
        apart=no_sharing(case),
        optimum=optimum(case),
    )
    # Buying 2 of 3 kW next door at the export price of 0.05 instead of 0.30, selling at 0.05 instead of 0.04.
    assert outcome.price[0] == pytest.approx(0.05, abs=1e-5)
    savings = kpi.prosumer_savings(case, outcome.trade_kw, outcome.output_kw, outcome.price, no_sharing(case))
    assert savings == pytest.approx([2 * 0.25, 3 * 0.01], abs=1e-4)
    assert found.lam_internal_share == pytest.approx(1.0)
    assert found.self_sufficiency == pytest.approx(1.0)
    assert found.self_consumption == pytest.approx(2 / 3)
    assert found.not_worse_share == 1.0
    assert found.savings_jain == pytest.approx(0.53**2 / (2 * (0.25 + 0.0009)), rel=1e-3)
    assert found.savings_gini == pytest.approx((0.5 - 0.03) / (2 * 0.53), rel=1e-3)
    # Exports pay: the optimum costs less than nothing, and a ratio of costs would mislead.
    assert found.price_of_anarchy is None


def test_price_of_anarchy_compares_costs_that_are_costs():
    assert kpi.price_of_anarchy(11.0, 10.0) == pytest.approx(1.1)
    assert kpi.price_of_anarchy(1.0, 0.0) is None


def test_energy_indicators_by_hand():
    # 4 imported, 1 exported, 6 made: 9 are used.
    assert kpi.self_sufficiency(4.0, 1.0, 6.0) == pytest.approx(5 / 9)
    assert kpi.self_consumption(1.0, 6.0) == pytest.approx(5 / 6)
    assert kpi.self_sufficiency(0.0, 0.0, 0.0) is None
    assert kpi.self_consumption(0.0, 0.0) is None


def test_peak_to_average_takes_exports_for_what_they_load_the_head():
    assert kpi.peak_to_average(np.array([1.0, -3.0, 2.0])) == pytest.approx(1.5)
    assert kpi.peak_to_average(np.zeros(3)) is None
    assert kpi.peak_to_average(np.zeros(0)) is None


savings_of_some = arrays(np.float64, st.integers(1, 30), elements=st.floats(0.0, 100.0, width=32))


@given(savings_of_some)
def test_evenness_stays_within_its_range(savings):
    n = savings.size
    if savings.sum() <= 1e-6:
        return
    assert 1 / n - 1e-9 <= kpi.jain(savings) <= 1 + 1e-9
    assert -1e-9 <= kpi.gini(savings) <= 1 - 1 / n + 1e-9


@given(savings_of_some)
def test_gini_is_the_mean_absolute_difference_over_twice_the_mean(savings):
    if savings.sum() <= 1e-6:
        return
    difference = np.abs(savings[:, None] - savings[None, :]).mean()
    assert kpi.gini(savings) == pytest.approx(difference / (2 * savings.mean()), abs=1e-9)


def test_evenness_has_no_meaning_where_nothing_is_saved():
    assert kpi.jain(np.zeros(4)) is None
    assert kpi.gini(np.array([1.0, -2.0])) is None
    assert kpi.not_worse_share(np.array([1.0, 0.0, -1.0, 2.0])) == 0.75
