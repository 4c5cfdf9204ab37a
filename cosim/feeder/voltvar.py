"""Inverters that answer voltage with reactive power: the volt-var droop of IEEE 1547 category B.

The droop is a piecewise-linear curve from voltage to reactive power; together with the feeder it is a fixed
point, found by damped iteration. Its slope enters the linear model, so that the market sees the feeder with
its inverters at work.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import sparse

from cosim.feeder.circuit import AcState, Floats, PowerFlowError
from cosim.feeder.derivatives import Following
from cosim.feeder.linear import Linearisation

CURVE_PU = (0.92, 0.98, 1.02, 1.08)
"""Voltages V1 to V4 of the default category B curve; between V2 and V3 nothing is drawn or injected [pu]."""

_SETTLED = 1e-8
"""Distance from the droop at which the iteration ends, as a part of the largest capability."""

_ROUND_PU = 0.004
"""Half of the span over which a droop's slope is averaged for the linear model."""

_MEMORY, _MOST_STEPS, _LEAST_DAMPING = 6, 200, 1e-3


class _Solve(Protocol):
    def __call__(self, net_kw: Floats, net_kvar: Floats) -> AcState: ...


@dataclass(frozen=True)
class Droop:
    """Volt-var answers of the inverters of M LAMs.

    Attributes
    ----------
    limit_kvar
        Reactive capability of each LAM's inverters, both ways ``(M,)`` [kvar].
    seen
        Mean that turns node voltages into the voltage of each LAM, sparse ``(M, n)``.
    curve_pu
        Voltages V1 < V2 <= V3 < V4 [pu]: full injection to V1, none from V2 to V3, full absorption from V4.
    """

    limit_kvar: Floats
    seen: sparse.csr_array
    curve_pu: tuple[float, float, float, float] = CURVE_PU

    def lam_v_pu(self, v_pu: Floats) -> Floats:
        """Voltage that each LAM's inverters see ``(M,)`` [pu]; 1 where there is none, which asks nothing."""
        dark = np.isnan(v_pu)
        return np.where(self.seen @ dark > 0, 1.0, self.seen @ np.where(dark, 0.0, v_pu))

    def answer_kvar(self, lam_v_pu: Floats) -> Floats:
        """Reactive power that each LAM's inverters draw at its voltage ``(M,)`` [kvar], + absorbs."""
        return self.limit_kvar * np.interp(lam_v_pu, self.curve_pu, (-1.0, 0.0, 0.0, 1.0))

    def slope(self, lam_v_pu: Floats) -> Floats:
        """Change of that per pu of voltage ``(M,)`` [kvar/pu], corners rounded.

        A mean over a span around the voltage: with the tangent alone, clearings on either side of a corner
        would follow each other.
        """
        up, down = (self.answer_kvar(lam_v_pu + side) for side in (_ROUND_PU, -_ROUND_PU))
        return (up - down) / (2.0 * _ROUND_PU)


def seen_by_lams(lam_nodes: tuple[tuple[int, ...], ...], nodes: int) -> sparse.csr_array:
    """Mean over the nodes of each LAM, as a sparse matrix ``(M, nodes)``."""
    counts = np.array([len(mine) for mine in lam_nodes], dtype=np.intp)
    columns = np.array([node for mine in lam_nodes for node in mine], dtype=np.intp)
    rows = np.repeat(np.arange(len(lam_nodes)), counts)
    return sparse.csr_array((1.0 / counts[rows], (rows, columns)), shape=(len(lam_nodes), nodes))


def solve_with_droop(
    solve: _Solve, droop: Droop, net_kw: Floats, load_kvar: Floats
) -> tuple[AcState, Floats]:
    """AC state in which every inverter draws what its droop asks for at that state's voltage.

    Damped fixed-point iteration from rest, sped up by Anderson's mixing of the last few steps. A step that
    has no power flow, or that doubles the distance from the droop, is taken back and the damping made
    stronger, so that a steep droop on a weak feeder converges instead of swinging.

    Parameters
    ----------
    solve
        AC power flow of net powers.
    droop
        The inverters.
    net_kw, load_kvar
        Active power of each LAM, and reactive power without its inverters ``(M,)`` [kW, kvar].

    Returns
    -------
    AcState, ndarray
        The state, and what inverters draw ``(M,)`` [kvar].

    Raises
    ------
    PowerFlowError
        There is no power flow without inverters either, or the droop finds no fixed point.
    """
    scale = max(float(droop.limit_kvar.max(initial=0.0)), 1e-12)
    kvar, damping = np.zeros_like(load_kvar), 0.5
    state = solve(net_kw, load_kvar)
    miss = droop.answer_kvar(droop.lam_v_pu(state.v_pu)) - kvar
    history: list[tuple[Floats, Floats]] = []
    for _ in range(_MOST_STEPS):
        off = float(np.abs(miss).max(initial=0.0))
        if off <= _SETTLED * scale:
            return state, kvar
        tried = _mixed(kvar, miss, history, damping)
        try:
            there = solve(net_kw, load_kvar + tried)
            new = droop.answer_kvar(droop.lam_v_pu(there.v_pu)) - tried
        except PowerFlowError:
            new = np.full_like(miss, np.inf)
        if not float(np.abs(new).max(initial=0.0)) <= 2.0 * off:
            history, damping = [], 0.5 * damping
            if damping < _LEAST_DAMPING:
                break
            continue
        history = [*history[1 - _MEMORY :], (kvar, miss)]
        state, kvar, miss = there, tried, new
    raise PowerFlowError(
        f"the inverters' volt-var droop finds no fixed point, {off:.3g} kvar off; flatten feeder.volt_var_pu"
    )


def _mixed(kvar: Floats, miss: Floats, history: list[tuple[Floats, Floats]], damping: float) -> Floats:
    """Next trial: the step that would cancel the miss if it went on changing as over the last steps."""
    step = damping * miss
    if history:
        dkvar = np.array([kvar - before for before, _ in history]).T
        dmiss = np.array([miss - before for _, before in history]).T
        weight = np.linalg.lstsq(dmiss, miss, rcond=1e-10)[0]
        step = step - (dkvar + damping * dmiss) @ weight
    return kvar + step


def with_droop(model: Linearisation, droop: Droop) -> Linearisation:
    """Linear model of the feeder whose inverters follow their droop.

    With ``dQ = F A dv`` (F the droops' slopes, A the LAMs' view of the nodes) and ``dv = dv_kw dP + dv_kvar
    dQ``, reactive power follows active power as ``dQ = (1 - F A dv_kvar)^-1 F A dv_kw dP``, which is put into
    every derivative per kW. Corners of the droop are left to the next linearisation.

    Parameters
    ----------
    model
        The model at held reactive power.
    droop
        The inverters.

    Returns
    -------
    Linearisation
        Derivatives per kW with reactive power following; per kvar of what is drawn beside the droop.
    """
    slope = droop.slope(droop.lam_v_pu(model.v_pu))
    if not slope.any():
        return model
    lams = len(model.net_kw)
    change = model.derivatives.seen(sparse.diags_array(slope) @ droop.seen)
    follow = np.asarray(np.linalg.solve(np.eye(lams) - change[:, lams:], change), dtype=np.float64)
    return replace(model, derivatives=Following(model.derivatives, follow))
