"""Limits on unbalance and neutrals in the clearing: their rows, and the loop that confirms within them."""

import numpy as np
import pytest

from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import check
from cosim.feeder.linear import Limits
from cosim.feeder.network_rows import network_rows
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.power_quality import PowerQualityLimits, sequences
from cosim.feeder.powerflow import exact
from cosim.feeder.powerflow.differences import difference_model
from cosim.feeder.settings import Event
from cosim.feeder.under_events import FeederUnderEvents
from market.model.case import Grid, Network
from market.model.curves import Curves
from market.solver.wam import clear_wam
from tests.integration.four_wire import FOUR_WIRE

ASKED = [
    {"unbalance_pct": 0.5},
    {"unbalance_pct": 3.0, "definition": "ieee"},
    {"neutral_v": 5.0},
]


@pytest.fixture(scope="module")
def feeder(tmp_path_factory):
    path = tmp_path_factory.mktemp("four") / "master.dss"
    path.write_text(FOUR_WIRE, encoding="utf-8")
    return Feeder(str(path), by_phase=True)


def limits_of(feeder, **asked):
    layout = feeder.layout
    quality = PowerQualityLimits(three_phase=layout.three_phase, neutrals=layout.neutrals, **asked)
    return Limits(0.7, 1.3, 10.0 * layout.rating_a, quality)


def own_loads(feeder, share=1.0):
    spot_kw = share * feeder.layout.spot_kw
    return spot_kw, spot_kw * feeder.layout.tan_phi


def quantities(state, limits):
    """Unbalance as a complex ratio [%], deviations from the mean [%] and neutrals [V], by hand."""
    quality = limits.power_quality
    three = quality.three_phase
    volts = state.phasors[three.places] * three.signs
    seen = sequences(volts)
    sizes = np.abs(volts)
    return {
        "ratio": 100.0 * seen.negative / seen.positive,
        "deviation": (100.0 * (sizes / sizes.mean(axis=1, keepdims=True) - 1.0)).ravel(),
        "neutral": state.neutral_v,
    }


def projected(row_name, quantity, here, limits, layout):
    """What a row says of complex or real quantities: seen from its facet's direction."""
    of, _, angle = row_name.partition(" +")
    if row_name.endswith(" from mean"):
        places = limits.power_quality.three_phase.places.ravel().tolist()
        return quantity["deviation"][places.index(layout.nodes.index(of.removesuffix(" from mean")))]
    neutrals, buses = limits.power_quality.neutrals, limits.power_quality.three_phase.buses
    name, at = ("neutral", neutrals.index(of)) if of in neutrals else ("ratio", buses.index(of))
    turn = np.exp(-1j * (np.angle(here[name][at]) + np.radians(float(angle))))
    return float(np.real(turn * quantity[name][at]))


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("share", [1.0, -0.6])
def test_rows_change_as_ac_power_flow_does(feeder, asked, share):
    limits, (kw, kvar) = limits_of(feeder, **asked), own_loads(feeder, share)
    lams = len(kw)
    wide = np.full(2 * lams, 1e4)
    rows = network_rows(feeder.linearise(kw, kvar), limits, -wide, wide)
    mine = [at for at, kind in enumerate(rows.kind) if kind in ("unbalance", "neutral")]
    assert len(mine) >= 6
    here, layout = quantities(feeder.solve(kw, kvar), limits), feeder.layout
    at = np.concatenate([kw, kvar])
    step = 1e-3
    for row in mine:
        name = rows.name[row]
        value = rows.base[row] + rows.matrix[row] @ at
        assert value == pytest.approx(projected(name, here, here, limits, layout), abs=1e-9)
        found = []
        for direction in step * np.eye(2 * lams):
            up, down = (
                quantities(feeder.solve(*np.split(at + side * direction, 2)), limits) for side in (1, -1)
            )
            ends = [projected(name, each, here, limits, layout) for each in (up, down)]
            found.append((ends[0] - ends[1]) / (2.0 * step))
        np.testing.assert_allclose(rows.matrix[row], found, atol=2e-5 * np.abs(found).max())


@pytest.mark.parametrize("asked", ASKED)
def test_rows_on_demand_and_by_differences_are_those_of_the_matrices(feeder, asked, monkeypatch):
    limits, point = limits_of(feeder, **asked), own_loads(feeder)
    wide = np.full(len(point[0]), 1e4)
    whole = network_rows(feeder.linearise(*point), limits, -wide, wide)
    monkeypatch.setattr(exact, "WHOLE_VALUES", 0)
    for model in (feeder.linearise(*point), difference_model(feeder.solve, *point, 0.05)):
        rows = network_rows(model, limits, -wide, wide)
        assert rows.name == whole.name
        atol = 1e-4 * np.abs(whole.matrix[np.array(whole.kind) != "congestion"]).max()
        np.testing.assert_allclose(rows.matrix, whole.matrix, atol=atol)


