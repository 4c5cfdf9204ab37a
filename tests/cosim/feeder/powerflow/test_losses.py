"""Losses from currents that were read anyway, against the sum that OpenDSS makes itself."""

import pytest

from cosim.feeder.opendss import Feeder

CIRCUIT = """
new circuit.c basekv=12.47 phases=3 bus1=source
new line.far phases=3 bus1=source bus2=far r1=0.4 x1=0.8 length=2 units=km
new reactor.series phases=3 bus1=far bus2=behind r=0.2 x=0.6
new capacitor.series phases=3 bus1=behind bus2=end kvar=20000 kv=12.47
new capacitor.shunt phases=3 bus1=end kvar=300 kv=12.47 r=3
new reactor.shunt phases=3 bus1=end kvar=100 kv=12.47 rp=20000
new capacitor.delta phases=3 bus1=far conn=delta kvar=90 kv=12.47 r=2
new transformer.wye phases=3 windings=2 buses=(end low.1.2.3.4)
~ conns=(wye wye) kvs=(12.47 0.48) kvas=(500 500) %r=1
new reactor.neutral phases=1 bus1=low.4 bus2=low.0 r=0.5 x=0.1
new reactor.earth phases=1 bus1=low.4 bus2=rod.0 r=2 x=0
new transformer.split phases=1 windings=3 buses=(end.1 house.1.0 house.0.2)
~ kvs=(7.2 0.12 0.12) kvas=(50 50 50) %rs=(1 1 1)
new transformer.TO_MID phases=3 windings=2 buses=(end mid) kvs=(12.47 7.2) kvas=(1000 1000) %r=0.5
new load.low phases=1 bus1=low.1.4 kv=0.277 kw=90 kvar=20
new load.leg phases=1 bus1=house.1.0 kv=0.12 kw=9 kvar=2
new load.legs phases=1 bus1=house.1.2 kv=0.208 kw=12 kvar=3
new load.mid phases=3 bus1=mid kv=7.2 kw=400 kvar=90
set voltagebases=(12.47 7.2 0.48 0.208)
calcvoltagebases
solve
"""


AUTO = "new autotrans.auto phases=3 windings=2 buses=(end mid) kvs=(12.47 7.2) kvas=(1000 1000) %r=0.5"


@pytest.fixture(scope="module", params=[False, True], ids=["transformer", "autotransformer"])
def feeder(request, tmp_path_factory):
    text = CIRCUIT
    if request.param:
        text = "\n".join(AUTO if "TO_MID" in line else line for line in text.splitlines())
    master = tmp_path_factory.mktemp("losses") / "master.dss"
    master.write_text(f"clear\n{text}\n")
    return Feeder(master)


@pytest.mark.parametrize("share", [0.2, 1.0, -0.7])
def test_losses_are_those_that_opendss_adds_up(feeder, share):
    layout = feeder.layout
    state = feeder.solve(share * layout.spot_kw, layout.spot_kw * layout.tan_phi)
    assert state.losses_kw == pytest.approx(feeder._dss.Circuit.Losses()[0] / 1e3, abs=1e-9)
    assert state.losses_kw > 0.4


def test_shunts_are_left_out_by_the_same_mark_as_in_opendss(feeder):
    dss = feeder._dss
    expected = set()
    for name in dss.PDElements.AllNames():
        dss.PDElements.Name(name)
        if not dss.PDElements.IsShunt():
            expected.add(name.lower())
    counted = set(feeder._solver._losses.elements)
    assert counted == expected
    assert "capacitor.shunt" not in counted
    assert {"capacitor.series", "reactor.series", "reactor.earth"} <= counted
