"""The linear model by differences of AC power flows: slow, and right whatever a circuit holds."""

from collections.abc import Callable

import numpy as np

from cosim.feeder.circuit import AcState, Complexes, Floats
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
    dv, di, dp0 = _slopes(
        [(solve(net_kw + step, net_kvar), solve(net_kw - step, net_kvar)) for step in steps], step_kw
    )
    dv_kvar, di_kvar, dp0_kvar = _slopes(
        [(solve(net_kw, net_kvar + step), solve(net_kw, net_kvar - step)) for step in steps], step_kw
    )
    return Linearisation(
        net_kw=here.net_kw,
        net_kvar=here.net_kvar,
        v_pu=here.v_pu,
        dv=dv,
        dv_kvar=dv_kvar,
        current_a=here.current_a,
        di=di,
        di_kvar=di_kvar,
        p0_kw=here.source_kw,
        dp0=dp0,
        dp0_kvar=dp0_kvar,
        nodes=here.nodes,
        branches=here.branches,
    )


def foretells(model: Linearisation, solve: Solve) -> bool:
    """Whether a model's derivatives are those of the AC power flow, by one probe in kW and one in kvar.

    Where nothing but rounding defines a voltage to ground, as on a delta side without ground, no two
    solutions agree. Such nodes show by their second difference, and one in a hundred may escape that.
    """
    # Small, for near collapse the differences bend; solutions are exact enough for it.
    step = 5e-4 * np.where(model.net_kw > 0, model.net_kw, 1.0)
    still = np.zeros_like(step)
    for kw, kvar in ((step, still), (still, step)):
        up = solve(model.net_kw + kw, model.net_kvar + kvar)
        down = solve(model.net_kw - kw, model.net_kvar - kvar)
        dv, dp0 = (up.v_pu - down.v_pu) / 2, (up.source_kw - down.source_kw) / 2
        rounding_pu = np.abs(up.v_pu + down.v_pu - 2 * model.v_pu)
        tolerance_pu = 1e-4 * np.abs(dv).max() + 1e-10 + 10 * rounding_pu
        agrees = np.abs(model.dv @ kw + model.dv_kvar @ kvar - dv) <= tolerance_pu
        if np.mean(agrees) < 0.99:
            return False
        # Losses move so little with kvar that their change is held against the power that moved.
        tolerance_kw = 1e-4 * max(abs(dp0), 1e-2 * step.sum()) + 1e-6
        if not np.isclose(model.dp0 @ kw + model.dp0_kvar @ kvar, dp0, rtol=0, atol=tolerance_kw):
            return False
    return True


def _slopes(pairs: list[tuple[AcState, AcState]], step_kw: float) -> tuple[Floats, Complexes, Floats]:
    dv = np.array([(up.v_pu - down.v_pu) / (2 * step_kw) for up, down in pairs])
    di = np.array([(up.current_a - down.current_a) / (2 * step_kw) for up, down in pairs])
    dp0 = np.array([(up.source_kw - down.source_kw) / (2 * step_kw) for up, down in pairs])
    return dv.T, di.T, dp0
