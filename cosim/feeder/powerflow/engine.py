"""OpenDSS calls that can fail, with its errors as ours; and its solution vector."""

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, FeederError, PowerFlowError


def command(dss: OpenDss, text: str, where: str = "feeder") -> None:
    """Run one OpenDSS command.

    Raises
    ------
    FeederError
        OpenDSS refused it; carries its message on one line, after ``where``.
    """
    try:
        dss.Text.Command(text)
    except dss.DSSException as error:
        raise FeederError(f"{where}: OpenDSS refused it: {_one_line(error)}") from error


def begin_iteration(dss: OpenDss) -> None:
    """Let OpenDSS take over changed loads, and iterate once.

    Raises
    ------
    PowerFlowError
        OpenDSS met an error.
    """
    dss.Solution.MinIterations(1)
    dss.Solution.MaxIterations(1)
    try:
        dss.Solution.SolveNoControl()
    except dss.DSSException as error:
        raise PowerFlowError(f"power flow failed: {_one_line(error)}") from error


def solution_vector(dss: OpenDss) -> Complexes:
    """Node voltages, ground first ``(N,)`` [V]: a view that is good until OpenDSS rebuilds its matrices."""
    size = 16 * (dss.Circuit.NumNodes() + 1)
    return np.frombuffer(dss.dss_ffi.buffer(dss.YMatrix.VVector(), size), dtype=np.complex128)


def _one_line(error: Exception) -> str:
    return " ".join(str(error.args[-1]).split())
