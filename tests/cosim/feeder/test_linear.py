from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosim.feeder.circuit import AcState
from cosim.feeder.derivatives import WholeDerivatives
from cosim.feeder.judgement import check
from cosim.feeder.linear import Limits, Linearisation
from cosim.feeder.network_rows import network_rows

NODES = ("1.1", "1.2", "2.1")
BRANCHES = ("line.a.1", "line.b.1", "transformer.t.1")


def not_asked(weights):
    raise AssertionError(f"no limit asks for phasors ({weights.shape})")


def model(seed: int, lams: int = 3) -> Linearisation:
    rng = np.random.default_rng(seed)
    n, b = len(NODES), len(BRANCHES)
    return Linearisation(
        net_kw=rng.normal(0, 50, lams),
        net_kvar=np.zeros(lams),
        v_pu=rng.uniform(0.96, 1.04, n),
        current_a=rng.normal(0, 80, b) + 1j * rng.normal(0, 80, b),
        derivatives=WholeDerivatives(
            rng.normal(0, 3e-4, (n, 2 * lams)),
            rng.normal(0, 0.4, (b, 2 * lams)) + 1j * rng.normal(0, 0.2, (b, 2 * lams)),
            np.concatenate([rng.uniform(0.9, 1.1, lams), rng.normal(0, 0.02, lams)]),
            find_phasors=not_asked,
        ),
        p0_kw=rng.normal(0, 100),
        nodes=NODES,
        branches=BRANCHES,
    )


def limits(rating_a: float = 150.0) -> Limits:
    return Limits(0.95, 1.05, np.array([rating_a, rating_a, np.inf]))


def state_at(lin: Linearisation, net_kw: np.ndarray, **changes) -> AcState:
    """What AC would say if the model were exact."""
    state = AcState(
        net_kw=net_kw,
        net_kvar=lin.net_kvar,
        v_pu=lin.predict_v_pu(net_kw),
        angle_deg=np.zeros(len(NODES)),
        current_a=lin.current_a + lin.di @ (net_kw - lin.net_kw),
        source_kw=0.0,
        source_kvar=0.0,
        losses_kw=0.0,
        taps=(),
        iterations=1,
        nodes=NODES,
        branches=BRANCHES,
    )
    return replace(state, **changes)


def test_rows_say_what_the_model_says():
    lin = model(1)
    wide = np.full(3, 1e4)
    rows = network_rows(lin, limits(), -wide, wide)
    trade = np.array([12.0, -40.0, 7.0])
    value = rows.base + rows.matrix @ trade
    np.testing.assert_allclose(value[:3], lin.predict_v_pu(trade))
    assert rows.name[:4] == ("1.1", "1.2", "2.1", "line.a.1 +0")
    assert rows.kind == ("voltage",) * 3 + ("congestion",) * 12
    current = lin.current_a + lin.di @ (trade - lin.net_kw)
    turned = current[0] * np.exp(-1j * np.angle(lin.current_a[0]))
    assert value[3] == pytest.approx(100 * turned.real / 150.0)
    np.testing.assert_allclose(rows.upper[3:], 100.0)
    np.testing.assert_allclose(rows.lower[:3], 0.95)


def test_first_facet_is_the_tangent_at_the_present_current():
    lin = model(2)
    rows = network_rows(lin, limits(1.0), lin.net_kw - 1, lin.net_kw + 1)
    at_point = rows.base + rows.matrix @ lin.net_kw
    tangents = [i for i, name in enumerate(rows.name) if name.endswith(" +0")]
    np.testing.assert_allclose(at_point[tangents], 100 * np.abs(lin.current_a[:2]))


