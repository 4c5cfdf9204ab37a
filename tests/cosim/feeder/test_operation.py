"""Judging dispatches in time on IEEE 123: before and after controls, with droops and set-points."""

from dataclasses import replace

import numpy as np
import pytest

from cosim.feeder.circuit import PowerFlowError
from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import Broken, check
from cosim.feeder.limits import limits_of
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.settings import Event, VoltageClass
from cosim.scenario.sections import FeederSection


@pytest.fixture
def feeder():
    return Feeder()


def rules_for(feeder, **changes):
    layout = feeder.layout
    wide = Limits(0.9, 1.1, np.full_like(layout.rating_a, np.inf))
    usual = {"limits": wide, "interval_s": 900.0, "limit_kvar": 0.44 * layout.spot_kw}
    return OperatingRules(**(usual | changes))


def proposal_for(feeder, share, *, round_, inverter_kvar=None, tick=0):
    spot_kw = feeder.layout.spot_kw
    return Proposal(
        tick=tick,
        round=round_,
        net_kw=share * spot_kw,
        load_kvar=0.5 * spot_kw * feeder.layout.tan_phi,
        inverter_kvar=np.zeros_like(spot_kw) if inverter_kvar is None else inverter_kvar,
        low_kw=-2.0 * spot_kw,
        high_kw=2.0 * spot_kw,
    )


def test_limits_of_positions_that_a_confirmed_dispatch_does_not_meet_are_forgotten_once(feeder):
    spot_kw, kvar = feeder.layout.spot_kw, 0.5 * feeder.layout.spot_kw * feeder.layout.tan_phi
    feeder.act(lambda: feeder.solve(0.0 * spot_kw, kvar), 3600.0)
    start, rest = feeder.positions(), feeder.solve(0.0 * spot_kw, kvar)
    raised = feeder.act(lambda: feeder.solve(1.0 * spot_kw, kvar), 900.0).last
    feeder.put(start)
    assert raised.v_pu.max() > rest.v_pu.max() + 0.002
    limits = Limits(0.8, 0.5 * (raised.v_pu.max() + rest.v_pu.max()), np.inf * feeder.layout.rating_a)
    operation = Operation(rules_for(feeder, limits=limits, controls_act=True))
    operation._judge.is_at_rest = True  # keeps the taps of no load

    def judged(share, round_):
        answer = operation.judge(feeder, proposal_for(feeder, share, round_=round_))
        names = () if answer.model is None else answer.model.rows.name
        return answer.confirmed, answer.model is None, any("after taps" in name for name in names)

    # Full load raises taps until limits are broken; without load they stay, but would break limits there.
    assert [judged(1.0, round_) for round_ in (0, 1)] == [(False, False, False), (False, False, True)]
    assert [judged(0.0, round_) for round_ in (2, 3)] == [(False, False, True), (True, False, False)]
    assert judged(0.0, 4) == (True, True, False)


def test_a_dispatch_must_keep_the_limits_once_regulators_have_answered_it(feeder):
    # At night all is well until regulators, set for full load, step down for the export that is proposed.
    spot_kw, kvar = feeder.layout.spot_kw, 0.5 * feeder.layout.spot_kw * feeder.layout.tan_phi
    feeder.act(lambda: feeder.solve(0.2 * spot_kw, kvar), 3600.0)
    start = feeder.positions()
    first = feeder.solve(1.0 * spot_kw, kvar)
    run = feeder.act(lambda: feeder.solve(1.0 * spot_kw, kvar), 900.0)
    feeder.put(start)
    assert run.last.v_pu.max() > first.v_pu.max() + 0.005
    between = 0.5 * (run.last.v_pu.max() + first.v_pu.max())
    limits = Limits(0.8, between, np.full_like(feeder.layout.rating_a, np.inf))

    held = Operation(rules_for(feeder, limits=limits))
    held.judge(feeder, proposal_for(feeder, 1.0, round_=0))
    assert held.judge(feeder, proposal_for(feeder, 1.0, round_=1)).confirmed

    free = Operation(rules_for(feeder, limits=limits, controls_act=True))
    free._judge.is_at_rest = True  # keeps the taps of the night
    free.judge(feeder, proposal_for(feeder, 1.0, round_=0))
    answer = free.judge(feeder, proposal_for(feeder, 1.0, round_=1))
    assert not answer.confirmed
    assert answer.broken.violations
    assert all(text.endswith("once regulators have acted") for text in answer.broken.violations)
    assert feeder.positions() == start
    # Both positions of the controls bound the next clearing.
    names = answer.model.rows.name
    assert any(name.endswith("after taps 1") for name in names)
    assert any("after" not in name for name in names)
    assert len(set(names)) == len(names)
    # The rows of the second position are true there.
    rows = answer.model.rows
    later = [at for at, name in enumerate(names) if name.endswith("after taps 1")]
    value = rows.base + rows.matrix @ spot_kw
    volts = dict(zip(run.last.nodes, run.last.v_pu, strict=True))
    for at in later:
        assert value[at] == pytest.approx(volts[names[at].removesuffix(" after taps 1")], abs=1e-6)


