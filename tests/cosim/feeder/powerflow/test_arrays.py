"""What goes to OpenDSS in arrays, against its interface for one element at a time."""

import numpy as np
import pytest

from cosim.feeder.library import new_context
from cosim.feeder.powerflow.arrays import LoadPowers, all_currents

CIRCUIT = (
    "new circuit.c basekv=12.47 phases=3 bus1=source",
    "new line.l phases=3 bus1=source bus2=end length=1 units=km",
    "new load.First phases=1 bus1=end.1 kv=7.2 kw=100 kvar=40",
    "new load.idle phases=1 bus1=end.2 kv=7.2 kw=10 kvar=5 enabled=no",
    "new load.second phases=1 bus1=end.2 kv=7.2 kw=50 pf=0.9",
    "new load.third phases=3 bus1=end kv=12.47 kw=300 kvar=10",
)


@pytest.fixture
def dss():
    context = new_context()
    for command in CIRCUIT:
        context.Text.Command(command)
    context.Solution.Solve()
    return context


def powers(dss):
    return {name: _power(dss, name) for name in dss.Loads.AllNames()}


def _power(dss, name):
    dss.Loads.Name(name)
    return dss.Loads.kW(), dss.Loads.kvar()


def test_loads_take_their_own_powers_whatever_their_order_and_others_keep_theirs(dss):
    before = powers(dss)
    LoadPowers(dss, ["third", "first"]).set(np.array([270.0, -80.0]), np.array([-3.0, 25.0]))
    assert powers(dss) == before | {"third": (270.0, -3.0), "first": (-80.0, 25.0)}


def test_admittances_stay_and_power_flow_is_that_of_loads_set_one_by_one(dss):
    kw, kvar = np.array([80.0, 45.0, 310.0]), np.array([30.0, -20.0, 60.0])
    LoadPowers(dss, ["first", "second", "third"]).set(kw, kvar)
    assert not dss.YMatrix.SystemYChanged()
    dss.Solution.Solve()
    volts, currents = dss.Circuit.AllBusVolts(), all_currents(dss)
    for name, p, q in zip(("first", "second", "third"), kw + 1.0, kvar, strict=True):
        dss.Loads.Name(name)
        dss.Loads.kW(p)
        dss.Loads.kvar(q)
    dss.Solution.Solve()
    for name, p, q in zip(("first", "second", "third"), kw, kvar, strict=True):
        dss.Loads.Name(name)
        dss.Loads.kW(p)
        dss.Loads.kvar(q)
    dss.Solution.Solve()
    np.testing.assert_allclose(dss.Circuit.AllBusVolts(), volts, rtol=0, atol=1e-2)
    np.testing.assert_allclose(all_currents(dss), currents, rtol=0, atol=1e-2)
    np.testing.assert_array_equal(all_currents(dss).view(np.float64), dss.PDElements.AllCurrents())