def test_after_an_outage_what_is_still_fed_keeps_its_rows(tmp_path):
    path = tmp_path / "master.dss"
    more = "new line.more bus1=e.1.2.3.4 bus2=f.1.2.3.4 phases=4 linecode=cable length=0.1 units=km\n"
    load = "new load.f bus1=f.2.4 phases=1 kv=0.24 kw=4 kvar=1\n"
    path.write_text(FOUR_WIRE.replace("set voltagebases", more + load + "set voltagebases"), encoding="utf-8")
    feeder = Feeder(str(path), by_phase=True)
    limits, (kw, kvar) = limits_of(feeder, unbalance_pct=0.1, neutral_v=1.0), own_loads(feeder)
    now = FeederUnderEvents(feeder)
    now.apply(Event(at=0, kind="line-outage", element="more"))
    wide = np.full(len(kw), 1e4)
    rows = network_rows(now.linearise(kw, kvar), limits, -wide, wide)
    dark = feeder.layout.lams.index("f.2")
    kw[dark] = kvar[dark] = 0.0
    whole = network_rows(feeder.linearise(kw, kvar), limits, -wide, wide)
    assert not any(name.startswith("f") for name in rows.name)
    assert {name for name in whole.name if name.startswith("e.4")} <= set(rows.name)
    for name in (name for name in rows.name if name.startswith(("e.4", "e +"))):
        mine, other = rows.matrix[rows.name.index(name)], whole.matrix[whole.name.index(name)]
        assert mine[dark] == 0.0
        np.testing.assert_allclose(np.delete(mine, dark), np.delete(other, dark), rtol=1e-4)


def negotiated(feeder, limits, curves, low_kw, high_kw):
    """Clears and asks the feeder in turn until it confirms; answers, and the last clearing with its rows."""
    kw, kvar = own_loads(feeder)
    operation = Operation(OperatingRules(limits, 900.0, np.zeros(len(kw))))
    grid = Grid(import_price=0.12, export_price=0.11, import_limit_kw=1e3, export_limit_kw=1e3)
    net_kw, answers = kw, []
    while not answers or not answers[-1].confirmed:
        proposal = Proposal(0, len(answers), net_kw, kvar, 0.0 * kw, low_kw, high_kw)
        answers.append(operation.judge(feeder, proposal))
        assert len(answers) < 8, [answer.broken for answer in answers]
        model = answers[-1].model
        if model is not None:
            rows = model.rows
            network = Network(rows.matrix, rows.base, rows.lower, rows.upper)
            outcome = clear_wam(curves, network, grid, model.balance, model.offset_kw)
            net_kw = outcome.net_kw
    return answers, outcome, rows


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        ({"unbalance_pct": 0.8}, "unbalance"),
        ({"unbalance_pct": 3.0, "definition": "ieee"}, "unbalance"),
        ({"neutral_v": 6.0}, "neutral"),
        # Near zero, where the direction of a neutral's voltage turns with every kW.
        ({"neutral_v": 0.5}, "neutral"),
        ({"unbalance_pct": 0.05}, "unbalance"),
        ({"unbalance_pct": 0.3, "definition": "ieee"}, "unbalance"),
    ],
)
def test_a_market_confirms_a_dispatch_within_such_limits(feeder, asked, kind, whole, monkeypatch):
    """At their own loads customers break the limit; in the clearing they give way, and that has its price."""
    if not whole:
        monkeypatch.setattr(exact, "WHOLE_VALUES", 0)
    limits, (kw, kvar) = limits_of(feeder, **asked), own_loads(feeder)
    lams = len(kw)
    curves = Curves(
        np.tile([0.1, 0.5], lams), np.stack([kw, 0 * kw], axis=1).ravel(), 2 * np.arange(lams + 1)
    )
    answers, outcome, rows = negotiated(feeder, limits, curves, 0.0 * kw, kw)
    assert any(kind in violation for violation in answers[0].broken.violations)
    binding = np.flatnonzero(np.abs(outcome.row_dual) > 1e-6)
    assert {rows.kind[row] for row in binding} == {kind}
    after = feeder.solve(outcome.net_kw, kvar)
    assert not check(after, None, limits).violations
    assert limits.power_quality.shares(after.phasors).max() > 0.99


@pytest.mark.parametrize("asked", [{"neutral_v": 8.0}, {"unbalance_pct": 1.0}])
@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5])
def test_customers_who_hardly_care_do_not_turn_the_dispatch_in_circles(feeder, asked, seed):
    """With facets as coarse as those of currents, clearings jump from corner to corner for ever."""
    rng = np.random.default_rng(seed)
    lams = len(feeder.layout.lams)
    high_kw, low_kw = rng.uniform(10, 60, lams), -rng.uniform(0, 40, lams)
    price = rng.uniform(0.05, 0.3, lams)[:, None] + np.array([-0.002, 0.002])
    curves = Curves(price.ravel(), np.stack([high_kw, low_kw], axis=1).ravel(), 2 * np.arange(lams + 1))
    answers, _, _ = negotiated(feeder, limits_of(feeder, **asked), curves, low_kw, high_kw)
    assert answers[-1].confirmed