@given(seed=st.integers(0, 10_000), facets=st.sampled_from([4, 6, 12, 16]))
def test_polygon_contains_the_circle_and_little_more(seed, facets):
    lin = model(seed, lams=2)
    di = np.array([[1, 1j, 0, 0], [1, 1j, 0, 0], [0, 0, 0, 0]])
    lin = replace(lin, derivatives=replace(lin.derivatives, di=di))
    rating_a = 150.0
    wide = np.full(2, 1e5)
    rows = network_rows(lin, limits(rating_a), -wide, wide, facets=facets)
    first = [i for i, name in enumerate(rows.name) if name.startswith("line.a.1")]
    angle = np.linspace(0, 2 * np.pi, 97)
    # With these derivatives the LAMs steer the current's real and imaginary parts one by one.
    circle = rating_a * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    offset = lin.net_kw - np.array([lin.current_a[0].real, lin.current_a[0].imag])
    inside = rows.base[first] + (circle * (1 - 1e-9) + offset) @ rows.matrix[first].T
    assert np.all(np.abs(inside) <= 100.0)
    corner = 1.0 / np.cos(np.pi / facets)
    outside = rows.base[first] + (circle * corner * (1 + 1e-9) + offset) @ rows.matrix[first].T
    assert np.all(np.abs(outside).max(axis=1) > 100.0)


@given(
    seed=st.integers(0, 10_000),
    half_width=arrays(np.float64, 3, elements=st.floats(0, 200)),
    corner=arrays(np.bool_, 3),
)
def test_screening_never_drops_a_row_that_a_trade_can_reach(seed, half_width, corner):
    lin = model(seed)
    wide = np.full(3, 1e6)
    every = network_rows(lin, limits(), -wide, wide)
    low, high = lin.net_kw - half_width, lin.net_kw + half_width
    kept = set(network_rows(lin, limits(), low, high).name)
    trade = np.where(corner, high, low)
    value = every.base + every.matrix @ trade
    broken = (value > every.upper + 1e-9) | (value < every.lower - 1e-9)
    assert {name for name, is_broken in zip(every.name, broken, strict=True) if is_broken} <= kept


@given(seed=st.integers(0, 10_000), half_width=st.floats(0, 200))
def test_screening_keeps_only_rows_that_some_corner_reaches(seed, half_width):
    lin = model(seed)
    low, high = lin.net_kw - half_width, lin.net_kw + half_width
    rows = network_rows(lin, limits(), low, high)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1)
    value = rows.base[:, None] + rows.matrix @ corners
    reached = (value > rows.upper[:, None] - 1e-6) | (value < rows.lower[:, None] + 1e-6)
    assert reached.any(axis=1).all()


def test_limits_node_by_node():
    lin = model(3)
    wide = np.full(3, 1e4)
    rows = network_rows(lin, Limits(np.array([0.9, 0.91, 0.92]), 1.1, limits().rating_a), -wide, wide)
    np.testing.assert_allclose(rows.lower[:3], [0.9, 0.91, 0.92])
    np.testing.assert_allclose(rows.upper[:3], 1.1)


@pytest.mark.parametrize("facets", [3, 5, 2])
def test_a_polygon_needs_an_even_number_of_facets(facets):
    with pytest.raises(ValueError, match="even and at least 4"):
        network_rows(model(0), limits(), np.zeros(3), np.ones(3), facets=facets)


def test_balance_reproduces_the_head_power():
    lin = model(4)
    weights, offset_kw = lin.balance
    assert offset_kw + weights @ lin.net_kw == pytest.approx(lin.p0_kw)


def test_a_true_model_within_limits_is_confirmed():
    lin = model(5)
    judgement = check(state_at(lin, lin.net_kw + 1.0), lin, Limits(0.5, 1.5, np.full(3, np.inf)))
    assert judgement.confirmed
    assert judgement.linear_error_pu == pytest.approx(0.0, abs=1e-12)
    assert judgement.severity == 0.0
    assert judgement.violations == ()


def test_a_model_that_is_off_is_not_confirmed():
    lin = model(5)
    state = state_at(lin, lin.net_kw)
    off = replace(state, v_pu=state.v_pu + np.array([0.0, 2e-4, 0.0]))
    judgement = check(off, lin, Limits(0.5, 1.5, np.full(3, np.inf)))
    assert not judgement.confirmed
    assert judgement.linear_error_pu == pytest.approx(2e-4)
    assert judgement.severity == 0.0


