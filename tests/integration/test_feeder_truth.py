"""What a circuit's file says counts, and the limits are those that customers see."""

from typing import get_args

import numpy as np
import pytest

from cosim.feeder.circuit import FeederError, LamSite
from cosim.feeder.dispatch import OperatingRules, Proposal
from cosim.feeder.judgement import check
from cosim.feeder.library import new_context
from cosim.feeder.linear import Limits
from cosim.feeder.opendss import Feeder
from cosim.feeder.operation import Operation
from cosim.feeder.power_quality import PowerQualityLimits, unbalance_pct
from cosim.feeder.powerflow.published import solve_as_published
from cosim.feeder.settings import Event, EventKind
from cosim.feeder.under_events import FeederUnderEvents
from tests.integration.four_wire import FOUR_WIRE

HEAD = """
clear
set defaultbasefrequency=60
new circuit.c basekv=12.47 pu=1.02 bus1=src mvasc3=500 mvasc1=400
new linecode.main nphases=3 r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0 units=km normamps=300
new line.up bus1=src bus2=a linecode=main length=2 units=km
new line.down bus1=a bus2=b linecode=main length=2 units=km
new load.la bus1=a kv=12.47 kw=900 kvar=300
"""
TAIL = """
set voltagebases=[12.47 0.48]
calcvoltagebases
solve
"""
DELTA = "new transformer.t windings=2 buses=(b m) kvs=(12.47 0.48) kvas=(500 500) xhl=4"
TIE = """
clear
new circuit.c basekv=12.47 pu=1.02 bus1=src mvasc3=500 mvasc1=400
new linecode.main nphases=3 r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0 units=km normamps=300
new line.up bus1=src bus2=a linecode=main length=2 units=km
new line.sw1 bus1=a bus2=b linecode=main length=2 units=km
new line.side bus1=src bus2=c linecode=main length=2 units=km
new line.tie bus1=b bus2=c switch=y r1=0.001 x1=0.001 normamps=300
new load.la bus1=a kv=12.47 kw=300 kvar=90
new load.lb bus1=b kv=12.47 kw=300 kvar=90
new load.lc bus1=c kv=12.47 kw=300 kvar=90
set voltagebases=[12.47]
calcvoltagebases
"""


@pytest.fixture
def circuit(tmp_path):
    """Writes a master file of a text, or of the common head and tail around one."""

    def write(text: str) -> str:
        path = tmp_path / "master.dss"
        path.write_text(text if "clear" in text else HEAD + text + TAIL, encoding="utf-8")
        return str(path)

    return write


def at_own_loads(feeder):
    layout = feeder.layout
    return feeder.solve(layout.spot_kw, layout.spot_kw * layout.tan_phi)


def volts(state):
    return dict(zip(state.nodes, state.v_pu.tolist(), strict=True))


def loading(feeder):
    state = at_own_loads(feeder)
    return dict(zip(state.branches, np.abs(state.current_a) / feeder.layout.rating_a, strict=True))


def own_volts(master):
    """Node voltages of OpenDSS's own solution, with loads of constant power [V]."""
    dss = _solved(master)
    found = np.array(dss.Circuit.AllBusVolts()).view(np.complex128)
    return dict(zip(dss.Circuit.AllNodeNames(), found, strict=True))


def own_solution_kw(master):
    """What OpenDSS itself has the source deliver, with loads of constant power."""
    return -_solved(master).Circuit.TotalPower()[0]


def _solved(master):
    dss = new_context()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{master}"')
    dss.Text.Command("batchedit load..* vminpu=0.5 vmaxpu=1.5")
    dss.Text.Command("set tolerance=1e-9")
    dss.Text.Command("solve")
    return dss


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


