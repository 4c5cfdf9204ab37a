"""Small circuits of tests, and what OpenDSS itself makes of them."""

import numpy as np

from cosim.feeder.library import new_context

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
    dss = solved_by_opendss(master)
    found = np.array(dss.Circuit.AllBusVolts()).view(np.complex128)
    return dict(zip(dss.Circuit.AllNodeNames(), found, strict=True))


def own_solution_kw(master):
    """What OpenDSS itself has the source deliver, with loads of constant power."""
    return -solved_by_opendss(master).Circuit.TotalPower()[0]


def solved_by_opendss(master):
    dss = new_context()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'compile "{master}"')
    dss.Text.Command("batchedit load..* vminpu=0.5 vmaxpu=1.5")
    dss.Text.Command("set tolerance=1e-9")
    dss.Text.Command("solve")
    return dss
