"""The shipped IEEE 123-node feeder on the real OpenDSS."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosim.feeder.circuit import FeederError, PowerFlowError
from cosim.feeder.judgement import check
from cosim.feeder.linear import Limits, Linearisation
from cosim.feeder.network_rows import network_rows
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow.published import solve_as_published

REFERENCE = Path(__file__).parent / "data" / "ieee123_voltages.csv"


@pytest.fixture(scope="module")
def feeder() -> Feeder:
    return Feeder()


@pytest.fixture(scope="module")
def spot(feeder) -> tuple[np.ndarray, np.ndarray]:
    return feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi


def test_published_solution():
    """The published case, taps held (IEEE PES Distribution Test Feeder Working Group)."""
    solution = solve_as_published()
    with REFERENCE.open() as file:
        reference = {row["node"]: float(row["v_pu"]) for row in csv.DictReader(file)}
    assert len(reference) == 278
    assert set(solution.v_pu) == set(reference)
    assert max(abs(solution.v_pu[node] - v_pu) for node, v_pu in reference.items()) < 1e-4
    assert solution.source_kw == pytest.approx(3621.544, rel=1e-3)
    assert solution.source_kvar == pytest.approx(1323.871, rel=1e-3)
    assert solution.losses_kw == pytest.approx(95.28, rel=1e-3)


def test_regulators_at_rest_stay_where_they_were_published():
    assert solve_as_published(hold_taps=False).taps == {
        "reg1a": 7,
        "reg2a": -1,
        "reg3a": 0,
        "reg3c": -1,
        "reg4a": 8,
        "reg4b": 1,
        "reg4c": 5,
    }


def test_layout(feeder):
    layout = feeder.layout
    assert len(layout.lams) == 85
    assert layout.spot_kw.sum() == pytest.approx(3490.0)
    # 274 to ground, the four dummy nodes behind the open switches being none, and 7 loads between phases.
    assert len(layout.nodes) == 281
    assert not [node for node in layout.nodes if "open" in node]
    lam = layout.lams.index("76")
    assert layout.spot_kw[lam] == pytest.approx(245.0)
    assert layout.tan_phi[lam] == pytest.approx(180 / 245)
    assert layout.lam_phases[lam] == (1, 2, 3)
    assert [layout.nodes[i] for i in layout.lam_nodes[lam]] == ["76.1-2", "76.2-3", "76.1-3"]
    assert layout.lam_phases[layout.lams.index("35")] == (1, 2)
    rating = dict(zip(layout.branches, layout.rating_a, strict=True))
    assert rating["line.l115.1"] == 530.0
    assert rating["line.l62.3"] == 175.0
    assert rating["transformer.xfm1.2"] == pytest.approx(150 / (np.sqrt(3) * 4.16))
    assert np.isinf(rating["line.sw1.1"])
    assert np.isinf(rating["transformer.reg1a.1"])
    assert {node.partition(".")[0] for node in layout.nodes} <= set(layout.coordinates)
    assert ("line.l115", "149", "1") in layout.segments
    assert layout.description["derivatives"] == "admittance"


def test_power_balances_over_the_feeder(feeder, spot):
    rng = np.random.default_rng(7)
    net_kw = spot[0] * rng.uniform(-1, 1, 85)
    state = feeder.solve(net_kw, spot[1])
    assert state.source_kw == pytest.approx(net_kw.sum() + state.losses_kw, abs=1e-3)
    head = state.current_a[[state.branches.index(f"transformer.reg1a.{phase}") for phase in (1, 2, 3)]]
    volts = 4160 / np.sqrt(3) * np.exp(1j * np.radians([0, -120, 120]))
    assert (volts @ np.conj(head)).real / 1e3 == pytest.approx(state.source_kw, abs=0.1)


def test_a_lam_draws_constant_power_far_from_rated_voltage(feeder, spot):
    """Beyond OpenDSS's usual band of 0.95 to 1.05 pu a load would become an impedance."""
    for share in (2.6, -2.0):
        state = feeder.solve(share * spot[0], spot[1])
        assert np.any((state.v_pu < 0.92) | (state.v_pu > 1.08))
        assert state.source_kw - state.losses_kw == pytest.approx(share * spot[0].sum(), abs=1e-3)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("share", [1.0, -0.6])
