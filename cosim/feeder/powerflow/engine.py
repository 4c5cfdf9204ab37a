"""OpenDSS calls that can fail, with its errors as ours; and its solution vector."""

from typing import Any

import numpy as np

from cosim.feeder.circuit import Complexes, FeederError, PowerFlowError


def command(dss: Any, text: str, where: str = "feeder") -> None:
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


def begin_iteration(dss: Any) -> None:
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


def converge(dss: Any) -> None:
    """Solve the circuit as it stands, in OpenDSS's own way, which lets controls act if they may.

    Raises
    ------
    PowerFlowError
        No convergence, which OpenDSS itself passes over in silence, or an error on the way.
    """
    dss.Solution.MinIterations(2)
    dss.Solution.MaxIterations(200)
    try:
        dss.Solution.Solve()
    except dss.DSSException as error:
        raise PowerFlowError(f"power flow failed: {_one_line(error)}") from error
    if not dss.Solution.Converged():
        raise PowerFlowError(
            f"power flow did not converge in {dss.Solution.Iterations()} iterations; "
            "reduce the LAMs' power or check the feeder's data"
        )


def solution_vector(dss: Any) -> Complexes:
    """Node voltages, ground first ``(N,)`` [V]: a view that is good until OpenDSS rebuilds its matrices."""
    size = 16 * (dss.Circuit.NumNodes() + 1)
    return np.frombuffer(dss.dss_ffi.buffer(dss.YMatrix.VVector(), size), dtype=np.complex128)


def _one_line(error: Exception) -> str:
    return " ".join(str(error.args[-1]).split())
