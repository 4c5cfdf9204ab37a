"""Charges for losses that rise with what flows: answers, the clearing, and rounds with AC power flow."""

from dataclasses import replace

import numpy as np
import pytest

from cosim.feeder.judgement import check
from cosim.market_studies.cases import around, interval, sized, with_model
from market.analysis.certify_outcome import certify_outcome
from market.analysis.tolerance import exceeds
from market.errors import Infeasible
from market.model.curves import shift
from market.model.response import supply_curves
from market.solver.clearing import clear, pool_members
from market.solver.damped_answers import DampedAnswers, Damping
from market.solver.lam_bids import PoolBids
from market.solver.pool import DAMPING, clear_pool
from market.solver.pool_answers import PoolAnswers
from tests.market.quantity import quantity_case


def damped(case, seed, steepness):
    """Answers of a case's LAMs, damped around drawn flows, and what they are made of."""
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    rng = np.random.default_rng(seed)
    answers = PoolAnswers(members, shift(members.supply, 1e-3), np.zeros(members.lams))
    damping = Damping(np.full(members.lams, steepness), rng.normal(0.0, 3.0, members.lams))
    return answers, damping, DampedAnswers(answers, damping)


@pytest.mark.parametrize("steepness", [1e-6, 1e-2, 1.0])
def test_the_charge_that_members_pay_has_risen_by_what_flows(steepness):
    for seed in range(30):
        case = quantity_case(seed, rows=0)
        answers, damping, raised = damped(case, seed, steepness)
        rng = np.random.default_rng(seed)
        pool, charge = 0.15, rng.normal(0.0, 0.05, damping.slope.size)
        kw, _ = raised.at(np.concatenate([pool + charge, pool + 0.0 * charge, charge]))
        own, _, drawn = np.split(kw, 3)
        paid = charge + damping.rise(own + drawn)
        again, _ = answers.at(np.concatenate([pool + paid, pool + 0.0 * paid, paid]))
        np.testing.assert_allclose(again, kw, atol=1e-9)


def test_answers_fall_as_their_slopes_say():
    """The Jacobian over the three variables of each LAM, by differences."""
    compared, h = 0, 1e-9
    for seed in range(40):
        case = quantity_case(seed, rows=0)
        _, damping, raised = damped(case, seed, 0.02)
        rng = np.random.default_rng(seed)
        pool = rng.uniform(case.tariff.feed_in, case.tariff.retail)
        charge = rng.normal(0.0, 0.05, damping.slope.size)

        def ask(pool, charge, raised=raised):
            kw, slope = raised.at(np.concatenate([pool + charge, pool + 0.0 * charge, charge]))
            own, traded, drawn = np.split(kw, 3)
            return own + traded, own + drawn, np.split(slope, 3)

        net, flow, slopes = ask(pool, charge)
        net_p, flow_p, slopes_p = ask(pool + h, charge)
        net_r, flow_r, slopes_r = ask(pool, charge + h)
        own, traded, drawn = slopes
        smooth = np.logical_and.reduce(
            [np.isclose(x, y, rtol=1e-9) for x, y in zip(slopes * 2, slopes_p + slopes_r, strict=True)]
        )
        pairs = [(net - net_p, own + traded), (flow - flow_p, own)]
        pairs += [(net - net_r, own), (flow - flow_r, own + drawn)]
        for found, said in pairs:
            np.testing.assert_allclose((found / h)[smooth], said[smooth], rtol=1e-4, atol=1e-3)
        compared += np.count_nonzero(smooth)
    assert compared > 60


def cleared_around(case, around_kw):
    """A damped clearing of a case, and the case whose losses are linear around what was cleared."""
    members = pool_members(case, supply_curves(case.demand_kw, case.resources))
    wam = clear_pool(members, case.network, case.grid, case.balance, case.offset_kw, around_kw=around_kw).wam
    if not wam.balance.size:
        return wam, case
    offset_kw = case.offset_kw + float((case.balance - wam.balance) @ wam.flow_kw)
    return wam, replace(case, balance=wam.balance, offset_kw=offset_kw)


def test_a_damped_clearing_is_exact_for_losses_as_they_have_risen():
    """It is the certified equilibrium of the case with the loss factors that it tells."""
    binding = 0
    for seed in range(16):
        case = quantity_case(seed, rows=2, losses=True)
        try:
            plain = clear(case)
        except Infeasible:
            continue
        away_kw = plain.wam.flow_kw + np.random.default_rng(seed).normal(0.0, 1.0, plain.wam.flow_kw.size)
        wam, there = cleared_around(case, away_kw)
        if not wam.balance.size:
            continue
        binding += 1
        ends = pool_members(case, supply_curves(case.demand_kw, case.resources)).flow_range
        span_kw = ends.highest_kw - ends.lowest_kw
        per_kw = np.divide(DAMPING, span_kw, out=np.zeros(span_kw.size), where=span_kw > 0.0)
        np.testing.assert_allclose(wam.balance - case.balance, per_kw * (wam.flow_kw - away_kw), atol=1e-7)
        again = clear(there)
        np.testing.assert_allclose(again.wam.price, wam.price, atol=1e-6)
        assert exceeds(certify_outcome(there, again), there) == []
    assert binding > 5


def test_flows_that_stay_where_they_were_are_not_damped():
    for seed in range(16):
        case = quantity_case(seed, rows=2, losses=True)
        plain = clear(case).wam
        wam, _ = cleared_around(case, plain.flow_kw)
        np.testing.assert_allclose(wam.flow_kw, plain.flow_kw, atol=1e-6)
        np.testing.assert_allclose(wam.price, plain.price, atol=1e-7)


def test_ac_power_flow_confirms_an_overloaded_feeder():
    """Flows that are worth nearly the same would go to other LAMs with every linear model."""
    roofs = {"population.pv.kwp_min": 108.0, "population.pv.kwp_max": 540.0, "weather.cloud_cover": 0.1}
    hour = interval("13:45", example="paper", changes=sized(250) | roofs)
    case, feeder, last = hour.case, hour.feeder, None
    bids = PoolBids(
        pool_members(case, supply_curves(case.demand_kw, case.resources)), np.zeros(len(case.lam_id))
    )
    point = around(feeder, np.zeros(len(case.lam_id)))
    for _ in range(8):
        model = with_model(case, hour.limits, point)
        near = (None, None) if last is None else (last.limit_prices, last.flow_kw)
        last = bids.clear(model.network, model.grid, model.balance, model.offset_kw, None, *near)
        judged = check(feeder.solve(last.flow_kw, point.net_kvar), point, hour.limits)
        if judged.confirmed:
            break
        point = around(feeder, last.flow_kw)
    assert judged.confirmed
    # Loss factors that the charges stand for are near those of AC power flow.
    assert last.relaxed == {}
    np.testing.assert_allclose(last.balance, around(feeder, last.flow_kw).dp0, atol=0.02)
