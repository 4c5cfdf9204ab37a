import numpy as np
import pytest

from cosim.feeder.controls import Positions, moved_elements
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow.opening import open_circuit
from cosim.feeder.powerflow.primitives import Primitives, read_primitives
from cosim.feeder.powerflow.survey import survey_circuit

CONTROLLED = """clear
new circuit.c basekv=12.47 bus1=src
new autotrans.at phases=3 windings=2 buses=(src,b0) conns=(series,wye) kvs=(13.2,12.47) kvas=(5000,5000) xhx=5
new transformer.t phases=3 windings=2 buses=(b0,b1) conns=(wye,wye) kvs=(12.47,12.47) kvas=(5000,5000) xhl=1
new transformer.plain phases=3 windings=2 buses=(b1,b2) conns=(wye,wye) kvs=(12.47,0.4) kvas=(500,500) xhl=4
new line.l bus1=b1 bus2=b3 r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0
new capacitor.cap bus1=b3 phases=3 kvar=(300,300) numsteps=2 kv=12.47
new capacitor.still bus1=b3 phases=3 kvar=100 kv=12.47
new load.one bus1=b2 phases=3 kv=0.4 kw=100 kvar=20
new regcontrol.r transformer=t winding=2 vreg=120 band=2 ptratio=60
new capcontrol.cc capacitor=cap element=line.l type=voltage onsetting=110 offsetting=130 ptratio=60
set voltagebases=[13.2,12.47,0.4]
calcvoltagebases
solve
"""


@pytest.fixture
def dss(tmp_path):
    (tmp_path / "m.dss").write_text(CONTROLLED)
    return open_circuit(tmp_path / "m.dss").dss


def test_what_controls_move_is_read_again_and_all_else_once(dss):
    assert {"transformer.t", "capacitor.cap"} <= moved_elements(dss)
    assert not {"transformer.plain", "capacitor.still", "line.l"} & moved_elements(dss)
    survey = survey_circuit(dss)
    primitives = Primitives(dss, survey, moved_elements(dss))

    def fresh():
        return np.concatenate([each.ravel() for each in read_primitives(dss, survey.elements)])

    first = primitives.present().copy()
    np.testing.assert_array_equal(first, fresh())
    dss.Text.Command("set controlmode=off")
    dss.RegControls.Name("r")
    dss.RegControls.TapNumber(5)
    dss.Capacitors.Name("cap")
    dss.Capacitors.States([1, 0])
    dss.Text.Command("solve")
    now = primitives.present()
    assert not np.array_equal(now, first)
    np.testing.assert_array_equal(now, fresh())


def test_derivatives_at_a_position_are_those_of_a_feeder_that_was_never_elsewhere():
    moved, still = Feeder(), Feeder()
    spot_kw = moved.layout.spot_kw
    point = spot_kw, spot_kw * moved.layout.tan_phi
    start = moved.positions()
    there = Positions({name: tap - 2 for name, tap in start.taps.items()}, start.capacitors)
    for where in (start, there, start, there):
        moved.put(where)
        moved.linearise(*point)
    still.put(there)
    for one, other in zip(
        (moved.linearise(*point).dv, moved.linearise(*point).di),
        (still.linearise(*point).dv, still.linearise(*point).di),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
