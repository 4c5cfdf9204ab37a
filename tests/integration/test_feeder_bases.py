"""What a circuit's file leaves open: base voltages, and the return of currents behind a delta winding."""

from pathlib import Path

import numpy as np
import pytest

from cosim.feeder.circuit import FeederError
from cosim.feeder.opendss import Feeder

SOURCE = "new circuit.two bus1=head basekv=4.16 r1=0 x1=0.001 r0=0 x0=0.001"
LINE = "new line.l bus1=head bus2=tail phases=3 r1=0.3 x1=0.6 r0=0.6 x0=1.2 c1=0 c0=0 length=1"
LOAD = "new load.one bus1=tail.1 phases=1 kv=2.4 kw=60 kvar=20"


def opened(folder: Path, *commands: str) -> Feeder:
    path = folder / "master.dss"
    path.write_text("\n".join(["clear", *commands]) + "\n")
    return Feeder(path)


def spot(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    return feeder.layout.spot_kw, feeder.layout.spot_kw * feeder.layout.tan_phi


BEHIND_DELTA = (
    SOURCE,
    LINE,
    LOAD,
    "new transformer.t phases=3 buses=[tail low] conns=[wye delta] kvs=[4.16 0.48] kvas=[300 300] xhl=4",
)


@pytest.mark.parametrize(
    ("element", "drawn_kw"),
    [
        ("storage.s bus1=low phases=3 kv=0.48 kva=100 kwrated=60 kwhrated=100 kw=40", 60.0 - 40.0),
        ("load.s bus1=low phases=3 kv=0.48 kw=60 kvar=0", 60.0 + 60.0),
    ],
)
def test_three_phases_behind_a_delta_winding_draw_between_them(tmp_path, element, drawn_kw):
    """Nothing holds voltages to ground there: constant power from each to ground lets one collapse."""
    more = (f"new {element}", "set voltagebases=[4.16 0.48]", "calcvoltagebases")
    feeder = opened(tmp_path, *BEHIND_DELTA, *more)
    said = [note for note in feeder.layout.notes if "nothing ties the zone to ground" in note]
    assert len(said) == 1
    state = feeder.solve(*spot(feeder))
    at_low = [v for name, v in zip(state.nodes, state.v_pu, strict=True) if name.startswith("low.")]
    assert len(at_low) == 3
    assert np.ptp(at_low) < 0.02
    assert state.source_kw - state.losses_kw == pytest.approx(drawn_kw, abs=1.0)
    assert feeder.layout.description["derivatives"] == "admittance"


def test_bases_that_a_file_leaves_out_are_those_of_its_source_and_windings(tmp_path):
    commands = (*BEHIND_DELTA, "new load.home bus1=low phases=3 conn=delta kv=0.48 kw=9 kvar=3")
    without = opened(tmp_path, *commands, "solve")
    assert any("no base voltages in the file: 4.16, 0.48 kV" in note for note in without.layout.notes)
    with_bases = opened(tmp_path, *commands, "set voltagebases=[4.16 0.48]", "calcvoltagebases")
    assert without.layout.nodes == with_bases.layout.nodes
    np.testing.assert_allclose(without.layout.node_base_kv, with_bases.layout.node_base_kv, rtol=1e-6)
    there = spot(with_bases)
    np.testing.assert_allclose(without.solve(*there).v_pu, with_bases.solve(*there).v_pu, atol=1e-9)


def test_a_bus_far_from_all_rated_voltages_leaves_the_bases_to_the_user(tmp_path):
    boosted = SOURCE + " pu=1.4"
    with pytest.raises(FeederError, match="has no base voltage; end the feeder's file"):
        opened(tmp_path, boosted, LINE, LOAD)
