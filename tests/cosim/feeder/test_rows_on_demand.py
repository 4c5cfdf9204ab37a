"""Derivatives row by row, by the adjoint method: the same as all of them at once, on IEEE 123."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from broker.snapshot import pack, typed, unpack
from cosim.feeder.circuit import FeederError
from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import Broken
from cosim.feeder.linear import Limits
from cosim.feeder.network_rows import network_rows
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.power_quality import PowerQualityLimits
from cosim.feeder.powerflow import exact
from cosim.feeder.settings import Event
from cosim.feeder.tick_models import TickModels
from cosim.feeder.under_events import FeederUnderEvents
from cosim.feeder.voltvar import Droop, seen_by_lams, with_droop
from cosim.feeder.watched import NEIGHBOURHOODS, NOTHING, WORST, LimitNames, LimitWatch, Watched
from market.model.case import Grid, Network
from market.model.curves import Curves
from market.solver.wam import clear_wam


@pytest.fixture(scope="module")
def feeder():
    return Feeder()


@pytest.fixture
def models(feeder, monkeypatch):
    """Makes a model in both ways, at any feeder with these calls."""

    def make(any_feeder, share=0.8):
        spot_kw = feeder.layout.spot_kw
        point = share * spot_kw, share * spot_kw * feeder.layout.tan_phi
        whole = any_feeder.linearise(*point)
        with monkeypatch.context() as patch:
            patch.setattr(exact, "WHOLE_VALUES", 0)
            rows = any_feeder.linearise(*point)
        assert whole.derivatives.is_whole
        assert not rows.derivatives.is_whole
        return whole, rows

    return make


def agree(whole, rows):
    for name in ("dv", "dv_kvar", "di", "di_kvar"):
        expected = getattr(whole, name)
        np.testing.assert_allclose(getattr(rows, name), expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    # One row, to the rounding of both factorisations: either is as far from one in extended precision.
    head, expected = (np.concatenate([each.dp0, each.dp0_kvar]) for each in (rows, whole))
    np.testing.assert_allclose(head, expected, rtol=0, atol=1e-9 * np.abs(expected).max())
    step = np.random.default_rng(5).normal(0, 2, (2, len(whole.net_kw)))
    there = whole.net_kw + step[0], whole.net_kvar + step[1]
    np.testing.assert_allclose(rows.predict_v_pu(*there), whole.predict_v_pu(*there), atol=1e-10)


def test_derivatives_per_kvar_are_found_where_they_are_asked_for(feeder, models):
    model = models(feeder)[0]
    lams, of = len(model.net_kw), model.derivatives
    limits, box = Limits(0.99, 1.01, feeder.layout.rating_a), (0.0 * model.net_kw, 2.0 * model.net_kw)
    before = network_rows(model, limits, *box)
    step = np.concatenate([np.ones(lams), np.zeros(lams)])
    along = of.along(step)
    assert len(before.name) > 50
    weight, _ = model.balance
    np.testing.assert_array_equal(weight, model.dp0)
    assert "whole" not in vars(of)
    assert "_head" not in vars(of.rows)
    # Asked for all, the first half stays as it was.
    every = of.volts(np.arange(len(model.nodes)))
    np.testing.assert_array_equal(every[:, :lams], of.dv)
    assert every[:, lams:].any()
    for one, other in zip(along, of.whole.along(step), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)
    reactive = network_rows(model, limits, *(np.concatenate([end, end]) for end in box))
    assert reactive.matrix.shape[1] == 2 * lams
    every_weight, _ = model.balance_over(2 * lams)
    np.testing.assert_array_equal(every_weight[:lams], weight)
    assert every_weight[lams:].any()


def test_rows_are_those_of_the_matrices(feeder, models):
    whole, rows = models(feeder)
    agree(whole, rows)
    some = np.array([3, 17, 200])
    np.testing.assert_allclose(rows.derivatives.volts(some)[:, :85], whole.dv[some], atol=1e-12)
    weights = sparse.csr_array(np.random.default_rng(1).normal(size=(4, len(whole.nodes))))
    seen = whole.derivatives.seen(weights)
    np.testing.assert_allclose(rows.derivatives.seen(weights), seen, atol=1e-8 * np.abs(seen).max())


def test_rows_of_a_feeder_with_an_outage_are_those_of_its_matrices(feeder, models):
    now = FeederUnderEvents(feeder)
    now.apply(Event(at=0, kind="line-outage", element="l67"))
    whole, rows = models(now)
    agree(whole, rows)
    weights = sparse.csr_array(np.random.default_rng(1).normal(size=(4, len(whole.nodes))))
    seen = whole.derivatives.seen(weights)
    np.testing.assert_allclose(seen[:, :85], weights @ whole.dv, atol=1e-15)
    np.testing.assert_allclose(rows.derivatives.seen(weights), seen, atol=1e-8 * np.abs(seen).max())


def test_a_feeder_with_an_outage_is_asked_for_as_many_directions_as_are_wanted(feeder, models):
    now = FeederUnderEvents(feeder)
    now.apply(Event(at=0, kind="line-outage", element="l67"))
    whole, rows = models(now)
    lams, nodes, branches = len(whole.net_kw), np.array([250, 3, 17]), np.array([4, 200])
    per_kw = whole.derivatives.volts(nodes, lams), whole.derivatives.currents(branches, lams)
    network_rows(whole, Limits(0.99, 1.01, feeder.layout.rating_a), 0.0 * whole.net_kw, 2.0 * whole.net_kw)
    assert "whole" not in vars(whole.derivatives.part)
    for model in (whole, rows):
        of = model.derivatives
        for count in (5, lams, lams + 5, None):
            np.testing.assert_array_equal(of.volts(nodes, count), of.volts(nodes)[:, :count])
            np.testing.assert_array_equal(of.currents(branches, count), of.currents(branches)[:, :count])
    np.testing.assert_array_equal(per_kw[0], whole.derivatives.volts(nodes)[:, :lams])
    np.testing.assert_array_equal(per_kw[1], whole.derivatives.currents(branches)[:, :lams])
    assert per_kw[0].any()
    assert per_kw[1].any()


def test_rows_with_droops_are_those_of_the_matrices(feeder, models):
    layout = feeder.layout
    droop = Droop(2.0 * layout.spot_kw, seen_by_lams(layout.lam_nodes, len(layout.nodes)))
    held, held_rows = models(feeder, share=-0.7)
    whole, rows = with_droop(held, droop), with_droop(held_rows, droop)
    assert np.abs(whole.dv - held.dv).max() > 0.05 * np.abs(held.dv).max()
    agree(whole, rows)


def test_watched_limits_have_the_rows_that_they_have_among_all(feeder, models):
    whole, rows = models(feeder)
    layout = feeder.layout
    limits = Limits(0.99, 1.01, layout.rating_a)
    box = -2.0 * layout.spot_kw, 2.0 * layout.spot_kw
    every = network_rows(whole, limits, *box)
    rated = np.flatnonzero(np.isfinite(layout.rating_a))
    watched = Watched(np.array([5, 40]), rated[[0, 7]], rated[[7]])
    some = network_rows(rows, limits, *box, watched)
    assert {name.split()[0] for name in some.name} == {
        *(layout.nodes[i] for i in watched.nodes),
        *(layout.branches[i] for i in watched.branches),
    }
    # The box does not reach all facets.
    straight, turned = (sum(layout.branches[i] in name for name in some.name) for i in watched.branches)
    assert straight <= 3 < turned
    place = [every.name.index(name) for name in some.name]
    np.testing.assert_allclose(some.matrix, every.matrix[place], atol=1e-8 * np.abs(every.matrix).max())
    np.testing.assert_allclose(some.base, every.base[place], atol=1e-7)
    np.testing.assert_array_equal(some.upper, every.upper[place])


def test_of_too_many_watched_limits_the_nearest_stay(feeder):
    layout = feeder.layout
    watch = LimitWatch(layout, Limits(0.95, 1.05, layout.rating_a))
    net_kw = layout.spot_kw
    state = feeder.solve(net_kw, net_kw * layout.tan_phi)
    rated = np.flatnonzero(np.isfinite(layout.rating_a))
    all_of_them = Watched(np.arange(len(layout.nodes)), rated, rated[:5])
    seen = state.v_pu, state.current_a
    assert watch.nearest(*seen, all_of_them, 2000) is all_of_them
    few = watch.nearest(*seen, all_of_them, 60)
    assert len(few.nodes) + 6 * len(few.branches) <= 60
    room_pu = np.minimum(state.v_pu - 0.95, 1.05 - state.v_pu)
    left = np.setdiff1d(all_of_them.nodes, few.nodes)
    assert room_pu[few.nodes].max() <= room_pu[left].min()
    assert layout.branches.index("line.l115.1") in few.branches


def test_of_many_broken_limits_those_come_first_that_are_met_first_on_the_way(feeder):
    layout, rng = feeder.layout, np.random.default_rng(4)
    watch = LimitWatch(layout, Limits(0.95, 1.05, layout.rating_a))
    currents = np.zeros(len(layout.branches), dtype=np.complex128)
    start = rng.uniform(0.96, 1.04, len(layout.nodes))
    v_pu = rng.uniform(0.80, 0.94, len(layout.nodes))
    # Here a voltage crosses the whole band before it meets its limit: the way counts, not the room at first.
    start[7], v_pu[7] = 1.0499, 0.949
    met_at = (start - 0.95) / (start - v_pu)
    found = watch.widened(v_pu, currents, NOTHING, start=(start, currents))
    assert set(np.argsort(met_at)[:WORST]) <= set(found.nodes)
    assert 7 not in found.nodes
    assert len(found.nodes) <= WORST + NEIGHBOURHOODS
    without = watch.widened(v_pu, currents, NOTHING)
    assert set(np.argsort(v_pu)[:WORST]) <= set(without.nodes)
    assert not set(np.argsort(met_at)[:WORST]) <= set(without.nodes)
    # What was broken before and has hardly moved comes first of all.
    start[9], v_pu[9] = 0.9489, 0.949
    assert 9 in watch.widened(v_pu, currents, NOTHING, start=(start, currents)).nodes


def interval(feeder, operation, tick=0, part=1.0):
    """An interval with much PV between market and feeder, all of its powers times a part."""
    lams, spot_kw, rounds = len(feeder.layout.lams), part * feeder.layout.spot_kw, []
    low_kw, high_kw = -3.0 * spot_kw, 1.0 * spot_kw
    price = np.tile([0.02, 0.30], lams)
    curves = Curves(price, np.stack([high_kw, low_kw], axis=1).ravel(), 2 * np.arange(lams + 1))
    grid = Grid(import_price=0.25, export_price=0.22, import_limit_kw=2e4, export_limit_kw=2e4)
    net_kw, outcome = feeder.layout.spot_kw, None
    kvar = net_kw * feeder.layout.tan_phi
    while not rounds or not rounds[-1].confirmed:
        proposal = Proposal(tick, len(rounds), net_kw, kvar, np.zeros(lams), low_kw, high_kw)
        rounds.append(operation.judge(feeder, proposal))
        assert len(rounds) < 20
        model = rounds[-1].model
        if model is not None:
            rows = model.rows
            network = Network(rows.matrix, rows.base, rows.lower, rows.upper)
            outcome = clear_wam(curves, network, grid, model.balance, model.offset_kw)
            net_kw = outcome.net_kw
    return outcome, rounds


def operation_of(feeder):
    limits = Limits(0.95, 1.07, 2.0 * feeder.layout.rating_a)
    return Operation(OperatingRules(limits, 900.0, np.zeros(len(feeder.layout.lams))))


def test_an_interval_begins_with_the_limits_that_the_last_one_ended_at(feeder, monkeypatch):
    monkeypatch.setattr(exact, "WHOLE_VALUES", 0)
    operation = operation_of(feeder)
    first, rounds = interval(feeder, operation)
    binding = {name for name, dual in zip(rounds[-2].model.rows.name, first.row_dual, strict=True) if dual}
    assert binding
    kept = operation.memory(feeder, 0)
    assert {name.split()[0] for name in binding} <= {*kept.near.nodes, *kept.near.branches}
    later, later_rounds = interval(feeder, operation, tick=1, part=0.97)
    assert binding <= set(later_rounds[0].model.rows.name)
    assert len(later_rounds) < len(interval(feeder, operation_of(feeder), part=0.97)[1])

    # Whether it begins again, or another process takes over, the bits are those of the first time.
    other = operation_of(feeder)
    other.resume(feeder, unpacked(kept))
    for again in (operation, other):
        outcome, its_rounds = interval(feeder, again, tick=1, part=0.97)
        assert outcome.price.tolist() == later.price.tolist()
        assert [each.model and each.model.rows.name for each in its_rounds] == [
            each.model and each.model.rows.name for each in later_rounds
        ]
        assert again.memory(feeder, 1) == operation.memory(feeder, 1)


def unpacked(memory):
    near = unpack(pack({"near": [list(names) for names in memory.near]}))
    return replace(memory, near=typed(near, "near", LimitNames))


def test_limits_that_a_feeder_does_not_have_are_refused_in_a_snapshot(feeder):
    kept = replace(operation_of(feeder).memory(feeder, 0), near=LimitNames(("1.1", "nowhere.1")))
    with pytest.raises(FeederError, match="limits that this feeder does not have"):
        operation_of(feeder).resume(feeder, kept)


def test_a_model_of_all_limits_carries_none(feeder):
    operation = operation_of(feeder)
    interval(feeder, operation)
    assert operation.memory(feeder, 0).near == LimitNames()


def test_watched_limits_lead_to_the_clearing_of_all(feeder, monkeypatch):
    """Much PV on IEEE 123: few rows, asked for as limits are broken, and the same prices."""
    whole, whole_rounds = interval(feeder, operation_of(feeder))
    monkeypatch.setattr(exact, "WHOLE_VALUES", 0)
    few, rounds = interval(feeder, operation_of(feeder))
    assert np.count_nonzero(whole.row_dual) >= 2
    np.testing.assert_allclose(few.price, whole.price, atol=1e-5)
    np.testing.assert_allclose(few.net_kw, whole.net_kw, atol=0.05)
    assert sum(answer.unwatched > 0 for answer in rounds) >= 1
    assert not any(answer.unwatched for answer in whole_rounds)
    screened = [answer for answer in rounds if answer.source_kw is None]
    assert screened
    assert all(answer.model.rows.name and not answer.confirmed for answer in screened)
    assert few.row_dual.size < 0.5 * whole.row_dual.size


def test_powers_that_break_limits_with_rows_go_to_power_flow_at_once(feeder, models):
    """No trade keeps them as the model has it, so that more rows of the same model are no help."""
    _, rows = models(feeder)
    layout, limits = feeder.layout, Limits(0.99, 1.01, feeder.layout.rating_a)
    tick = TickModels(layout, limits)
    where, kvar = feeder.positions(), np.zeros(len(layout.lams))
    near_kw, far_kw = 0.8 * layout.spot_kw, 1.3 * layout.spot_kw
    tick.see(where, feeder.solve(near_kw, near_kw * layout.tan_phi), near_kw, kvar)
    tick.renew(where, rows)
    first = tick.screen(far_kw, rows.net_kvar)
    assert first.missed > 0
    assert first.is_enough  # the start breaks limits that it holds
    loose = TickModels(layout, Limits(0.9, 1.09, 2.0 * layout.rating_a))
    loose.see(where, feeder.solve(near_kw, near_kw * layout.tan_phi), near_kw, kvar)
    loose.renew(where, rows)
    assert not loose.screen(-2.0 * layout.spot_kw, rows.net_kvar).is_enough


def test_models_whose_error_does_not_fall_swing(feeder):
    tick, where = TickModels(feeder.layout, Limits(0.9, 1.1, feeder.layout.rating_a)), feeder.positions()
    errors = [None, 0.02, 0.011, 0.010, 0.001]
    assert [tick.swings(where, error) for error in errors] == [False, False, False, True, True]
    tick.begin(1)
    assert not tick.swings(where, 0.02)


def far_proposal(feeder, round_=0, share=-3.0):
    spot_kw = feeder.layout.spot_kw
    kvar = 0.5 * spot_kw * feeder.layout.tan_phi
    return Proposal(0, round_, share * spot_kw, kvar, np.zeros_like(spot_kw), -3.0 * spot_kw, 2.0 * spot_kw)


@pytest.fixture
def large(monkeypatch):
    """IEEE 123 as if it were too large for all derivatives, from its opening on."""
    monkeypatch.setattr(exact, "WHOLE_VALUES", 0)
    return Feeder()


def rules_of(feeder, **changes):
    limits = Limits(0.9, 1.08, np.full_like(feeder.layout.rating_a, np.inf))
    return OperatingRules(**({"limits": limits, "interval_s": 900.0, "limit_kvar": np.zeros(85)} | changes))


def test_a_large_feeder_knows_by_its_opening_where_a_first_proposal_leads_far(large):
    proposal = far_proposal(large)
    operation = Operation(rules_of(large))
    answer = operation.judge(large, proposal)
    # No power flow was asked, and what is broken by the model is told as limits that it did not hold.
    assert (answer.source_kw, answer.confirmed, answer.broken) == (None, False, Broken())
    there = large.linearise(large.layout.spot_kw, proposal.load_kvar)
    expected = there.predict(proposal.net_kw)
    assert answer.unwatched == pytest.approx(operation.rules.limits.broken(expected), abs=3)
    # The model is that of own loads, at the reactive power of the proposal but for how slopes change with it.
    rows = answer.model.rows
    assert "83.3" in {name.split()[0] for name in rows.name}
    at_own = rows.base + rows.matrix @ large.layout.spot_kw
    volts = dict(zip(there.nodes, there.v_pu, strict=True))
    np.testing.assert_allclose(at_own, [volts[name] for name in rows.name], atol=1e-3)
    # AC power flow then finds it hardly further off than the tangent at own loads.
    closer = far_proposal(large, 1, share=0.8)
    near = operation.judge(large, closer)
    assert near.source_kw is not None
    solved = large.solve(closer.net_kw, closer.load_kvar)
    error_pu = np.abs(there.predict_v_pu(closer.net_kw) - solved.v_pu).max()
    assert near.linear_error_pu < error_pu + 1e-3
    assert near.linear_error_pu < 0.05 * np.abs(solved.v_pu - expected.v_pu).max()


@pytest.mark.parametrize(
    "changes",
    [
        {"reactive": "volt-var"},
        {"reactive": "market"},
        {"network": False},
        {"limits": "unbalance"},
    ],
)
def test_where_more_than_voltages_counts_the_first_proposal_is_solved(large, changes):
    if changes.get("limits"):
        quality = PowerQualityLimits(unbalance_pct=50.0, three_phase=large.layout.three_phase)
        changes = {"limits": replace(rules_of(large).limits, power_quality=quality)}
    assert Operation(rules_of(large, **changes)).judge(large, far_proposal(large)).source_kw is not None


def test_the_model_of_the_opening_holds_while_controls_and_events_leave_the_feeder_alone(large):
    first, again = large.opened_model(), large.opened_model()
    rows = np.array([3, 70])
    assert first.derivatives.volts(rows).tolist() == again.derivatives.volts(rows).tolist()
    assert first.derivatives is not again.derivatives  # each interval finds its own rows
    own = large.linearise(large.layout.spot_kw, large.layout.spot_kw * large.layout.tan_phi)
    np.testing.assert_array_equal(first.v_pu, own.v_pu)
    np.testing.assert_array_equal(first.dp0, own.dp0)
    taps = large.taps()
    large.set_taps({"reg1a": taps["reg1a"] - 1})
    assert large.opened_model() is None
    large.set_taps(taps)
    assert large.opened_model() is not None
    under = FeederUnderEvents(large)
    assert under.opened_model() is not None
    under.apply(Event(at=0, kind="load-step", lam="47", kw=10.0))
    assert under.opened_model() is None
    out = FeederUnderEvents(large)
    out.apply(Event(at=0, kind="line-outage", element="l67"))
    assert out.opened_model() is None


def test_a_small_feeder_keeps_no_model_of_its_opening(feeder):
    assert feeder.opened_model() is None
