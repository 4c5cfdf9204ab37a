"""The linear model by differences of AC power flows: slow, and right whatever a circuit holds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cosim.feeder.circuit import AcState, Complexes, Floats
from cosim.feeder.derivatives import WholeDerivatives
from cosim.feeder.linear import Linearisation

Solve = Callable[[Floats, Floats], AcState]


def difference_model(solve: Solve, net_kw: Floats, net_kvar: Floats, step_kw: float) -> Linearisation:
    """First-order model by central differences, 4 M + 1 power flows.

    Parameters
    ----------
    solve
        AC power flow of net powers [kW, kvar].
    net_kw, net_kvar
        The point, shape ``(M,)`` [kW, kvar].
    step_kw
        Step to either side [kW, kvar].

    Raises
    ------
    PowerFlowError
        As ``solve``, at any of the points.
    """
    here = solve(net_kw, net_kvar)
    steps = step_kw * np.eye(len(net_kw))
    at_kw = _Slopes.of(
        [(solve(net_kw + step, net_kvar), solve(net_kw - step, net_kvar)) for step in steps], step_kw
    )
    at_kvar = _Slopes.of(
        [(solve(net_kw, net_kvar + step), solve(net_kw, net_kvar - step)) for step in steps], step_kw
    )
    return Linearisation(
        net_kw=here.net_kw,
        net_kvar=here.net_kvar,
        v_pu=here.v_pu,
        current_a=here.current_a,
        derivatives=WholeDerivatives(
            np.hstack([at_kw.dv, at_kvar.dv]),
            np.hstack([at_kw.di, at_kvar.di]),
            np.concatenate([at_kw.dp0, at_kvar.dp0]),
            lambda weights: weights @ np.hstack([at_kw.dphasors, at_kvar.dphasors]),
        ),
        p0_kw=here.source_kw,
        nodes=here.nodes,
        branches=here.branches,
        phasors=here.phasors,
    )


def agrees_with_power_flow(
    dv_pu: Floats, dp0_kw: float, here: AcState, solve: Solve, step_kw: Floats, step_kvar: Floats
) -> bool:
    """Whether a model's answer to a small step is that of the AC power flow.

    Where nothing but rounding defines a voltage to ground, as on a delta side without ground, no two
    solutions agree. Such nodes show by their second difference, and one in a hundred may escape that.

    Parameters
    ----------
    dv_pu, dp0_kw
        Changes of the node voltages ``(n,)`` [pu] and of the head power [kW] that the model predicts.
    here
        The state from which the step is taken.
    solve
        AC power flow of net powers [kW, kvar].
    step_kw, step_kvar
        The step ``(M,)`` [kW, kvar].
    """
    up = solve(here.net_kw + step_kw, here.net_kvar + step_kvar)
    down = solve(here.net_kw - step_kw, here.net_kvar - step_kvar)
    found_pu, found_kw = (up.v_pu - down.v_pu) / 2, (up.source_kw - down.source_kw) / 2
    rounding_pu = np.abs(up.v_pu + down.v_pu - 2 * here.v_pu)
    tolerance_pu = 1e-4 * np.abs(found_pu).max() + 1e-10 + 10 * rounding_pu
    # Losses move so little with kvar that their change is held against the power that moved.
    tolerance_kw = 1e-4 * max(abs(found_kw), 1e-2 * (step_kw.sum() + step_kvar.sum())) + 1e-6
    agrees = np.abs(dv_pu - found_pu) <= tolerance_pu
    return bool(np.mean(agrees) >= 0.99 and abs(dp0_kw - found_kw) <= tolerance_kw)


class _Slopes(NamedTuple):
    """Changes along M directions: voltages ``(n, M)``, currents ``(b, M)``, head power, phasors."""

    dv: Floats
    di: Complexes
    dp0: Floats
    dphasors: Complexes

    @classmethod
    def of(cls, pairs: list[tuple[AcState, AcState]], step_kw: float) -> "_Slopes":
        return cls(
            dv=np.array([(up.v_pu - down.v_pu) / (2 * step_kw) for up, down in pairs]).T,
            di=np.array([(up.current_a - down.current_a) / (2 * step_kw) for up, down in pairs]).T,
            dp0=np.array([(up.source_kw - down.source_kw) / (2 * step_kw) for up, down in pairs]),
            dphasors=np.array([(up.phasors - down.phasors) / (2 * step_kw) for up, down in pairs]).T,
        )