def test_a_dispatch_that_lets_controls_rest_is_confirmed_with_its_first_model(feeder):
    operation = Operation(rules_for(feeder, controls_act=True))
    assert not operation.judge(feeder, proposal_for(feeder, 0.6, round_=0)).confirmed
    answer = operation.judge(feeder, proposal_for(feeder, 0.6, round_=1))
    assert answer.confirmed
    assert answer.model is None
    assert answer.flags == ()


def test_metered_power_moves_the_controls_and_is_weighed_by_time(feeder):
    operation = Operation(
        rules_for(feeder, controls_act=True, limits=Limits(0.9, 1.04, feeder.layout.rating_a))
    )
    spot_kw = feeder.layout.spot_kw
    physics = operation.meter(feeder, 0.2 * spot_kw, 0.2 * spot_kw * feeder.layout.tan_phi)
    run = physics.run
    assert run.count("regulator") > 5
    assert feeder.positions().taps == dict(zip(feeder.layout.regulators, run.last.taps, strict=True))
    by_hand = sum(
        share * np.maximum(state.v_pu - 1.04, 0.0)[state.v_pu > 1.04 + 1e-4].sum() * 0.25
        for (_, state), share in zip(run.states, run.shares(), strict=True)
    )
    assert by_hand > 0
    assert physics.violation_hours.over_pu_h == pytest.approx(by_hand)
    assert physics.violation_hours.under_pu_h == 0.0
    assert physics.broken == Broken()
    means = [state.losses_kw for _, state in run.states]
    assert min(means) <= physics.mean("losses_kw") <= max(means)
    rest = operation.meter(feeder, 0.2 * spot_kw, 0.2 * spot_kw * feeder.layout.tan_phi)
    assert rest.run.actions == ()
    assert rest.violation_hours.node_h == 0.0


def test_with_droops_a_dispatch_is_judged_at_their_fixed_point(feeder):
    operation = Operation(rules_for(feeder, reactive="volt-var", limit_kvar=1.3 * feeder.layout.spot_kw))
    answer = operation.judge(feeder, proposal_for(feeder, -1.0, round_=0))
    assert answer.model.limit_kvar.size == 0
    close = operation.judge(feeder, proposal_for(feeder, -1.02, round_=1))
    assert close.linear_error_pu < 1e-4
    assert close.confirmed
    spot_kw = feeder.layout.spot_kw
    physics = operation.meter(feeder, -spot_kw, 0.5 * spot_kw * feeder.layout.tan_phi)
    assert physics.net_kvar.sum() > 0.5 * (spot_kw * feeder.layout.tan_phi).sum() + 100.0


def test_with_set_points_the_model_has_a_column_for_each_lams_inverters(feeder):
    lams = len(feeder.layout.lams)
    rules = rules_for(feeder, reactive="market", limits=Limits(0.99, 1.03, feeder.layout.rating_a))
    operation = Operation(rules)
    asked = 0.1 * rules.limit_kvar
    model = operation.judge(feeder, proposal_for(feeder, -0.5, round_=0, inverter_kvar=asked)).model
    assert model.balance.shape == (2 * lams,)
    assert model.rows.matrix.shape[1] == 2 * lams
    np.testing.assert_array_equal(model.limit_kvar, rules.limit_kvar)
    np.testing.assert_array_equal(model.present_kvar, asked)
    # True at another dispatch and other set-points.
    net_kw, kvar = -0.48 * feeder.layout.spot_kw, 0.15 * rules.limit_kvar
    answer = operation.judge(feeder, proposal_for(feeder, -0.48, round_=1, inverter_kvar=kvar))
    assert answer.linear_error_pu < 1e-4
    head_kw = model.offset_kw + model.balance @ np.concatenate([net_kw, kvar])
    assert head_kw == pytest.approx(answer.source_kw, abs=0.5)


