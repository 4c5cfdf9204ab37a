"""What a circuit's file says of its loads, shapes and switches counts, or is left out and said."""

import numpy as np
import pytest

from cosim.feeder.circuit import FeederError, LamSite
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow.published import solve_as_published
from cosim.feeder.settings import Event
from cosim.feeder.under_events import FeederUnderEvents
from tests.integration.circuits import HEAD, TAIL, at_own_loads, own_solution_kw, own_volts, volts


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


@pytest.mark.parametrize(
    "protection",
    [
        "fuse.p monitoredobj=line.down fusecurve=tlink ratedcurrent=5",
        "recloser.p monitoredobj=line.down phasetrip=20 groundtrip=10 shots=2 numfast=1",
        "recloser.p monitoredobj=line.up switchedobj=line.down phasetrip=20 groundtrip=10 shots=2",
    ],
)
def test_what_protection_opens_in_the_files_own_solution_stays_open_and_is_said(circuit, protection):
    master = circuit(f"new {protection}\nnew load.lb bus1=b kv=12.47 kw=900 kvar=100")
    feeder = Feeder(master)
    own = own_volts(master)
    assert abs(own["b.1"]) < 1.0
    assert feeder.layout.lams == ("a",)
    assert "b.1" not in feeder.layout.nodes
    assert volts(at_own_loads(feeder))["a.1"] == pytest.approx(abs(own["a.1"]) / 7199.557857, rel=1e-7)
    kind = protection.partition(".")[0]
    assert f"line.down stays open: {kind}.p opened it in the file's own solution" in feeder.layout.notes
    closed = FeederUnderEvents(feeder)
    closed.apply(Event(at=0, kind="switch-closed", element="down"))
    kw = feeder.layout.spot_kw
    state = closed.solve(kw, kw * feeder.layout.tan_phi)
    assert state.source_kw - state.losses_kw == pytest.approx(1800.0)


OPEN_PHASE = (
    "new line.on bus1=b bus2=d linecode=main length=1\n"
    "new load.lb bus1=b kv=12.47 kw=300 kvar=100\n"
    "new load.ld bus1=d kv=12.47 kw=300 kvar=60\n"
)


@pytest.mark.parametrize("by_phase", [False, True])
def test_behind_an_open_conductor_a_load_draws_on_the_phases_that_are_fed(circuit, by_phase):
    master = circuit(HEAD + OPEN_PHASE + TAIL + "open line.on 1 1\n")
    feeder = Feeder(master, by_phase=by_phase)
    own, state = own_volts(master), at_own_loads(feeder)
    assert feeder.layout.spot_kw.sum() == pytest.approx(900.0 + 300.0 + 200.0)
    assert ({"d.2", "d.3"} if by_phase else {"d"}) <= set(feeder.layout.lams)
    for name, v_pu in volts(state).items():
        assert v_pu == pytest.approx(abs(own[name]) / 7199.557857, abs=1e-8), name
    assert "1 load (ld): drawn where its phases are fed" in feeder.layout.notes
    behind = "1 element (winding 1 of load.ld) cut off by line.on, which is open: left out"
    assert behind in feeder.layout.notes
    if by_phase:
        return
    feeder.widest = feeder.changed(feeder.closing("on"), wider=True)
    under = FeederUnderEvents(feeder)
    kw = feeder.layout.spot_kw
    # Something else happens, and the load stands as it stood; then the conductor is closed.
    under.apply(Event(at=0, kind="source-voltage", pu=1.0))
    assert under.solve(kw, kw * feeder.layout.tan_phi).net_kw.sum() == pytest.approx(1400.0)
    under.apply(Event(at=0, kind="switch-closed", element="on"))
    assert not under.unserved()
    closed = under.solve(kw, kw * feeder.layout.tan_phi)
    drawn = {name: value for name, value in volts(closed).items() if name.startswith("d.")}
    assert np.ptp(list(drawn.values())) < 1e-9


def test_a_load_that_an_event_leaves_some_phases_of_goes_as_a_whole(circuit):
    master = circuit(
        OPEN_PHASE.replace("bus1=b bus2=d", "bus1=b.1 bus2=d.1 phases=1").replace("linecode=main ", "")
        + "new line.rest bus1=b.2.3 bus2=d.2.3 phases=2 r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0"
    )
    under = FeederUnderEvents(Feeder(master))
    under.apply(Event(at=0, kind="line-outage", element="on"))
    assert under.unserved() == ["d"]