def test_nodes_above_three_are_judged_and_branch_names_are_unique(circuit):
    matrix = "[.3|.1 .3|.1 .1 .3|.1 .1 .1 .3|.1 .1 .1 .1 .3|.1 .1 .1 .1 .1 .3]"
    nothing = "[0|0 0|0 0 0|0 0 0 0|0 0 0 0 0|0 0 0 0 0 0]"
    feeder = Feeder(
        circuit(
            f"new linecode.tower nphases=6 units=km rmatrix={matrix} cmatrix={nothing} normamps=100\n"
            "~ xmatrix=[.5|.2 .5|.2 .2 .5|.2 .2 .2 .5|.2 .2 .2 .2 .5|.2 .2 .2 .2 .2 .5]\n"
            "new line.six phases=6 bus1=b.1.2.3.1.2.3 bus2=c.1.2.3.4.5.6 linecode=tower length=4 units=km\n"
            "new load.lb bus1=c.1.2.3 kv=12.47 kw=500 kvar=100\n"
            "new load.lb2 bus1=c.4.5.6 kv=12.47 kw=3500 kvar=900"
        )
    )
    seen = volts(at_own_loads(feeder))
    assert [seen[f"c.{node}"] for node in (4, 5, 6)] == pytest.approx([0.9371] * 3, abs=5e-5)
    assert len(set(feeder.layout.branches)) == len(feeder.layout.branches)
    assert feeder.layout.lam_phases[feeder.layout.lams.index("c")] == (1, 2, 3)


def test_every_winding_of_a_transformer_is_judged(circuit):
    feeder = Feeder(
        circuit(
            "new transformer.t windings=3 buses=(b m n) conns=(delta wye wye) kvs=(12.47 0.48 0.48)\n"
            "~ kvas=(2000 200 2000) xhl=5 xht=5 xlt=5\n"
            "new load.m bus1=m kv=0.48 kw=600 kvar=100\nnew load.n bus1=n kv=0.48 kw=100 kvar=10"
        )
    )
    found = loading(feeder)
    assert found["transformer.t.wdg2.1"] == pytest.approx(3.04, abs=0.01)
    assert found["transformer.t.wdg3.1"] == pytest.approx(0.05, abs=0.01)
    assert found["transformer.t.1"] == pytest.approx(0.353, abs=0.005)


def test_a_transformer_is_rated_by_its_first_winding_whatever_its_others_are(circuit):
    feeder = Feeder(
        circuit(
            "new transformer.t windings=3 buses=(b m n) conns=(delta wye wye) kvs=(12.47 0.48 0.48) "
            "kvas=(500 500 100) xhl=5 xht=5 xlt=5\nnew load.m bus1=m kv=0.48 kw=90\n"
        )
    )
    rating = dict(zip(feeder.layout.branches, feeder.layout.rating_a.tolist(), strict=True))
    assert rating["transformer.t.1"] == pytest.approx(500 / 12.47 / np.sqrt(3.0))
    assert rating["transformer.t.wdg3.1"] == pytest.approx(100 / 0.48 / np.sqrt(3.0))


@pytest.mark.parametrize(("stated", "more"), [("", 1.0), ("normhkva=1300 ", 1.3)])
def test_windings_of_an_autotransformer_are_judged_by_their_own_currents(circuit, stated, more):
    master = circuit(
        "new autotrans.t windings=3 buses=(b m d) kvs=(12.47 4.16 0.48) kvas=(1000 1000 300) "
        f"conns=(series wye delta) {stated}xhx=8 xht=20 xxt=15\n"
        "new load.m bus1=m kv=4.16 kw=700 kvar=100\n"
        "new load.d bus1=d kv=0.48 kw=150 conn=delta"
    )
    found = loading(Feeder(master))
    dss = _solved(master)
    dss.Circuit.SetActiveElement("autotrans.t")
    series, _, low, common, tertiary, _ = (
        np.abs(np.array(dss.CktElement.Currents()).view(np.complex128)).reshape(6, 3).max(axis=1)
    )
    assert common == pytest.approx(low - series, rel=0.02)
    rated_a = {
        "autotrans.t.{}": 1000 / 12.47 / np.sqrt(3.0),
        "autotrans.t.wdg2.{}": 1000 * (1 / 4.16 - 1 / 12.47) / np.sqrt(3.0),
        "autotrans.t.wdg3.{}": 300 / 0.48 / np.sqrt(3.0),
    }
    for (name, rating_a), current_a in zip(rated_a.items(), (series, common, tertiary), strict=True):
        most = max(found[name.format(phase)] for phase in (1, 2, 3))
        assert most == pytest.approx(current_a / rating_a / more, rel=1e-4)


