"""Loads OpenDSS, the one module that does, with an environment that outlives every change to it.

The engine's runtime keeps the address of the environment with which it was loaded and reads it again in each
new thread. The C library frees that block when a variable is added later (``os.environ[...] = ...``), and the
next thread that meets OpenDSS crashes. A copy that nobody frees is put in its place first.
"""

import ctypes
import os
import sys
from pathlib import Path

from cosim.feeder.api import ArrayInterface, OpenDss


def pin_environment() -> "ctypes.Array[ctypes.c_void_p] | None":
    """Make the process's environment block a copy that the C library does not own; None off Linux."""
    if sys.platform != "linux":
        return None
    place = ctypes.c_void_p.in_dll(ctypes.CDLL(None), "environ")
    block = ctypes.cast(place.value or 0, ctypes.POINTER(ctypes.c_void_p))
    entries: list[int | None] = []
    while place.value and block[len(entries)]:
        entries.append(block[len(entries)])
    pinned = (ctypes.c_void_p * (len(entries) + 1))(*entries, None)
    place.value = ctypes.addressof(pinned)
    return pinned


_ENVIRONMENT = pin_environment()

from opendssdirect import dss  # noqa: E402

EngineError: type[Exception] = dss.DSSException
"""What OpenDSS's interface raises where OpenDSS refuses something."""


def new_context() -> OpenDss:
    """An OpenDSS context of its own, without a circuit."""
    # The first one of a process changes to the folder in which OpenDSS was loaded.
    folder = Path.cwd()
    context: OpenDss = dss.NewContext()
    if Path.cwd() != folder:
        os.chdir(folder)
    return context


def array_interface(context: OpenDss) -> ArrayInterface:
    """The part of a context's interface that takes and gives whole arrays.

    What it sets is checked for errors by the next call of any other part.
    """
    # OpenDSSDirect.py offers no public way to it; the package that does has a class for each kind of element.
    interface: ArrayInterface = context._api_util
    return interface
