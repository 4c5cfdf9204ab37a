"""Limits are judged where customers see them: phase to neutral, between phases, in windings' own bases."""

import numpy as np
import pytest

from cosim.feeder.circuit import LamSite
from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import check
from cosim.feeder.library import new_context
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.power_quality import PowerQualityLimits, unbalance_pct
from tests.integration.circuits import (
    DELTA,
    HEAD,
    TAIL,
    at_own_loads,
    own_volts,
    volts,
)
from tests.integration.four_wire import FOUR_WIRE


def test_customers_on_four_wires_see_phase_to_neutral(circuit):
    feeder = Feeder(circuit(FOUR_WIRE))
    state = at_own_loads(feeder)
    seen = volts(state)
    assert [seen[f"e.{phase}-4"] for phase in (1, 2, 3)] == pytest.approx([0.884, 1.055, 1.032], abs=6e-4)
    assert [feeder.layout.nodes[i] for i in feeder.layout.lam_nodes[0]] == ["e.1-4", "e.2-4", "e.3-4"]
    limits = Limits(0.94, 1.06, feeder.layout.rating_a)
    broken = {each.name for each in check(state, None, limits).violations if each.kind == "voltage"}
    assert broken == {"e.1-4"}
    exact, by_differences = (
        model(feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi)
        for model in (feeder.linearise, feeder.differences)
    )
    np.testing.assert_allclose(exact.dv, by_differences.dv, atol=2e-3 * np.abs(by_differences.dv).max())


def test_nothing_is_confirmed_while_a_customer_is_outside(circuit):
    feeder = Feeder(circuit(FOUR_WIRE))
    kw, kvar = feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi
    for lower, confirmed in ((0.94, False), (0.88, True)):
        operation = Operation(OperatingRules(Limits(lower, 1.06, feeder.layout.rating_a), 900.0, np.zeros(1)))
        for number in (0, 1):
            answer = operation.judge(feeder, Proposal(0, number, kw, kvar, 0 * kw, kw, kw))
        assert answer.confirmed is confirmed


@pytest.mark.parametrize(
    ("asked", "broken"),
    [
        ({}, []),
        ({"neutral_v": 20.0}, []),
        ({"neutral_v": 10.0}, ["neutral e.4 is 8.1 V to earth beyond its limit"]),
        ({"unbalance_pct": 12.0}, []),
        ({"unbalance_pct": 1.5}, ["voltage unbalance at bus e is 0.46 % beyond its limit"]),
        (
            {"unbalance_pct": 2.0, "definition": "ieee"},
            ["voltage unbalance at bus e is 8.75 % beyond its limit"],
        ),
    ],
)
def test_unbalance_and_neutral_voltage_are_limited_where_asked_for(circuit, asked, broken):
    master = circuit(FOUR_WIRE)
    feeder = Feeder(master)
    layout = feeder.layout
    assert layout.neutrals == ("lv.4", "e.4")
    assert layout.three_phase.buses == ("src", "lv", "e")
    quality = PowerQualityLimits(three_phase=layout.three_phase, neutrals=layout.neutrals, **asked)
    limits = Limits(0.8, 1.2, layout.rating_a, quality)
    judged = check(at_own_loads(feeder), None, limits)
    assert [str(each) for each in judged.violations] == broken
    assert bool(judged.severity) is bool(broken)
    own = own_volts(master)
    phases = np.array([own[f"e.{phase}"] - own["e.4"] for phase in (1, 2, 3)])
    at_e = quality.unbalance(at_own_loads(feeder).phasors)[2]
    assert at_e == pytest.approx(unbalance_pct(phases[None, :], quality.definition)[0], rel=1e-4)
    operation = Operation(OperatingRules(limits, 900.0, np.zeros(1)))
    kw, kvar = layout.spot_kw, layout.spot_kw * layout.tan_phi
    for number in (0, 1):
        answer = operation.judge(feeder, Proposal(0, number, kw, kvar, 0 * kw, kw, kw))
    assert answer.confirmed is not bool(broken)


def test_a_load_between_phases_is_judged_between_them(circuit):
    feeder = Feeder(circuit("new load.lb bus1=b.1.2 phases=1 conn=delta kv=12.47 kw=600 kvar=100"))
    state = at_own_loads(feeder)
    angle = dict(zip(state.nodes, np.radians(state.angle_deg), strict=True))
    one, two = (volts(state)[name] * np.exp(1j * angle[name]) for name in ("b.1", "b.2"))
    assert volts(state)["b.1-2"] == pytest.approx(abs(one - two) / np.sqrt(3.0))