def test_a_rating_stated_on_a_line_counts_beside_a_code_without_one(circuit):
    feeder = Feeder(
        circuit(
            "new linecode.bare nphases=3 r1=.3 x1=.3 r0=.5 x0=.9 units=km\n"
            "new line.l3 bus1=b bus2=c linecode=bare length=1 units=km\n"
            "new line.l4 bus1=c bus2=d linecode=bare normamps=50 length=1 units=km\n"
            "new line.l5 bus1=d bus2=e linecode=bare normamps=400 length=1 units=km\n"
            "new load.lb bus1=e kv=12.47 kw=1500 kvar=900"
        )
    )
    rating = dict(zip(feeder.layout.branches, feeder.layout.rating_a.tolist(), strict=True))
    assert [rating[f"line.l{i}.1"] for i in (3, 4, 5)] == [np.inf, 50.0, 400.0]


@pytest.mark.parametrize(
    ("text", "load_kw"),
    [
        (
            (
                "new growthshape.gs npts=2 year=[1 10] mult=[1.1 1.1]\n"
                "new load.lb bus1=b kv=12.47 kw=300 kvar=100 growth=gs\nset year=5"
            ),
            900 * 1.025**4 + 300 * 1.1**4,
        ),
        (
            (
                "new load.lb bus1=b.1 phases=1 kv=7.2 kw=300 kvar=100 status=fixed\n"
                "new load.lc bus1=b.2 phases=1 kv=7.2 kw=300 kvar=100\n"
                "new load.ld bus1=b.3 phases=1 kv=7.2 kw=300 kvar=100 status=exempt\nset loadmult=0.5"
            ),
            1200.0,
        ),
        ("new load.lb bus1=b.1 phases=1 kv=7.2 kw=0 kvar=100", 900.0),
        (
            (
                "new load.lb bus1=b.1 phases=1 kv=7.2 kw=1500 kvar=400\n"
                "new generator.g bus1=b kv=12.47 kw=1500 pf=1 conn=wye vminpu=.5 vmaxpu=2"
            ),
            2400.0,
        ),
        (
            (
                "new load.lb bus1=b.1 phases=1 kv=7.2 kw=400 kvar=300\n"
                "new load.lc bus1=b.2 phases=1 kv=7.2 kw=400 kvar=-100"
            ),
            1700.0,
        ),
        (
            (
                "new capacitor.series bus1=b bus2=c kv=12.47 kvar=20000\n"
                "new load.lb bus1=c kv=12.47 kw=1000 kvar=300"
            ),
            1900.0,
        ),
    ],
    ids=["growth", "status", "kvar-alone", "wye-generator", "mixed-kvar", "series-capacitor"],
)
def test_at_its_own_loads_a_feeder_is_as_opendss_solves_it(circuit, text, load_kw):
    master = circuit(text)
    feeder = Feeder(master)
    assert feeder.layout.spot_kw.sum() == pytest.approx(load_kw)
    state = at_own_loads(feeder)
    assert state.source_kw == pytest.approx(own_solution_kw(master), abs=5e-3)
    assert feeder.layout.description["derivatives"] == "admittance"


def test_shapes_of_a_file_are_neutral_and_said_by_name(circuit):
    feeder = Feeder(
        circuit(
            "new loadshape.s npts=2 interval=1 mult=(0.5 0.5)\n"
            "new loadshape.u npts=2 interval=1 mult=(0.9 0.9)\n"
            "load.la.daily=s\nvsource.source.daily=u\nset mode=daily number=2\nsolve"
        )
    )
    assert feeder.layout.spot_kw.tolist() == [900.0]
    assert volts(at_own_loads(feeder))["src.1"] == pytest.approx(1.018, abs=2e-3)
    assert "1 load (la): load shapes are not followed; prosumers' profiles are" in feeder.layout.notes
    assert "1 vsource (source): its shape is not followed; its voltage stays" in feeder.layout.notes


