"""Currents of loads of constant power found at once, held against OpenDSS's own."""

from pathlib import Path

import numpy as np
import pytest

from cosim.feeder.circuit import PowerFlowError
from cosim.feeder.opendss import Feeder
from cosim.feeder.powerflow import iteration

# Two phases, a delta, a neutral of its own, a regulator and a capacitor that a control switches by the power
# of a line; the last load is unlike the others.
CIRCUIT = """clear
new circuit.mixed basekv=4.16 pu=1.02 phases=3 bus1=head
new line.up bus1=head bus2=in length=1 units=km r1=0.8 x1=0.8 r0=1 x0=2
new transformer.reg phases=3 windings=2 buses=(in, out) kvs=(4.16, 4.16) kvas=(5000, 5000) xhl=1
new regcontrol.reg transformer=reg winding=2 vreg=122 band=2 ptratio=20 delay=15
new line.one bus1=out bus2=mid length=1 units=km r1=0.3 x1=0.4 r0=0.5 x0=1.1
new line.two bus1=mid bus2=far length=1 units=km r1=0.3 x1=0.4 r0=0.5 x0=1.1
new transformer.home phases=1 windings=2 buses=(mid.1, home.1.2) kvs=(2.4, 0.24) kvas=(50, 50) xhl=2
new reactor.earth bus1=home.2 bus2=home.0 phases=1 r=5 x=0
new capacitor.cap bus1=far phases=3 kvar=200 kv=4.16
new capcontrol.cap element=line.two terminal=1 capacitor=cap type=kvar onsetting=100 offsetting=-150 delay=20
new load.wye bus1=mid.2 phases=1 kv=2.4 kw=90 kvar=30
new load.delta bus1=far.2.3 phases=1 kv=4.16 conn=delta kw=120 kvar=70
new load.three bus1=far phases=3 kv=4.16 kw=300 kvar=90
new load.neutral bus1=home.1.2 phases=1 kv=0.24 kw=20 kvar=5
{last}
set voltagebases=(4.16, 0.416)
calcvoltagebases
solve
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every circuit counts as one of many loads."""
    monkeypatch.setattr(iteration, "FEW", 0)


@pytest.fixture
def master(tmp_path: Path) -> Path:
    """A master file of the circuit."""
    path = tmp_path / "mixed.dss"
    path.write_text(CIRCUIT.format(last=""), encoding="utf-8")
    return path


def pair(master: Path | None, monkeypatch: pytest.MonkeyPatch) -> tuple[Feeder, Feeder]:
    """A feeder by arrays, and the same by OpenDSS alone."""
    by_opendss = Feeder(master)
    monkeypatch.setattr(iteration, "FEW", 0)
    return Feeder(master), by_opendss


@pytest.mark.parametrize("ieee123", [False, True])
def test_states_are_those_of_opendss(*, ieee123: bool, master: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_arrays, by_opendss = pair(None if ieee123 else master, monkeypatch)
    assert by_arrays._solver._arrays is not None
    assert by_opendss._solver._arrays is None
    spot_kw, rng = by_opendss.layout.spot_kw, np.random.default_rng(4)
    for taps in ({}, dict.fromkeys(by_opendss.taps(), 3)):
        for feeder in (by_arrays, by_opendss):
            feeder.set_taps(taps)
        for _ in range(3):
            powers = rng.uniform(-0.5, 1.2, (2, spot_kw.size)) * spot_kw
            found, right = (feeder.solve(*powers) for feeder in (by_arrays, by_opendss))
            assert found.v_pu == pytest.approx(right.v_pu, abs=1e-10)
            assert found.current_a == pytest.approx(right.current_a, abs=1e-5)
            assert found.losses_kw == pytest.approx(right.losses_kw, abs=1e-6)
            assert [found.source_kw, found.source_kvar] == pytest.approx(
                [right.source_kw, right.source_kvar], abs=1e-5
            )
            losses = by_opendss.losses()
            assert by_arrays.losses() == pytest.approx(losses, abs=1e-6)


def test_controls_do_what_they_do_under_opendss(master: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    for feeder in pair(master, monkeypatch):
        spot_kw = feeder.layout.spot_kw
        feeder.solve(0.2 * spot_kw, 0.1 * spot_kw)

        def solve(feeder: Feeder = feeder, kw: np.ndarray = -1.5 * spot_kw) -> object:
            return feeder.solve(kw, 0.0 * kw)

        runs.append((feeder.act(solve, 600.0), feeder.positions()))
    (run, where), (right, there) = runs
    assert run.actions == right.actions
    assert {action.kind for action in run.actions} == {"regulator", "capacitor"}
    assert where == there
    assert run.last.v_pu == pytest.approx(right.last.v_pu, abs=1e-10)


def test_a_state_has_the_same_bits_whatever_came_before(few: None, master: Path) -> None:
    feeder = Feeder(master)
    spot_kw = feeder.layout.spot_kw
    first = feeder.solve(0.7 * spot_kw, 0.2 * spot_kw)
    feeder.losses()
    feeder.solve(-0.4 * spot_kw, 0.0 * spot_kw)
    feeder.act(lambda: feeder.solve(spot_kw, 0.3 * spot_kw), 0.0)
    again = feeder.act(lambda: feeder.solve(0.7 * spot_kw, 0.2 * spot_kw), 0.0).first
    assert again.v_pu.tobytes() == first.v_pu.tobytes()
    assert again.current_a.tobytes() == first.current_a.tobytes()
    assert again.source_kw == first.source_kw


@pytest.mark.usefixtures("few")
def test_a_circuit_with_a_machine_is_left_to_opendss(master: Path) -> None:
    machine = "new indmach012.own bus1=far phases=3 kv=4.16 kw=50 conn=wye"
    master.write_text(CIRCUIT.format(last=machine), encoding="utf-8")
    assert Feeder(master)._solver._arrays is None


def test_no_power_flow_is_told_as_opendss_has_it(master: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    for feeder in pair(master, monkeypatch):
        spot_kw = feeder.layout.spot_kw
        with pytest.raises(PowerFlowError) as error:
            feeder.solve(300.0 * spot_kw, 0.0 * spot_kw)
        told.append(str(error.value))
    assert told[0] == told[1]


def test_with_elements_out_of_service_states_are_those_of_opendss(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = ["open line.l3 1", "open line.l114 1"]
    by_opendss = Feeder().changed(changes)
    monkeypatch.setattr(iteration, "FEW", 0)
    by_arrays = Feeder().changed(changes)
    assert by_arrays._solver._arrays is not None
    kw = by_opendss.layout.spot_kw
    found, right = (feeder.solve(0.8 * kw, 0.3 * kw) for feeder in (by_arrays, by_opendss))
    assert found.v_pu == pytest.approx(right.v_pu, abs=1e-10)
    assert found.current_a == pytest.approx(right.current_a, abs=1e-5)
    assert found.losses_kw == pytest.approx(right.losses_kw, abs=1e-6)
    assert by_arrays.losses() == pytest.approx(by_opendss.losses(), abs=1e-6)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("times", [1e5, -1e9])
def test_where_voltages_run_away_there_is_an_error_and_no_warning(master: Path, times: float) -> None:
    feeder = Feeder(master)
    kw = feeder.layout.spot_kw
    with pytest.raises(PowerFlowError):
        feeder.solve(times * kw, 0.0 * kw)
