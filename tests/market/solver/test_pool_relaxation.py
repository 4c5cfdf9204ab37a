"""The pool on a feeder that no flow can relieve: limits give way by little more than they must."""

from dataclasses import replace

import numpy as np
import pytest

from cosim.market_studies.cases import around, interval, sized, with_model
from market.analysis.certify_outcome import certify_outcome
from market.analysis.tolerance import exceeds
from market.errors import Infeasible
from market.model.case import Case, Grid, Network, Resources, Tariff
from market.model.response import supply_curves
from market.model.rule import QuantityBidding
from market.solver.clearing import clear, pool_members
from market.solver.lam_bids import ROOM, PoolBids
from market.solver.relaxation import SLACK_KW, give_way
from tests.market.quantity import quantity_case


def relaxed(case):
    """The clearing of a case whose limits give way where they must."""
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    bids = PoolBids(members, np.zeros(members.lams))
    return bids.clear(case.network, case.grid, case.balance, case.offset_kw, None, None)


def below_what_can_flow(case, beyond_kw):
    """The case with a row that all flows together raise above its limit, whatever is cleared."""
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    least_kw = members.flow_range.lowest_kw.sum()
    lams = members.lams
    row = Network(
        np.ones((1, lams)), np.zeros(1), np.array([-1e6]), np.array([least_kw - beyond_kw]), name=("line",)
    )
    return replace(case, network=row), least_kw


@pytest.mark.parametrize("seed", range(0, 60, 3))
def test_a_limit_gives_way_by_what_the_least_flow_is_beyond_it(seed):
    case, least_kw = below_what_can_flow(quantity_case(seed, rows=0), 2.0)
    with pytest.raises(Infeasible):
        clear(case)
    wam = relaxed(case)
    by = wam.relaxed["line"]
    assert 2.0 <= by <= (2.0 + SLACK_KW) * (1.0 + ROOM) + 1e-9
    assert wam.flow_kw.sum() <= least_kw + by - 2.0 + 1e-6
    # Within the limits as they gave way it is the exact clearing, and certified.
    network, grid = give_way(case.network, case.grid, wam.relaxed)
    wider = replace(case, network=network, grid=grid)
    again = clear(wider)
    np.testing.assert_allclose(again.wam.flow_kw, wam.flow_kw, atol=1e-6)
    assert exceeds(certify_outcome(wider, again), wider) == []


def test_limits_that_can_be_kept_stay_as_they_are():
    for seed in range(30):
        case = quantity_case(seed, rows=2)
        wam = relaxed(case)
        assert wam.relaxed == {}
        np.testing.assert_array_equal(wam.price, clear(case).wam.price)


def test_a_feeder_overloaded_by_photovoltaics_is_cleared():
    """250 prosumers whose roofs are more than three times what the feeder's default ones can make."""
    roofs = {"population.pv.kwp_min": 108.0, "population.pv.kwp_max": 540.0, "weather.cloud_cover": 0.1}
    case = interval("12:30", example="paper", changes=sized(250) | roofs).case
    wam = relaxed(case)
    assert len(wam.relaxed) > 10
    network, grid = give_way(case.network, case.grid, wam.relaxed)
    wider = replace(case, network=network, grid=grid)
    outcome = clear(wider)
    assert np.count_nonzero(outcome.wam.row_dual) > 10
    assert exceeds(certify_outcome(wider, outcome), wider) == []


def test_flows_far_from_where_they_come_to_rest_get_there():
    """Around a model of no load the first proximal steps lead nowhere; coarser ones do."""
    roofs = {"population.pv.kwp_min": 108.0, "population.pv.kwp_max": 540.0, "weather.cloud_cover": 0.1}
    hour = interval("12:30", example="paper", changes=sized(250) | roofs)
    case = with_model(hour.case, hour.limits, around(hour.feeder, np.zeros(len(hour.case.lam_id))))
    wam = relaxed(case)
    assert wam.relaxed
    network, grid = give_way(case.network, case.grid, wam.relaxed)
    wider = replace(case, network=network, grid=grid)
    assert exceeds(certify_outcome(wider, clear(wider, start=wam.limit_prices)), wider) == []


def test_flows_that_are_worth_nearly_the_same_come_to_rest():
    """Two LAMs let their sun go at prices that differ by a millionth: the choice is exact, and soon found."""
    lams, members, apart = 2, 3, 1e-6
    n = lams * members
    case = Case(
        prosumer_id=tuple(f"p{j}" for j in range(n)),
        lam_id=("a", "b"),
        lam_of=np.repeat(np.arange(lams), members),
        demand_kw=np.ones(n),
        resources=Resources(np.arange(n), np.zeros(n), np.full(n, 4.0), np.zeros(n), np.zeros(n)),
        sensitivity=np.full(lams, np.nan),
        fee=np.zeros(lams),
        wam_sensitivity=np.nan,
        wam_fee=np.zeros(lams),
        balance=np.ones(lams),
        offset_kw=0.0,
        network=Network(
            np.array([[1.0, 1.0 + apart]]), np.zeros(1), np.array([-12.0]), np.array([100.0]), name=("line",)
        ),
        grid=Grid(0.30, 0.06, 1e6, 1e6),
        tariff=Tariff(0.30, 0.06),
        rule=QuantityBidding(np.full(lams, 0.03)),
    )
    outcome = clear(case)
    assert exceeds(certify_outcome(case, outcome), case) == []
    # The LAM that weighs more on the line lets all of it go that has to.
    np.testing.assert_allclose(outcome.wam.flow_kw, [-9.0, -3.0 / (1.0 + apart)], atol=1e-7)
