"""Every line and every winding is judged by its own current and rating."""

import numpy as np
import pytest

from cosim.feeder.opendss import Feeder
from tests.integration.circuits import (
    at_own_loads,
    loading,
    solved_by_opendss,
    volts,
)


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
    dss = solved_by_opendss(master)
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