@pytest.mark.parametrize(
    "opened",
    [
        "open line.tie 2",
        "line.tie.enabled=no",
        "new swtcontrol.s switchedobj=line.tie switchedterm=1 action=open delay=0",
    ],
)
def test_a_normally_open_tie_closes_and_carries(circuit, opened):
    feeder = Feeder(circuit(f"{TIE}{opened}\nsolve\n"))
    events = {
        1: (Event(at=1, kind="switch-closed", element="tie"),),
        2: (Event(at=2, kind="switch-open", element="sw1"),),
        3: (Event(at=3, kind="switch-open", element="tie"),),
        4: (Event(at=4, kind="switch-closed", element="tie"),),
    }
    operation = Operation(
        OperatingRules(Limits(0.9, 1.1, feeder.layout.rating_a), 900.0, np.zeros(3), events=events)
    )
    kw = feeder.layout.spot_kw
    tie_a, unserved = [], []
    for tick in range(5):
        unserved.append(operation.open(feeder, tick)[1])
        state = operation.meter(feeder, kw, kw * feeder.layout.tan_phi).run.last
        tie_a.append(abs(state.current_a[state.branches.index("line.tie.1")]))
    assert tie_a[0] == pytest.approx(0.0, abs=1e-4)
    assert tie_a[3] == pytest.approx(0.0, abs=1e-4)
    assert tie_a[1] == pytest.approx(9.5, abs=0.6)
    assert tie_a[2] == pytest.approx(tie_a[4], rel=1e-6)
    assert tie_a[2] == pytest.approx(14.3, abs=0.5)
    assert unserved == [[], [], [], ["b"], []]


def test_a_line_that_hangs_on_nothing_is_left_out_and_the_losses_are_known(circuit):
    master = circuit("new line.far bus1=z1 bus2=z2 phases=1 r1=0.1 x1=0.1 c1=0 length=1")
    feeder = Feeder(master)
    assert any("line.far" in note and "left out" in note for note in feeder.layout.notes)
    assert at_own_loads(feeder).losses_kw == pytest.approx(own_solution_kw(circuit(" ")) - 900.0, rel=1e-3)
    assert np.isfinite(solve_as_published(master).losses_kw)
    with pytest.raises(FeederError, match=r"load\.z stands at 'z2"):
        Feeder(
            circuit(
                "new line.far bus1=z1 bus2=z2 phases=2 c1=0 length=1\n"
                "new load.z bus1=z2.1.2 phases=1 conn=delta kv=12.47 kw=5"
            )
        )


def test_what_an_open_switch_cuts_off_is_left_out_and_said(circuit, tmp_path):
    master = circuit(
        "new line.sw bus1=b bus2=c switch=y\n"
        "new swtcontrol.s switchedobj=line.sw switchedterm=1 action=open delay=0\n"
        "new load.lb bus1=c kv=12.47 kw=300 kvar=100"
    )
    feeder = Feeder(master)
    assert feeder.layout.lams == ("a",)
    assert "1 element (load.lb) cut off by line.sw, which is open: left out" in feeder.layout.notes
    with pytest.raises(FeederError, match=r"LAM 'far' stands at bus 'c', which is cut off: line\.sw is open"):
        Feeder(master, [LamSite("far", "c")])
    closed = FeederUnderEvents(feeder)
    closed.apply(Event(at=0, kind="switch-closed", element="sw"))
    kw = feeder.layout.spot_kw
    state = closed.solve(kw, kw * feeder.layout.tan_phi)
    assert state.source_kw - state.losses_kw == pytest.approx(1200.0)


EVENTFUL = TIE.replace(
    "new load.lc",
    """new transformer.r phases=3 windings=2 buses=(c d) kvs=(12.47 12.47) kvas=(9999 9999) xhl=.01
new regcontrol.r transformer=r winding=2 vreg=122 band=2 ptratio=60 delay=15
new capacitor.k bus1=d kv=12.47 kvar=300
new capcontrol.k element=line.side terminal=1 capacitor=k type=kvar
~ onsetting=100 offsetting=-300 ptratio=1 ctratio=1
new generator.g bus1=d kv=12.47 kw=100 pf=1
new load.lc""",
).replace("bus1=c kv", "bus1=d kv")