def test_without_network_no_row_bounds_the_clearing_but_ac_still_judges(feeder):
    rules = rules_for(feeder, network=False, limits=Limits(0.99, 1.01, feeder.layout.rating_a))
    operation = Operation(rules)
    first = operation.judge(feeder, proposal_for(feeder, 1.0, round_=0))
    assert first.model.rows.name == ()
    assert first.model.rows.matrix.shape == (0, len(feeder.layout.lams))
    again = operation.judge(feeder, proposal_for(feeder, 1.0, round_=1))
    assert again.broken.violations
    assert not again.confirmed
    assert again.model is None
    assert again.severity == 0.0


def test_events_happen_at_their_tick_and_darken_the_judgement(feeder):
    outage = Event(at=1, kind="line-outage", element="l67")
    operation = Operation(rules_for(feeder, events={1: (outage,)}, controls_act=True))
    assert operation.open(feeder, 0) == ([], [])
    whole = operation.judge(feeder, proposal_for(feeder, 0.8, round_=0))
    told, dark = operation.open(feeder, 1)
    assert len(told) == 1
    assert len(dark) == 19
    operation.judge(feeder, proposal_for(feeder, 0.8, round_=0, tick=1))
    answer = operation.judge(feeder, proposal_for(feeder, 0.8, round_=1, tick=1))
    assert answer.confirmed
    assert answer.linear_error_pu < 1e-8
    assert answer.source_kw < 0.85 * whole.source_kw


def test_classes_of_nodes_and_emergency_ratings_make_the_limits(feeder):
    layout = feeder.layout
    section = FeederSection(
        voltage_classes=(
            VoltageClass(name="primary", up_to_kv=2.5, min_pu=0.97, max_pu=1.04),
            VoltageClass(name="secondary", up_to_kv=0.5, min_pu=0.92, max_pu=1.06),
        ),
        rating_factor=2.0,
    )
    limits = limits_of(section, layout)
    low = layout.node_base_kv < 0.5
    assert low.any()
    assert set(limits.voltage_max_pu[low]) == {1.06}
    assert set(limits.voltage_min_pu[~low]) == {0.97}
    np.testing.assert_array_equal(limits.rating_a, 2.0 * layout.rating_a)
    stated = replace(layout, emergency_a=1.5 * layout.rating_a)
    emergency = limits_of(FeederSection(rating="emergency"), stated)
    np.testing.assert_array_equal(emergency.rating_a, 1.5 * layout.rating_a)
    # IEEE 123 states none: then the normal one holds.
    np.testing.assert_array_equal(layout.emergency_a, layout.rating_a)
    assert np.isinf(limits_of(FeederSection(current_limits=False), layout).rating_a).all()


def test_the_state_that_the_circuit_holds_is_not_solved_again(feeder):
    spot_kw, kvar = feeder.layout.spot_kw, 0.5 * feeder.layout.spot_kw * feeder.layout.tan_phi
    first = feeder.solve(spot_kw, kvar)
    assert feeder.solve(spot_kw.copy(), kvar.copy()) is first
    feeder.linearise(spot_kw, kvar)
    assert feeder.solve(spot_kw, kvar) is first
    other = feeder.solve(0.9 * spot_kw, kvar)
    again = feeder.solve(spot_kw, kvar)
    assert again is not first
    np.testing.assert_array_equal(again.v_pu, first.v_pu)
    assert (other.v_pu != first.v_pu).any()
    taps = feeder.taps()
    feeder.set_taps({"reg1a": taps["reg1a"] - 4})
    assert feeder.solve(spot_kw, kvar).v_pu.max() < first.v_pu.max()
    feeder.set_taps(taps)
    np.testing.assert_array_equal(feeder.solve(spot_kw, kvar).v_pu, first.v_pu)


