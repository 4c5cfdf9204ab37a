"""Loads outside the market that vary with voltage, as OpenDSS itself solves them."""

import numpy as np
import pytest
from scipy import sparse

from cosim.feeder.circuit import FeederError, LamSite
from cosim.feeder.library import new_context
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow import exact
from cosim.feeder.powerflow.rebuild import RecordedState, across, solve_again
from cosim.feeder.settings import Event
from cosim.feeder.under_events import FeederUnderEvents

MASTER = """
clear
new circuit.c basekv=12.47 pu=0.96 bus1=src mvasc3=60 mvasc1=50
new linecode.main nphases=3 r1=0.6 x1=0.8 r0=1.6 x0=2.4 c1=10 c0=4 units=km normamps=300
new line.up bus1=src bus2=a linecode=main length=2 units=km
new line.down bus1=a bus2=b linecode=main length=2 units=km
new transformer.t windings=2 buses=(b m) conns=(delta wye) kvs=(12.47 0.48) kvas=(500 500) xhl=4
new load.la bus1=a kv=12.47 kw=600 kvar=200
new load.z bus1=b kv=12.47 kw=300 kvar=90 model=2
new load.i bus1=b.1 phases=1 kv=7.2 kw=150 kvar=50 model=5
new load.q bus1=b.2 phases=1 kv=7.2 kw=100 kvar=70 model=3
new load.cvr bus1=b.3 phases=1 kv=7.2 kw=100 kvar=40 model=4 cvrwatts=0.8 cvrvars=2.4
new load.zip bus1=m kv=0.48 kw=120 kvar=60 model=8 zipv=(0.4 0.3 0.3 0.7 0.2 0.1 0.8)
new load.zipd bus1=m.1.2 phases=1 conn=delta kv=0.48 kw=60 kvar=20 model=8 zipv=(0.6 0.1 0.3 0.9 -0.2 0.3 0)
new load.p bus1=m.3 phases=1 kv=0.277 kw=40 kvar=10
set voltagebases=[12.47 0.48]
calcvoltagebases
solve
"""
SITES = (LamSite("a", "a"),)


@pytest.fixture
def master(tmp_path):
    path = tmp_path / "master.dss"
    path.write_text(MASTER, encoding="utf-8")
    return str(path)


def opened(master, *, others_vary=True):
    feeder = Feeder(master, SITES, others_vary=others_vary)
    return feeder, feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi


def raw(master, source_pu=0.96):
    """OpenDSS's own solution; the band outside of which it leaves the models is as wide as they hold here."""
    dss = new_context()
    dss.Basic.AllowChangeDir(False)
    for text in (f'compile "{master}"', "batchedit load..* vminpu=0.3 vlowpu=0.2 vmaxpu=2.5"):
        dss.Text.Command(text)
    dss.Text.Command(f"edit vsource.source pu={source_pu}")
    dss.Text.Command("set tolerance=1e-10 maxiterations=500")
    dss.Text.Command("solve")
    volts = np.array(dss.Circuit.AllBusVolts()).view(np.complex128)
    return dict(zip(dss.Circuit.AllNodeNames(), volts.tolist(), strict=True)), -dss.Circuit.TotalPower()[0]


def test_other_loads_draw_what_opendss_has_them_draw(master):
    feeder, kw, kvar = opened(master)
    state = feeder.solve(kw, kvar)
    volts, source_kw = raw(master)
    own = np.abs(across(volts, state.nodes)) / (1e3 * feeder.layout.across_kv)
    np.testing.assert_allclose(state.v_pu, own, atol=1e-9)
    assert state.source_kw == pytest.approx(source_kw, abs=1e-5)
    assert "6 loads (z, i, q, cvr, zip and 1 more): outside the market, varies" in " ".join(
        feeder.layout.notes
    )
    constant, *point = opened(master, others_vary=False)
    # At low voltage they draw less than their nominal power.
    assert constant.solve(*point).source_kw > source_kw + 20.0


@pytest.mark.parametrize("whole", [True, False])
def test_derivatives_are_those_of_ac_power_flow(master, whole, monkeypatch):
    if not whole:
        monkeypatch.setattr(exact, "WHOLE_VALUES", 0)
    feeder, kw, kvar = opened(master)
    assert feeder.layout.description["derivatives"] == "admittance"
    model, found = feeder.linearise(kw, kvar), feeder.differences(kw, kvar, step_kw=0.5)
    for name in ("dv", "dv_kvar", "di", "di_kvar", "dp0", "dp0_kvar"):
        expected = getattr(found, name)
        np.testing.assert_allclose(getattr(model, name), expected, atol=1e-5 * np.abs(expected).max())
    every = sparse.csr_array(np.eye(len(model.phasors), dtype=np.complex128))
    expected = found.derivatives.phasors(every)
    np.testing.assert_allclose(model.derivatives.phasors(every), expected, atol=1e-5 * np.abs(expected).max())
    constant = opened(master, others_vary=False)[0].linearise(kw, kvar)
    assert np.abs(model.dv - constant.dv).max() > 0.02 * np.abs(constant.dv).max()


def test_the_record_holds_what_they_drew_and_builds_the_state_again(master):
    feeder, kw, kvar = opened(master)
    now = FeederUnderEvents(feeder)
    now.apply(Event(at=0, kind="source-voltage", pu=1.04))
    state = now.solve(kw, kvar)
    np.testing.assert_allclose(
        state.v_pu,
        np.abs(across(raw(master, 1.04)[0], state.nodes)) / (1e3 * feeder.layout.across_kv),
        atol=1e-9,
    )
    record = now.record((kw, kvar), (kw, kvar))
    drawn = record.metered
    again = solve_again(
        master, RecordedState(record.changes, record.positions, drawn.at, drawn.kva.real, drawn.kva.imag)
    )
    own = np.abs(across(again.volts, state.nodes)) / (1e3 * feeder.layout.across_kv)
    np.testing.assert_allclose(state.v_pu, own, atol=1e-9)
    # By hand: an impedance draws with the square of its voltage.
    at_b = [state.v_pu[state.nodes.index(f"b.{phase}")] for phase in (1, 2, 3)]
    impedance = sum(100.0 * v_pu**2 for v_pu in at_b)
    others = 150.0 * at_b[0] + 100.0 + 100.0 * at_b[2] ** 0.8
    drawn_at_b = sum(
        kva.real for at, kva in zip(drawn.at, drawn.kva.tolist(), strict=True) if at.startswith("b.")
    )
    # Loads of 7.2 kV are rated a little above the bus.
    assert drawn_at_b == pytest.approx(impedance + others, rel=2e-3)


def test_a_model_that_is_not_known_is_refused_by_name(tmp_path):
    path = tmp_path / "master.dss"
    path.write_text(MASTER.replace("model=3", "model=7"), encoding="utf-8")
    with pytest.raises(FeederError, match=r"load 'q' is of OpenDSS's model 7, .*; give it model 1 to 5 or 8"):
        Feeder(str(path), SITES, others_vary=True)
    assert Feeder(str(path), SITES).layout.lams == ("a",)


def test_where_all_loads_are_in_the_market_nothing_varies_and_that_is_said(master):
    assert "feeder.other_loads changes nothing" in " ".join(Feeder(master, others_vary=True).layout.notes)