def test_nothing_is_confirmed_without_a_model():
    lin = model(5)
    judgement = check(state_at(lin, lin.net_kw), None, Limits(0.5, 1.5, np.full(3, np.inf)))
    assert not judgement.confirmed
    assert judgement.linear_error_pu is None


def test_violations_are_named_summed_and_ranked():
    lin = model(6)
    state = state_at(
        lin,
        lin.net_kw,
        v_pu=np.array([0.949, 1.05005, 1.06]),
        current_a=np.array([153.0, 150.1, 1e6]) * 1j,
    )
    judgement = check(state, replace(lin, v_pu=state.v_pu), limits())
    assert not judgement.confirmed
    # Within 1e-4 pu and 0.1 % nothing counts: node 1.2 and line b.
    assert [(v.name, v.kind) for v in judgement.violations] == [
        ("2.1", "voltage"),
        ("line.a.1", "congestion"),
        ("1.1", "voltage"),
    ]
    assert judgement.voltage_violation_pu == pytest.approx(0.011)
    assert judgement.congestion_violation_pct == pytest.approx(2.0)
    assert judgement.severity == pytest.approx(100 + 20 + 10)
    assert str(judgement.violations[0]) == "voltage at 2.1 is 0.0100 pu beyond its limit"
    assert str(judgement.violations[1]) == "current in line.a.1 is 2.0 % above its rating"


def test_the_way_between_two_states_keeps_limits_for_a_part():
    lin = model(0)
    start = replace(
        state_at(lin, lin.net_kw),
        v_pu=np.array([1.0, 1.0, 1.0]),
        current_a=np.array([50.0, 0.0, 900.0 + 0j]),
    )
    within = limits(100.0)
    turned = np.array([-50.0, 0.0, 2000.0 + 0j])
    assert within.part_within(start, replace(start, current_a=turned)) == 1.0
    risen = replace(start, v_pu=np.array([1.2, np.nan, 0.9]))
    assert within.part_within(start, risen) == pytest.approx(0.25)
    loaded = replace(risen, current_a=np.array([0.0, 400.0j, 0.0]))
    assert limits(80.0).part_within(start, loaded) == pytest.approx(0.2)
    assert within.part_within(risen, start) == 0.0
    assert within.worst(start.v_pu, start.current_a) == 0.0
    assert within.worst(risen.v_pu, risen.current_a) == pytest.approx(1500.0)  # 0.15 pu, of 0.0001 pu each
    assert within.worst(risen.v_pu, loaded.current_a) == pytest.approx(3000.0)  # 300 % above, of 0.1 % each


def test_loading_is_zero_where_there_is_no_rating():
    np.testing.assert_allclose(limits().loading(np.array([75j, -300, 9e9])), [0.5, 2.0, 0.0])


@pytest.mark.parametrize(("share", "counts"), [(0.5, False), (1.5, True)])
def test_what_is_beyond_a_limit_is_what_is_named_a_violation(share, counts):
    lin = model(6)
    inside = state_at(lin, lin.net_kw)
    v_pu, current_a = np.full(inside.v_pu.size, 1.0), np.full(inside.current_a.size, 40.0 + 0j)
    v_pu[0], v_pu[-1] = 0.95 - share * 1e-4, np.nan
    current_a[0] = 100.0 * (1.0 + share * 1e-3)
    state = replace(inside, v_pu=v_pu, current_a=current_a)
    bounds = Limits(0.95, 1.05, np.full(current_a.size, 100.0))
    under, over, excess = bounds.beyond(state.v_pu, state.current_a)
    assert (np.count_nonzero(under), np.count_nonzero(over)) == (int(counts), 0)
    assert np.count_nonzero(excess) == int(counts)
    found = {(each.name, each.kind): each.amount for each in check(state, lin, bounds).violations}
    assert found == (
        {
            (state.nodes[0], "voltage"): pytest.approx(under[0]),
            (state.branches[0], "congestion"): pytest.approx(100.0 * excess[0]),
        }
        if counts
        else {}
    )
