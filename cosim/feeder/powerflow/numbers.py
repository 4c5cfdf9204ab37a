"""Refuses a circuit whose values make no power flow: what is no number makes all voltages none."""

import math
from collections.abc import Iterator

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import FeederError
from cosim.feeder.powerflow.engine import is_enabled, solution_vector
from cosim.feeder.powerflow.notes import listed


def check_numbers(dss: OpenDss) -> None:
    """Name the elements whose values leave the circuit without voltages, where it has none.

    Parameters
    ----------
    dss
        Context with a circuit, solved once.

    Raises
    ------
    FeederError
        Voltages of its solution are no numbers, and so are an element's admittance, a source's voltage or the
        load multiplier.
    """
    if np.isfinite(solution_vector(dss)).all():
        return
    if not math.isfinite(dss.Solution.LoadMult()):
        raise FeederError(f"the file sets loadmult={dss.Solution.LoadMult():g}; give it a number")
    sources = list(_sources_without_voltage(dss))
    if sources:
        raise FeederError(f"{listed('source', sources, whole=True)} without a voltage that is a number")
    found = list(_without_admittance(dss))
    if found:
        raise FeederError(
            f"{listed('element', found, whole=True)} without an admittance that is a number, which leaves no "
            "voltage that is one: correct the value that is none, or the rated voltage that is zero"
        )


def _sources_without_voltage(dss: OpenDss) -> Iterator[str]:
    for name in dss.Vsources.AllNames():
        dss.Vsources.Name(name)
        values = (dss.Vsources.PU(), dss.Vsources.BasekV(), dss.Vsources.AngleDeg())
        if is_enabled(dss, f"vsource.{name}") and not all(map(math.isfinite, values)):
            yield f"vsource.{name}"


def _without_admittance(dss: OpenDss) -> Iterator[str]:
    for name in dss.Circuit.AllElementNames():
        if not is_enabled(dss, name) or np.isfinite(np.array(dss.CktElement.YPrim())).all():
            continue
        kind, _, short = name.lower().partition(".")
        values = ""
        if kind == "load":
            dss.Loads.Name(short)
            values = f" with kw={dss.Loads.kW():g}, kvar={dss.Loads.kvar():g}, kv={dss.Loads.kV():g}"
        yield f"{kind}.{short}{values}"
