"""Regulators are put at taps by ratios of windings, as by their numbers, without new lists of buses."""

import numpy as np
import pytest

from cosim.feeder.controls import Positions
from cosim.feeder.opendss import Feeder


@pytest.fixture
def feeder():
    return Feeder()


def numbered(feeder, where):
    """Put controls by their numbers alone, as OpenDSS has it."""
    for name, tap in where.taps.items():
        feeder._dss.RegControls.Name(name)
        feeder._dss.RegControls.TapNumber(tap)
    feeder._controls.note()


def seen(feeder):
    spot_kw = feeder.layout.spot_kw
    state = feeder.solve(spot_kw, spot_kw * feeder.layout.tan_phi)
    return state.v_pu.tolist(), state.current_a.tolist(), state.source_kw, state.losses_kw


@pytest.mark.parametrize("move", [-16, -3, -1, 1, 4, 16])
def test_a_tap_by_its_ratio_gives_the_bits_of_the_tap_by_its_number(feeder, move):
    start = feeder.positions()
    there = Positions(
        {name: int(np.clip(tap + move, -16, 16)) for name, tap in start.taps.items()}, start.capacitors
    )
    feeder.put(there)
    assert feeder.positions() == there
    by_ratio = seen(feeder)
    other = Feeder()
    numbered(other, there)
    assert other.positions() == there
    assert seen(other) == by_ratio
    feeder.put(start)
    assert feeder.positions() == start
    numbered(other, start)
    assert seen(feeder) == seen(other)


def test_no_list_of_buses_is_made_anew_when_a_tap_moves(feeder, monkeypatch):
    made = []
    monkeypatch.setattr(feeder._dss._api_util, "reprocess_buses_callback", made.append)
    taps = feeder.taps()
    for tap in (2, -5, 7):
        feeder.set_taps(dict.fromkeys(taps, tap))
        seen(feeder)
    assert not made
    numbered(feeder, feeder.positions())
    seen(feeder)
    assert made


def test_a_circuit_begins_at_the_ratios_of_its_file(tmp_path):
    """Also where these lie between two taps."""
    circuit = """clear
new circuit.c basekv=12.47 bus1=src
new transformer.t phases=3 windings=2 buses=(src,b1) conns=(wye,wye) kvs=(12.47,12.47) kvas=(5000,5000) {}
new line.l bus1=b1 bus2=b2 r1=0.3 x1=0.4 r0=0.8 x0=1.2 c1=0 c0=0
new load.one bus1=b2 phases=3 kv=12.47 kw=1000 kvar=200
{}
set voltagebases=[12.47]
calcvoltagebases
solve
"""
    control = "new regcontrol.r transformer=t winding=2 vreg=121 band=4 ptratio=60 enabled=yes"
    states = []
    for text in (control, ""):
        (tmp_path / "m.dss").write_text(circuit.format("taps=(1, 1.0123)", text))
        states.append(seen(Feeder(tmp_path / "m.dss")))
    assert states[0] == states[1]