def test_whatever_happens_no_event_ends_a_run(circuit):
    feeder = Feeder(circuit(f"{EVENTFUL}open line.tie 2\nsolve\n"))
    rng = np.random.default_rng(3)
    names = dict(
        zip(
            ("line", "switch", "fault", "capacitor", "generator"),
            ("sw1", "tie", "side", "k", "g"),
            strict=True,
        )
    )
    names |= {"transformer": "r", "regulator": "r"}
    kinds = [kind for kind in get_args(EventKind) if kind not in ("load-step", "source-voltage")]
    events = {
        tick: (
            Event(
                at=tick,
                kind=kind,
                element=names.get(kind.partition("-")[0], ""),
                tap=int(rng.integers(-20, 20)),
            ),
        )
        for tick, kind in enumerate(rng.choice(kinds, 40).tolist())
    }
    limits = Limits(0.9, 1.1, feeder.layout.rating_a)
    operation = Operation(OperatingRules(limits, 900.0, np.zeros(3), controls_act=True, events=events))
    kw, kvar = feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi
    balance = []
    for tick in range(40):
        happened, unserved = operation.open(feeder, tick)
        assert len(happened) == 1
        run = operation.meter(feeder, kw, kvar).run
        served = [power for power, name in zip(kw, feeder.layout.lams, strict=True) if name not in unserved]
        balance.append(run.last.source_kw - run.last.losses_kw - sum(served))
    assert set(np.round(balance, 2)) <= {0.0, -100.0}
    assert {0.0, -100.0} <= set(np.round(balance, 2))


def test_a_generator_fails_and_returns_with_the_power_that_it_had(circuit):
    feeder = FeederUnderEvents(Feeder(circuit(EVENTFUL)))
    kw = feeder.layout.spot_kw
    powers = []
    for kind in ("generator-outage", "generator-repair"):
        told = feeder.apply(Event(at=0, kind=kind, element="g"))
        assert told == f"generator g is {'out' if kind.endswith('outage') else 'in service'}"
        state = feeder.solve(kw, 0 * kw)
        powers.append(state.source_kw - state.losses_kw)
    assert np.subtract(powers, kw.sum()) == pytest.approx([0.0, -100.0], abs=0.1)


def test_a_feeder_whose_own_loads_no_longer_hold_after_an_event_is_still_there(circuit):
    weak = TIE.replace("length=2 units=km\nnew line.side", "length=60 units=km\nnew line.side")
    feeder = FeederUnderEvents(Feeder(circuit(weak.replace("kw=300", "kw=2000"))))
    told = feeder.apply(Event(at=0, kind="switch-open", element="tie"))
    assert told == "line tie is out"
    kw = 0.05 * feeder.layout.spot_kw
    assert feeder.solve(kw, 0 * kw).source_kw > kw.sum()


def test_the_same_voltages_are_judged_after_an_event_that_takes_their_ground_away(circuit):
    feeder = FeederUnderEvents(
        Feeder(
            circuit(
                f"{DELTA} conns=(delta delta)\n"
                "new reactor.ground bus1=m phases=3 kv=0.48 kvar=30\n"
                "new line.lv bus1=b bus2=z r1=1 x1=1\n"
                "new load.m bus1=m phases=3 conn=delta kv=0.48 kw=90 kvar=30"
            )
        )
    )
    at = [place for place, name in enumerate(feeder.layout.nodes) if name.startswith("m.")]
    assert [feeder.layout.nodes[place] for place in at] == ["m.1", "m.2", "m.3", "m.1-2", "m.2-3", "m.1-3"]
    feeder.apply(Event(at=0, kind="line-outage", element="lv"))
    kw = feeder.layout.spot_kw
    assert not np.isnan(feeder.solve(kw, 0 * kw).v_pu[at]).any()


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


def test_an_outage_of_one_phase_leaves_those_on_it_alone(circuit):
    feeder = FeederUnderEvents(
        Feeder(
            circuit(
                "new line.tap bus1=b.1 bus2=t.1 phases=1 r1=.3 x1=.4 length=1\n"
                "new load.t bus1=t.1 phases=1 kv=7.2 kw=50 kvar=9\nnew load.b bus1=b kv=12.47 kw=90 kvar=9"
            ),
            by_phase=True,
        )
    )
    assert feeder.layout.lams == ("a.1", "a.2", "a.3", "t.1", "b.1", "b.2", "b.3")
    assert feeder.apply(Event(at=0, kind="line-outage", element="tap")).endswith("feeds 1 LAMs: t.1")
    kw = feeder.layout.spot_kw
    state = feeder.solve(kw, 0 * kw)
    assert state.source_kw - state.losses_kw == pytest.approx(990.0, abs=1e-6)
    assert feeder.apply(Event(at=0, kind="line-repair", element="tap")).endswith("1 LAMs are fed again: t.1")
