"""A street of four wires whose customers stand on one phase each, most of them on the first."""

FOUR_WIRE = """
clear
new circuit.c basekv=12.47 pu=1.02 bus1=src mvasc3=500 mvasc1=400
new transformer.t windings=2 buses=(src lv.1.2.3.4) conns=(delta wye) kvs=(12.47 0.416) kvas=(500 500) xhl=4
new reactor.earth phases=1 bus1=lv.4 bus2=lv.0 r=0.1 x=0
new linecode.cable nphases=4 units=km rmatrix=[0.3|0.05 0.3|0.05 0.05 0.3|0.05 0.05 0.05 0.5]
~ xmatrix=[0.3|0.1 0.3|0.1 0.1 0.3|0.1 0.1 0.1 0.3] cmatrix=[0|0 0|0 0 0|0 0 0 0] normamps=200
new line.street bus1=lv.1.2.3.4 bus2=e.1.2.3.4 phases=4 linecode=cable length=0.3 units=km
new load.a bus1=e.1.4 phases=1 kv=0.24 kw=30 kvar=5
new load.b bus1=e.2.4 phases=1 kv=0.24 kw=5 kvar=1
new load.c bus1=e.3.4 phases=1 kv=0.24 kw=5 kvar=1
new load.d bus1=e.1.2.3.4 phases=3 kv=0.416 kw=15 kvar=3
set voltagebases=[12.47 0.416]
calcvoltagebases
solve
"""