def test_derivatives_agree_with_differences(feeder, spot, share):
    net_kw = share * spot[0]
    exact = feeder.linearise(net_kw, spot[1])
    fine, coarse = feeder.differences(net_kw, spot[1], 5.0), feeder.differences(net_kw, spot[1], 10.0)
    # Richardson's extrapolation takes the differences' own cubic error away.
    for name in ("dv", "di", "dp0", "dv_kvar", "di_kvar", "dp0_kvar"):
        differences = (4 * getattr(fine, name) - getattr(coarse, name)) / 3
        assert relative(getattr(exact, name), differences) < 1e-6, name
    assert exact.v_pu.tolist() == fine.v_pu.tolist()


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32 - 1), export=st.floats(-1.0, 0.0), draw=st.floats(0.0, 1.2))
def test_derivatives_are_those_of_ac_at_any_dispatch(feeder, spot, seed, export, draw):
    """Random dispatches between export and full load, random directions in kW and in kvar."""
    rng = np.random.default_rng(seed)
    net_kw = spot[0] * rng.uniform(export, draw + 1e-3, 85)
    net_kvar = spot[1] * rng.uniform(-0.5, 1.0, 85)
    model = feeder.linearise(net_kw, net_kvar)
    towards_kw, towards_kvar = spot[0] * rng.normal(0, 1, 85), spot[1] * rng.normal(0, 1, 85)

    def slopes(step: float) -> tuple[np.ndarray, np.ndarray, float]:
        up = feeder.solve(net_kw + step * towards_kw, net_kvar + step * towards_kvar)
        down = feeder.solve(net_kw - step * towards_kw, net_kvar - step * towards_kvar)
        changes = up.v_pu - down.v_pu, up.current_a - down.current_a, up.source_kw - down.source_kw
        return tuple(change / (2 * step) for change in changes)

    expected = [(4 * fine - coarse) / 3 for fine, coarse in zip(slopes(0.05), slopes(0.1), strict=True)]
    found = (
        model.dv @ towards_kw + model.dv_kvar @ towards_kvar,
        model.di @ towards_kw + model.di_kvar @ towards_kvar,
        np.array(model.dp0 @ towards_kw + model.dp0_kvar @ towards_kvar),
    )
    for ours, differences in zip(found, expected, strict=True):
        assert relative(ours, np.asarray(differences)) < 1e-6


def test_derivatives_follow_the_taps(feeder, spot):
    before = feeder.taps()
    held = feeder.linearise(*spot)
    try:
        feeder.set_taps({"reg1a": -4})
        moved = feeder.linearise(*spot)
        lower = feeder.solve(spot[0] + 0.1, spot[1])
    finally:
        feeder.set_taps(before)
    assert relative(moved.dv, held.dv) > 1e-2
    np.testing.assert_allclose(moved.predict_v_pu(spot[0] + 0.1), lower.v_pu, atol=2e-7)
    assert feeder.linearise(*spot).dv.tolist() == held.dv.tolist()


def dispatch_to(lin: Linearisation, along_kw: np.ndarray, node: int, v_pu: float) -> np.ndarray:
    """The dispatch on a line through the origin at which the model expects a voltage."""
    at_zero = lin.predict_v_pu(0 * along_kw)[node]
    return along_kw * (v_pu - at_zero) / (lin.dv[node] @ along_kw)


def test_one_more_linearisation_makes_the_model_exact(feeder, spot):
    """A change of the size of the whole load: 7e-3 pu off at first, then 3e-5, then below 1e-8 pu."""
    node = feeder.layout.nodes.index("66.3")
    first = feeder.linearise(*spot)
    net_kw = dispatch_to(first, -spot[0], node, 1.04)
    assert np.abs(net_kw - spot[0]).sum() > spot[0].sum()
    state = feeder.solve(net_kw, spot[1])
    off_pu = np.abs(first.predict_v_pu(net_kw) - state.v_pu).max()
    assert 1e-4 < off_pu < 2e-2
    for tolerance_pu in (5e-5, 1e-8):
        lin = feeder.linearise(net_kw, spot[1])
        net_kw = dispatch_to(lin, -spot[0], node, 1.04)
        state = feeder.solve(net_kw, spot[1])
        assert np.abs(lin.predict_v_pu(net_kw) - state.v_pu).max() < tolerance_pu
    assert state.v_pu[node] == pytest.approx(1.04, abs=1e-6)


def test_current_rows_hold_where_flow_turns_round(feeder, spot):
    """A tangent of |I| would promise a negative current; the polygon bounds the true one."""
    layout = feeder.layout
    limits = Limits(0.5, 1.5, layout.rating_a)
    lin = feeder.linearise(*spot)
    reverse_kw = -1.1 * spot[0]
    state = feeder.solve(reverse_kw, spot[1])
    judgement = check(state, lin, limits)
    assert "line.l115.1" in {violation.name for violation in judgement.violations}
    rows = network_rows(lin, limits, -2 * spot[0], 2 * spot[0])
    value = rows.base + rows.matrix @ reverse_kw
    broken = {
        name
        for name, v, low, up in zip(rows.name, value, rows.lower, rows.upper, strict=True)
        if not low <= v <= up
    }
    assert "line.l115.1 +0" in broken


