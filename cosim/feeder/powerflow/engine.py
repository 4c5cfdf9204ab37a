"""OpenDSS calls that can fail, with its errors as ours; and its solution vector."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np

from cosim.feeder.api import OpenDss
from cosim.feeder.circuit import Complexes, FeederError, PowerFlowError
from cosim.feeder.library import EngineError
from sharegrid.errors import SharegridError

P = ParamSpec("P")
T = TypeVar("T")


def translated(error_type: type[SharegridError], what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorator: whatever OpenDSS refuses inside becomes one line of ours, after ``what``.

    Every way into OpenDSS from outside `cosim.feeder.powerflow` passes through one.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except EngineError as error:
                raise error_type(f"{what}: OpenDSS says: {_one_line(error)}") from error
            except np.linalg.LinAlgError as error:
                raise error_type(f"{what}: the equations of the circuit are singular here") from error

        return call

    return decorate


def command(dss: OpenDss, text: str, where: str = "feeder") -> None:
    """Run one OpenDSS command.

    Raises
    ------
    FeederError
        OpenDSS refused it; carries its message on one line, after ``where``.
    """
    try:
        dss.Text.Command(text)
    except EngineError as error:
        raise FeederError(f"{where}: OpenDSS refused it: {_one_line(error)}") from error


def solve_as_set(dss: OpenDss, where: str = "feeder") -> bool:
    """Solve with the options in force; whether the circuit's controls came to rest within their limit.

    Raises
    ------
    FeederError
        OpenDSS refused it.
    """
    try:
        command(dss, "solve", where)
    except FeederError as error:
        if "Max Control Iterations" not in str(error):
            raise
        return False
    return True


def is_enabled(dss: OpenDss, name: str) -> bool:
    """Make an element the active one, and say whether it is in service."""
    dss.Circuit.SetActiveElement(name)
    try:
        return bool(dss.CktElement.Enabled())
    except EngineError:
        return True  # some controls are asked for nodes, have none, and act all the same


def restless_node(dss: OpenDss) -> str:
    """Where the voltages of a circuit that does not converge move most, in words."""
    before = np.array(dss.Circuit.AllBusMagPu())
    limit = dss.Solution.MaxIterations()
    dss.Solution.MaxIterations(1)  # after many they may be where they were, and swing all the same
    dss.Solution.Solve()
    dss.Solution.MaxIterations(limit)
    now = np.array(dss.Circuit.AllBusMagPu())
    most = int(np.argmax(np.nan_to_num(np.abs(now - before), nan=np.inf)))
    return f"voltages move most at node '{dss.Circuit.AllNodeNames()[most].lower()}' (now {now[most]:.3f} pu)"


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
    except EngineError as error:
        raise PowerFlowError(f"power flow failed: {_one_line(error)}") from error


def clear(dss: OpenDss) -> None:
    """Free a circuit's memory; OpenDSS's interface keeps each context for as long as the process lives."""
    command(dss, "clear")


def solution_vector(dss: OpenDss) -> Complexes:
    """Node voltages, ground first ``(N,)`` [V]: a view that is good until OpenDSS rebuilds its matrices."""
    size = 16 * (dss.Circuit.NumNodes() + 1)
    return np.frombuffer(dss.dss_ffi.buffer(dss.YMatrix.VVector(), size), dtype=np.complex128)


def injection_vector(dss: OpenDss) -> Complexes:
    """Currents that are injected at the nodes, ground first ``(N,)`` [A]: a view like `solution_vector`."""
    size = 16 * (dss.Circuit.NumNodes() + 1)
    return np.frombuffer(dss.dss_ffi.buffer(dss.YMatrix.IVector(), size), dtype=np.complex128)


def node_voltages(dss: OpenDss) -> Complexes:
    """Node voltages of the present solution, 0 at ground ``(N,)`` [V]: a copy."""
    volts = solution_vector(dss).copy()
    volts[0] = 0.0
    return volts


def _one_line(error: Exception) -> str:
    text = " ".join(str(error.args[-1]).split())
    # It fills its messages up with guesses and with places in files that we know better.
    return text.partition(" Probable Cause")[0].partition(" [file:")[0]