def test_where_nothing_is_tied_to_ground_phases_are_judged_against_each_other(circuit):
    master = circuit(
        f"{DELTA} conns=(delta delta)\n"
        "new line.lv bus1=m bus2=n r1=0.01 x1=0.01 r0=0.02 x0=0.02 c1=0 c0=0 length=1\n"
        "new load.n bus1=n phases=3 conn=delta kv=0.48 kw=90 kvar=30\n"
        "new load.n2 bus1=n.1.2 phases=1 conn=delta kv=0.48 kw=20 kvar=5"
    )
    feeder = Feeder(master)
    assert [name for name in feeder.layout.nodes if name[0] in "mn"] == [
        f"{bus}.{pair}" for bus in "mn" for pair in ("1-2", "1-3", "2-3")
    ]
    seen = volts(at_own_loads(feeder))
    own = own_volts(master)
    for pair in ("1-2", "1-3", "2-3"):
        one, other = (own[f"n.{phase}"] for phase in pair.split("-"))
        assert seen[f"n.{pair}"] == pytest.approx(abs(one - other) / 480.0, abs=1e-5)
    lam = feeder.layout.lams.index("n")
    assert [feeder.layout.nodes[i] for i in feeder.layout.lam_nodes[lam]] == ["n.1-2", "n.1-3", "n.2-3"]
    assert feeder.layout.lam_phases[lam] == (1, 2, 3)
    tied = Feeder(
        circuit(f"{DELTA} conns=(delta wye)\nnew load.m bus1=m phases=3 conn=delta kv=0.48 kw=90 kvar=30")
    )
    assert [name for name in tied.layout.nodes if name[0] == "m"] == [
        "m.1",
        "m.2",
        "m.3",
        "m.1-2",
        "m.2-3",
        "m.1-3",
    ]


def test_nodes_of_several_levels_at_one_bus_have_their_own_bases(circuit):
    winding = "%imag=0.0616 %noloadloss=0.045 xhl=13.55 xht=17.5 xlt=15.17 kvs=(4.79 2.4 0.277) conns=(w w d)"
    banks = "".join(
        f"new transformer.t{i} phases=1 windings=3 {winding} kvas=(900 900 90)\n"
        f"~ buses=(b.{i}.{i + 3} b.{i + 3}.0 b.{i + 6}.{i % 3 + 7})\n"
        for i in (1, 2, 3)
    )
    master = circuit(
        f"{banks}new line.low bus1=b.4.5.6 bus2=low.1.2.3 switch=y\n"
        "new load.low bus1=low kv=4.16 kw=300 kvar=50"
    )
    seen, own = volts(at_own_loads(Feeder(master))), own_volts(master)
    base_v = {"b.1": 12470.0 / np.sqrt(3.0), "b.4": 2400.0, "low.1": 2400.0}
    for node, base in base_v.items():
        assert seen[node] == pytest.approx(abs(own[node]) / base, abs=1e-5)
    assert seen["b.7-8"] == pytest.approx(abs(own["b.7"] - own["b.8"]) / 277.0, abs=1e-5)


def test_an_autotransformer_with_a_base_that_nobody_listed_is_judged_by_its_winding(circuit):
    feeder = Feeder(
        circuit("new autotrans.t windings=2 buses=(b m) kvs=(12.47 4.16)\nnew load.m bus1=m kv=4.16 kw=100")
    )
    assert volts(at_own_loads(feeder))["m.1"] == pytest.approx(0.99, abs=0.02)
    assert any("m 4.16 kV, not 12.47 kV" in note for note in feeder.layout.notes)


def test_customers_may_stand_on_one_phase_each(circuit):
    master = circuit(
        f"{FOUR_WIRE}new load.f bus1=lv.1.2.3 phases=3 conn=delta kv=0.416 kw=9 kvar=3\n"
        "new load.g bus1=lv.2.3 phases=1 conn=delta kv=0.416 kw=4 kvar=1\nsolve\n"
    )
    by_bus, by_phase = Feeder(master), Feeder(master, by_phase=True)
    layout = by_phase.layout
    assert layout.lams == ("e.1", "e.2", "e.3", "lv.1-2", "lv.2-3", "lv.1-3")
    assert layout.lam_bus == ("e", "e", "e", "lv", "lv", "lv")
    assert layout.spot_kw == pytest.approx([35.0, 10.0, 10.0, 3.0, 7.0, 3.0])
    assert layout.lam_phases == ((1,), (2,), (3,), (1, 2), (2, 3), (1, 3))
    assert [layout.nodes[place] for (place,) in layout.lam_nodes[:3]] == ["e.1-4", "e.2-4", "e.3-4"]
    one, other = volts(at_own_loads(by_bus)), volts(at_own_loads(by_phase))
    assert {name: other[name] for name in one} == pytest.approx(one, abs=1e-9)
    # One phase alone is relieved, and its own voltage alone rises.
    kw = layout.spot_kw.copy()
    kw[0] -= 20.0
    relieved = volts(by_phase.solve(kw, layout.spot_kw * layout.tan_phi))
    assert relieved["e.1-4"] > other["e.1-4"] + 0.05
    assert relieved["e.2-4"] < other["e.2-4"]
    exact = by_phase.linearise(layout.spot_kw, layout.spot_kw * layout.tan_phi, whole=True)
    by_differences = by_phase.differences(layout.spot_kw, layout.spot_kw * layout.tan_phi, step_kw=0.01)
    np.testing.assert_allclose(exact.dv, by_differences.dv, atol=1e-3 * np.abs(by_differences.dv).max())