def test_the_same_injections_give_the_same_bits(feeder, spot):
    first = feeder.solve(0.7 * spot[0], spot[1])
    other = Feeder()
    other.solve(-spot[0], spot[1])
    with pytest.raises(PowerFlowError):
        other.solve(8 * spot[0], spot[1])
    feeder.solve(1.9 * spot[0], spot[1])
    for again in (feeder, other):
        state = again.solve(0.7 * spot[0], spot[1])
        assert state.v_pu.tolist() == first.v_pu.tolist()
        assert state.current_a.tolist() == first.current_a.tolist()
        assert state.source_kw == first.source_kw


def test_what_was_solved_before_leaves_no_trace(feeder, spot):
    """Taps that went and came back, controls that acted, a failure: afterwards the bits are the same."""
    rng = np.random.default_rng(3)
    dispatches = [(spot[0] * rng.uniform(-1, 1.5, 85), spot[1] * rng.uniform(0, 1, 85)) for _ in range(4)]
    taps = feeder.taps()
    expected = [feeder.solve(*dispatch).v_pu.tolist() for dispatch in dispatches]

    def move_taps() -> None:
        feeder.set_taps({"reg1a": -3, "reg4b": 9})
        feeder.solve(*dispatches[1])

    def act() -> None:
        feeder.act(lambda: feeder.solve(*dispatches[2]), 3600.0)

    def fail() -> None:
        with pytest.raises(PowerFlowError):
            feeder.solve(9 * spot[0], spot[1])

    for disturb in (move_taps, act, fail):
        disturb()
        feeder.set_taps(taps)
        assert [feeder.solve(*dispatch).v_pu.tolist() for dispatch in dispatches] == expected


def test_two_feeders_do_not_disturb_each_other(feeder, spot):
    other = Feeder()
    before = feeder.solve(*spot)
    other.set_taps({"reg1a": -10})
    assert other.solve(0.1 * spot[0], spot[1]).v_pu.min() < 1.0
    assert feeder.taps()["reg1a"] == 7
    assert feeder.solve(*spot).v_pu.tolist() == before.v_pu.tolist()


def test_regulators_act_only_when_let(spot):
    feeder = Feeder()
    published = feeder.taps()
    export_kw = -0.5 * spot[0]
    held = feeder.solve(export_kw, 0 * spot[1])
    assert feeder.taps() == published
    run = feeder.act(lambda: feeder.solve(export_kw, 0 * spot[1]), 3600.0)
    steps = {name: sum(each.steps for each in run.actions if each.device == name) for name in published}
    assert steps["reg1a"] < 0
    assert feeder.taps() == {name: tap + steps[name] for name, tap in published.items()}
    after = feeder.solve(export_kw, 0 * spot[1])
    assert after.taps == tuple(feeder.taps().values())
    assert after.v_pu.max() < held.v_pu.max() - 0.02
    assert feeder.act(lambda: feeder.solve(export_kw, 0 * spot[1]), 3600.0).actions == ()
    feeder.set_taps(published)
    assert feeder.solve(export_kw, 0 * spot[1]).v_pu.tolist() == held.v_pu.tolist()


def test_no_solution_is_said_so_and_leaves_no_trace(feeder, spot):
    before = feeder.solve(*spot)
    for share, message in ((6.0, "did not converge"), (-8.0, "found 1\\.5.. pu at node '")):
        with pytest.raises(PowerFlowError, match=message) as failed:
            feeder.solve(share * spot[0], share * spot[1])
        assert "\n" not in str(failed.value)
    assert feeder.solve(*spot).v_pu.tolist() == before.v_pu.tolist()


def test_power_must_fit_the_lams(feeder, spot):
    with pytest.raises(ValueError, match="85 finite numbers"):
        feeder.solve(spot[0][:-1], spot[1][:-1])
    with pytest.raises(ValueError, match="85 finite numbers"):
        feeder.solve(np.where(np.arange(85) == 3, np.nan, spot[0]), spot[1])


@pytest.mark.parametrize(
    ("taps", "message"),
    [
        ({"reg4b": 3, "reg9": 1}, "regulator 'reg9' is not on this feeder; it has reg1a, reg2a"),
        ({"reg4b": 3, "reg1a": 40}, "regulator 'reg1a' has no tap 40; none was moved"),
    ],
)
def test_taps_that_do_not_exist_are_refused(feeder, spot, taps, message):
    before = feeder.taps()
    v_pu = feeder.solve(*spot).v_pu
    with pytest.raises(FeederError, match=message):
        feeder.set_taps(taps)
    assert feeder.taps() == before
    assert feeder.solve(*spot).v_pu.tolist() == v_pu.tolist()
