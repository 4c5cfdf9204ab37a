"""Base voltages for a circuit that states none: those that its sources and windings are rated for.

OpenDSS solves such a circuit, and knows no voltage of it per unit. From the rated voltages it gives each bus
the nearest, as from a list of the user's, and every bus must then be near to its own without load.
"""

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.powerflow.engine import command

_ROOT_3 = float(np.sqrt(3.0))
# Without load a bus stands at a rated voltage but for the taps of regulators on the way.
_NEAR = 0.15
_SAME = 0.02


def derive_bases(dss: OpenDss) -> list[str]:
    """Give the buses of a circuit bases, where none has one; a sentence on which, or nothing.

    Buses that are not near any rated voltage are left without a base, which is refused later by name.

    Parameters
    ----------
    dss
        Context with a circuit, solved once.

    Raises
    ------
    FeederError
        OpenDSS refuses to compute them.
    """
    if any(_base_kv(dss, bus) > 0 for bus in dss.Circuit.AllBusNames()):
        return []
    rated = _rated_kv(dss)
    if not rated:
        return []
    command(dss, f"set voltagebases=[{', '.join(f'{kv:.6g}' for kv in rated)}]")
    command(dss, "calcvoltagebases")
    without_load = np.array(dss.Circuit.AllBusMagPu())
    alive = without_load > _NEAR
    if (np.abs(without_load[alive] - 1.0) > _NEAR).any():
        command(dss, "set voltagebases=[]")
        for bus in dss.Circuit.AllBusNames():
            command(dss, f"setkvbase bus={bus} kvll=0")
        return []
    command(dss, "solve")
    listed = ", ".join(f"{kv:.4g}" for kv in rated)
    return [
        f"no base voltages in the file: {listed} kV between phases, as its sources and windings are rated"
    ]


def _base_kv(dss: OpenDss, bus: str) -> float:
    dss.Circuit.SetActiveBus(bus)
    return dss.Bus.kVBase()


def _rated_kv(dss: OpenDss) -> list[float]:
    """Rated voltages between phases of sources and of transformers' windings, each level once [kV]."""
    found: list[float] = []
    for name in dss.Circuit.AllElementNames():
        kind = name.partition(".")[0].lower()
        dss.Circuit.SetActiveElement(name)
        if kind not in ("vsource", "transformer") or not dss.CktElement.Enabled():
            continue
        phases = dss.CktElement.NumPhases()
        if kind == "vsource":
            kv = float(dss.Properties.Value("basekv"))
            found.append(kv if phases > 1 else _ROOT_3 * kv)
            continue
        for number, bus in enumerate(dss.CktElement.BusNames(), start=1):
            dss.Transformers.Name(name.partition(".")[2])
            dss.Transformers.Wdg(number)
            live = [node for node in bus.split(".")[1:] if node != "0"]
            to_ground = phases == 1 and not dss.Transformers.IsDelta() and len(live) < 2
            found.append(dss.Transformers.kV() * (_ROOT_3 if to_ground else 1.0))
    levels: list[float] = []
    for kv in sorted(found, reverse=True):
        if kv > 0 and all(abs(kv / level - 1.0) > _SAME for level in levels):
            levels.append(kv)
    return levels
