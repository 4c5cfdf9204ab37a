"""For how long, and how far, a feeder was beyond its limits: violation-hours of a span of time."""

from dataclasses import dataclass

import numpy as np

from cosim.feeder.circuit import AcState, Floats
from cosim.feeder.controls import ControlRun
from cosim.feeder.linear import Limits


@dataclass(frozen=True)
class ViolationHours:
    """Violations weighted by how long they lasted; a limit counts once it is missed by its tolerance.

    Attributes
    ----------
    under_pu_h, over_pu_h
        Voltage below and above the limits, summed over nodes [pu h].
    overload_kva_h
        Apparent power above the ratings, summed over conductors at their base voltage [kVA h].
    node_h
        Time outside the voltage limits, summed over nodes [h].
    """

    under_pu_h: float
    over_pu_h: float
    overload_kva_h: float
    node_h: float


def violation_hours(run: ControlRun, limits: Limits, branch_base_kv: Floats) -> ViolationHours:
    """Violation-hours over a span of time.

    Parameters
    ----------
    run
        The states of the span, and how long each lasted; a node without voltage counts as none.
    limits
        Voltage and current limits.
    branch_base_kv
        Base voltages to ground of the branch conductors ``(b,)`` [kV].
    """
    sums = np.zeros(4)
    for (_, state), share in zip(run.states, run.shares(), strict=True):
        under, over, over_a = beyond(state, limits)
        sums += share * np.array(
            [
                under.sum(),
                over.sum(),
                over_a @ branch_base_kv,
                np.count_nonzero((under > 0) | (over > 0)),
            ]
        )
    hours = run.window_s / 3600.0
    return ViolationHours(*(float(each) * hours for each in sums))


def beyond(state: AcState, limits: Limits) -> tuple[Floats, Floats, Floats]:
    """How far a state is beyond limits, as `Limits.beyond`, with currents in A.

    Returns
    -------
    tuple
        Voltage below and above the limits ``(n,)`` [pu], and current above the ratings ``(b,)`` [A].
    """
    under, over, excess = limits.beyond(state.v_pu, state.current_a)
    over_a = np.multiply(excess, limits.rating_a, out=np.zeros_like(excess), where=excess > 0)
    return under, over, over_a
