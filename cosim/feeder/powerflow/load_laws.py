"""How loads outside the market vary with the voltage across them, as a circuit's description has it.

A winding of nominal power ``P0 + j Q0`` draws ``P0 sum(c v^e) + j Q0 sum(d v^f)`` at ``v`` times its rated
voltage: constant impedance, current or power, exponents (CVR), or all three together (ZIP).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, FeederError, Floats
from cosim.feeder.powerflow.attachment import SpotLoad
from cosim.feeder.powerflow.factors import Ints

_CONSTANT = (((1.0, 0.0, 0.0), (0.0, 0.0, 0.0)),) * 2
_ZIP_EXPONENTS = (2.0, 1.0, 0.0)
ZIP_MODEL = 8
_ROOT_3 = np.sqrt(3.0)


class Drawn(NamedTuple):
    """Power into each winding, and its change per relative change of its voltage ``(L,)`` [VA]."""

    va: Complexes
    slope_va: Complexes


@dataclass(frozen=True)
class LoadLaws:
    """Laws of those loads of a circuit, L windings in all, that vary with voltage.

    Attributes
    ----------
    names
        Their names.
    windings, base_v
        Places of their windings ``(w,)`` and the rated voltages ``(w,)`` [V].
    factors, exponents
        Of the active and of the reactive power, three terms each ``(w, 2, 3)``.
    """

    names: tuple[str, ...] = ()
    windings: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.intp))
    base_v: Floats = field(default_factory=lambda: np.zeros(0))
    factors: Floats = field(default_factory=lambda: np.zeros((0, 2, 3)))
    exponents: Floats = field(default_factory=lambda: np.zeros((0, 2, 3)))

    def drawn(self, nominal_va: Complexes, across: Complexes) -> Drawn:
        """What windings of given nominal powers draw at the voltages across them ``(L,)`` [VA, V]."""
        va, slope_va = nominal_va.copy(), np.zeros_like(nominal_va)
        if self.windings.size:
            pu = np.abs(across[self.windings]) / self.base_v
            terms = self.factors * pu[:, None, None] ** self.exponents
            nominal = nominal_va[self.windings]
            va[self.windings] = _scaled(nominal, terms.sum(axis=2))
            slope_va[self.windings] = _scaled(nominal, (terms * self.exponents).sum(axis=2))
        return Drawn(va, slope_va)


def laws_of(dss: OpenDss, loads: Sequence[SpotLoad], may: Collection[str]) -> LoadLaws:
    """Laws of those of a circuit's loads that vary with voltage by its description.

    Parameters
    ----------
    dss, loads
        A context, and the loads of its circuit.
    may
        Names of those that may.

    Raises
    ------
    FeederError
        One of them has a model that is not known here.
    """
    names: list[str] = []
    windings: list[int] = []
    base_v: list[float] = []
    factors, exponents = [], []
    place = 0
    for load in loads:
        count = len(load.windings())
        if load.name in may:
            law = _law(dss, load)
            if law != _CONSTANT:
                names.append(load.name)
                windings += range(place, place + count)
                base_v += [_rated_v(dss, load)] * count
                factors += [[term[0] for term in law]] * count
                exponents += [[term[1] for term in law]] * count
        place += count
    if not windings:
        return LoadLaws()
    return LoadLaws(
        tuple(names), np.array(windings), np.array(base_v), np.array(factors), np.array(exponents)
    )


_Terms = tuple[tuple[float, ...], tuple[float, ...]]


def _law(dss: OpenDss, load: SpotLoad) -> tuple[_Terms, _Terms]:
    """Factors and exponents of active and of reactive power."""
    dss.Loads.Name(load.name)
    model = int(dss.Loads.Model())
    if model == ZIP_MODEL:
        zip_v = [float(each) for each in dss.Loads.ZipV()]
        return (tuple(zip_v[:3]), _ZIP_EXPONENTS), (tuple(zip_v[3:6]), _ZIP_EXPONENTS)
    exponents = {
        1: (0.0, 0.0),
        2: (2.0, 2.0),
        3: (0.0, 2.0),
        4: (float(dss.Loads.CVRwatts()), float(dss.Loads.CVRvars())),
        5: (1.0, 1.0),
    }.get(model)
    if exponents is None:
        raise FeederError(
            f"load '{load.name}' is of OpenDSS's model {model}, which is not known here; give it model 1 to "
            '5 or 8, or leave feeder.other_loads = "constant-power"'
        )
    active, reactive = (((1.0, 0.0, 0.0), (each, 0.0, 0.0)) for each in exponents)
    return active, reactive


def _rated_v(dss: OpenDss, load: SpotLoad) -> float:
    """Rated voltage of each winding of the load that was read last [V]."""
    dss.Loads.Name(load.name)
    is_wye_of_several = len(load.phases) > 1 and not load.is_delta
    return float(1e3 * dss.Loads.kV() / (_ROOT_3 if is_wye_of_several else 1.0))


def _scaled(va: Complexes, factors: Floats) -> Complexes:
    """Active and reactive power ``(w,)`` by a factor each ``(w, 2)``."""
    scaled: Complexes = va.real * factors[:, 0] + 1j * va.imag * factors[:, 1]
    return scaled