def test_a_connection_of_its_own_returns_by_the_neutral_of_its_bus(circuit):
    master = circuit(FOUR_WIRE)
    feeder = Feeder(master, [LamSite("new", "e", (2,), spot_kw=20.0, spot_kvar=4.0)])
    dss = new_context()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{master}"')
    dss.Text.Command("new load.new bus1=e.2.4 phases=1 kv=0.24 kw=20 kvar=4")
    dss.Text.Command("batchedit load..* vminpu=0.3 vmaxpu=1.5 vlowpu=0.2")
    dss.Text.Command("set tolerance=1e-10 maxiterations=500")
    dss.Solution.Solve()
    own = dict(zip(dss.Circuit.YNodeOrder(), np.array(dss.Circuit.YNodeVArray()).view(complex), strict=True))
    across = abs(own["E.2"] - own["E.4"]) / 240.1777
    assert volts(at_own_loads(feeder))["e.2-4"] == pytest.approx(across, abs=1e-6)
    assert feeder.layout.lam_nodes == ((feeder.layout.nodes.index("e.2-4"),),)


STREET = """
clear
new circuit.c basekv=0.4 pu=1.03 bus1=src mvasc3=20 mvasc1=15
new reactor.earth phases=1 bus1=src.4 bus2=src.0 r=0.5 x=0
new linecode.cable nphases=4 units=km rmatrix=[0.3|0.05 0.3|0.05 0.05 0.3|0.05 0.05 0.05 0.5]
~ xmatrix=[0.3|0.1 0.3|0.1 0.1 0.3|0.1 0.1 0.1 0.3] cmatrix=[0|0 0|0 0 0|0 0 0 0] normamps=200
new line.street bus1=src.1.2.3.4 bus2=m.1.2.3.4 phases=4 linecode=cable length=0.2 units=km
new line.on bus1=m.1.2.3.4 bus2=e.1.2.3.4 phases=4 linecode=cable length=0.1 units=km
new load.a bus1=e.1.4 phases=1 kv=0.23 kw=12 kvar=3
new load.b bus1=m.2.4 phases=1 kv=0.23 kw=5 kvar=1
new load.c bus1=e.3.4 phases=1 kv=0.23 kw=9 kvar=1
set voltagebases=[0.4]
calcvoltagebases
"""
HOUSE = """
clear
new circuit.c basekv=0.23 phases=1 bus1=src.1
new reactor.earth phases=1 bus1=src.2 bus2=src.0 r=0.01 x=0
new line.way bus1=src.1.2 bus2=m.1.2 phases=2 r1=0.1 x1=0.05 r0=0.1 x0=0.05 c1=0 c0=0
new line.on bus1=m.1.2 bus2=e.1.2 phases=2 r1=0.1 x1=0.05 r0=0.1 x0=0.05 c1=0 c0=0
new load.a bus1=e.1.2 phases=1 kv=0.23 kw=5 kvar=1
set voltagebases=[0.4]
calcvoltagebases
"""


@pytest.mark.parametrize(
    ("text", "names", "neutrals"),
    [
        (
            STREET,
            {f"{bus}.{phase}-4" for bus in ("src", "m", "e") for phase in "123"},
            {"src.4", "m.4", "e.4"},
        ),
        (HOUSE, {"src.1-2", "m.1-2", "e.1-2"}, {"src.2", "m.2", "e.2"}),
        (
            HEAD + "new load.lb bus1=b.1.2.3.4 kv=12.47 kw=900 kvar=500\n"
            "new reactor.r bus1=b.4 phases=1 r=5 x=0\nnew load.l1 bus1=b.1 phases=1 kv=7.2 kw=400" + TAIL,
            {f"{bus}.{phase}" for bus in ("src", "a") for phase in "123"} | {f"b.{each}-4" for each in "123"},
            {"b.4"},
        ),
    ],
    ids=["street", "house", "neutral-of-a-load"],
)
def test_a_neutral_that_only_ground_joins_to_the_source_is_fed(circuit, text, names, neutrals):
    master = circuit(text)
    feeder = Feeder(master)
    state, own = at_own_loads(feeder), own_volts(master)
    assert set(feeder.layout.nodes) == names
    assert set(feeder.layout.neutrals) == neutrals
    for name, kv, v_pu in zip(state.nodes, feeder.layout.across_kv, state.v_pu, strict=True):
        bus, _, ends = name.partition(".")
        volts = [own[f"{bus}.{end}"] for end in ends.split("-")]
        assert v_pu == pytest.approx(abs(volts[0] - sum(volts[1:])) / (1e3 * kv), abs=1e-7), name
    for name, volt in zip(feeder.layout.neutrals, state.neutral_v, strict=True):
        assert volt == pytest.approx(own[name], abs=1e-4), name


def test_behind_an_open_line_a_grounded_neutral_feeds_nothing(circuit):
    feeder = Feeder(circuit(STREET + "new reactor.far phases=1 bus1=e.4 bus2=e.0 r=10 x=0\nopen line.on 1\n"))
    assert feeder.layout.lams == ("m",)
    assert "2 elements (load.a, load.c) cut off by line.on, which is open: left out" in feeder.layout.notes
    assert at_own_loads(feeder).source_kw == pytest.approx(5.0, abs=0.5)
