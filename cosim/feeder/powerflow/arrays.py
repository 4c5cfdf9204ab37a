"""What OpenDSS takes and gives in whole arrays.

Its interface for one element at a time checks for errors at each call: for thousands of loads that takes as
long as the power flow itself.
"""

import weakref
from collections.abc import Sequence

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.library import array_interface

_SET = 0
# As the interface for single loads has it: a changed power leaves the admittances as they are.
_AVOID_FULL_RECALCULATION = 2


class LoadPowers:
    """Sets the powers of some loads.

    Parameters
    ----------
    dss
        The context.
    names
        Names of K loads, in lower case.
    """

    def __init__(self, dss: OpenDss, names: Sequence[str]) -> None:
        interface = array_interface(dss)
        self._lib, self._ffi = interface.lib, interface.ffi
        found, count = self._ffi.new("void***"), self._ffi.new("int32_t[4]")
        self._lib.Batch_CreateByClassS(found, count, b"load")
        pointers = [found[0][place] for place in range(count[0])]
        weakref.finalize(self, self._lib.Batch_Dispose, found[0])
        by_name = {self._name(pointer): pointer for pointer in pointers}
        self._loads = self._ffi.new("void*[]", [by_name[name] for name in names])
        self._count = len(names)

    def set(self, kw: Floats, kvar: Floats) -> None:
        """Let each load draw its power ``(K,)`` [kW, kvar], from the next solution on."""
        # kvar come last: those before move along with kW, at constant power factor.
        for name, values in ((b"kW", kw), (b"kvar", kvar)):
            numbers = np.ascontiguousarray(values, dtype=np.float64)
            first = self._ffi.cast("double*", self._ffi.from_buffer(numbers))
            self._lib.Batch_Float64ArrayS(
                self._loads, self._count, name, _SET, first, _AVOID_FULL_RECALCULATION
            )

    def _name(self, pointer: object) -> str:
        text: bytes = self._ffi.string(self._lib.Obj_GetName(pointer))
        return text.decode().lower()


def all_currents(dss: OpenDss) -> Complexes:
    """Currents of all conductors at all terminals of all power delivery elements [A]."""
    interface = array_interface(dss)
    interface.lib.PDElements_Get_AllCurrents_GR()
    return interface.get_float64_gr_array().view(np.complex128)