@pytest.mark.parametrize(
    ("share", "lowest_pu", "highest_pu", "is_at_own_loads"),
    [
        (-3.0, 0.9, 1.08, True),  # 1.196 pu, and the way from own loads, 1.067 pu, leaves the limits early
        (-3.0, 0.9, 1.15, False),  # the way leaves them late
        (-0.5, 0.9, 1.12, False),  # 1.126 pu is hardly beyond them
        (-3.0, 0.99, 1.01, False),  # own loads break them as well
        (-3.0, 0.9, 1.2, False),  # within them
    ],
)
def test_a_first_model_is_taken_at_own_loads_where_the_first_proposal_leads_far_beyond_the_limits(
    feeder, share, lowest_pu, highest_pu, is_at_own_loads
):
    layout = feeder.layout
    limits = Limits(lowest_pu, highest_pu, np.full_like(layout.rating_a, np.inf))
    operation = Operation(rules_for(feeder, limits=limits))
    proposal = proposal_for(feeder, share, round_=0)
    answer = operation.judge(feeder, proposal)
    state = feeder.solve(proposal.net_kw, proposal.load_kvar)
    assert answer.source_kw == state.source_kw
    assert len(answer.broken.violations) + answer.broken.unnamed == len(check(state, None, limits).violations)
    assert not answer.confirmed
    at_kw = layout.spot_kw if is_at_own_loads else proposal.net_kw
    model = feeder.linearise(at_kw, proposal.load_kvar)
    np.testing.assert_array_equal(answer.model.balance, model.dp0)
    # From then on models are taken where they were asked for.
    near = proposal_for(feeder, 0.6, round_=1)
    after = operation.judge(feeder, near)
    error = np.abs(model.predict_v_pu(near.net_kw) - feeder.solve(near.net_kw, near.load_kvar).v_pu).max()
    assert after.linear_error_pu == pytest.approx(error, rel=1e-9)
    if after.model is not None:
        np.testing.assert_array_equal(after.model.balance, feeder.linearise(near.net_kw, near.load_kvar).dp0)


def test_a_first_proposal_without_power_flow_is_answered_from_own_loads(feeder):
    operation = Operation(rules_for(feeder))
    with pytest.raises(PowerFlowError) as failed:
        feeder.solve(8.0 * feeder.layout.spot_kw, proposal_for(feeder, 8.0, round_=0).load_kvar)
    proposal = proposal_for(feeder, 8.0, round_=0)
    answer = operation.judge(feeder, proposal)
    assert (answer.source_kw, answer.confirmed, answer.severity) == (None, False, None)
    assert answer.unwatched == 0
    assert answer.broken == Broken((str(failed.value),))
    assert answer.flags == (f"{failed.value}; the market begins at the LAMs' own loads instead",)
    own = feeder.linearise(feeder.layout.spot_kw, proposal.load_kvar)
    np.testing.assert_array_equal(answer.model.balance, own.dp0)
    # The interval goes on as any other.
    assert not operation.judge(feeder, proposal_for(feeder, 0.7, round_=1)).confirmed
    assert operation.judge(feeder, proposal_for(feeder, 0.7, round_=2)).confirmed


def test_what_has_no_power_flow_at_own_loads_is_answered_from_a_part_of_them(feeder):
    own = replace(feeder.layout, spot_kw=10.0 * feeder.layout.spot_kw)
    feeder.layout = own
    answer = Operation(rules_for(feeder)).judge(feeder, proposal_for(feeder, 1.0, round_=0))
    assert answer.model is not None
    assert answer.flags[0].endswith("begins at 0.2 times the LAMs' own loads instead")
    # Reactive power that nothing carries, whatever is drawn beside it.
    much = replace(proposal_for(feeder, 1.0, round_=0), load_kvar=own.spot_kw)
    with pytest.raises(PowerFlowError):
        Operation(rules_for(feeder)).judge(feeder, much)


def test_controls_do_not_come_to_rest_where_there_is_no_power_flow(feeder):
    operation = Operation(rules_for(feeder, controls_act=True))
    start = feeder.positions()
    assert operation.judge(feeder, proposal_for(feeder, 8.0, round_=0)).model is not None
    assert feeder.positions() == start
    operation.judge(feeder, proposal_for(feeder, 0.3, round_=1))
    assert feeder.positions() != start
