"""The feeder's linear model around one AC state, and the limits it is held against.

Pure numpy. `cosim.feeder.network_rows` makes the rows of the clearing from both; `cosim.feeder.judgement`
lets the AC power flow of the cleared dispatch confirm it.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cosim.feeder.circuit import AcState, Complexes, Floats

VOLTAGE_TOLERANCE_PU = 1e-4
CURRENT_TOLERANCE_PCT = 0.1

Kind = Literal["voltage", "congestion"]


@dataclass(frozen=True)
class Linearisation:
    """First-order model of the feeder around an AC state, for M LAMs, n nodes and b branch conductors.

    Attributes
    ----------
    net_kw, net_kvar
        Net power of each LAM at the point of linearisation ``(M,)`` [kW, kvar].
    v_pu, dv, dv_kvar
        Node voltages ``(n,)`` [pu] and their change per kW and per kvar of each LAM ``(n, M)`` [pu/kW,
        pu/kvar].
    current_a, di, di_kvar
        Complex branch currents ``(b,)`` [A] and their change per kW and per kvar of each LAM ``(b, M)``
        [A/kW, A/kvar].
    p0_kw, dp0, dp0_kvar
        Power from the feeder head [kW] and its change per kW, the marginal loss factors, and per kvar of each
        LAM ``(M,)`` [1, kW/kvar].
    nodes, branches
        Their names, as in `FeederLayout`.
    """

    net_kw: Floats
    net_kvar: Floats
    v_pu: Floats
    dv: Floats
    dv_kvar: Floats
    current_a: Complexes
    di: Complexes
    di_kvar: Complexes
    p0_kw: float
    dp0: Floats
    dp0_kvar: Floats
    nodes: tuple[str, ...]
    branches: tuple[str, ...]

    @property
    def balance(self) -> tuple[Floats, float]:
        """Weights ``w`` ``(M,)`` and offset [kW] of the head power at held kvar, P0 = offset + w @ net_kw."""
        return self.dp0, self.p0_kw - float(self.dp0 @ self.net_kw)

    def predict_v_pu(self, net_kw: Floats, net_kvar: Floats | None = None) -> Floats:
        """Node voltages ``(n,)`` [pu] that the model expects for net powers ``(M,)`` [kW, kvar].

        Without ``net_kvar`` the kvar stay as they are.
        """
        expected = self.v_pu + self.dv @ (net_kw - self.net_kw)
        return expected if net_kvar is None else expected + self.dv_kvar @ (net_kvar - self.net_kvar)


@dataclass(frozen=True)
class Limits:
    """What the network may carry.

    Attributes
    ----------
    voltage_min_pu, voltage_max_pu
        Voltage limits, one for all nodes or one for each ``(n,)`` [pu].
    rating_a
        Current limits of the branch conductors ``(b,)`` [A]; infinite where there is none.
    """

    voltage_min_pu: float | Floats
    voltage_max_pu: float | Floats
    rating_a: Floats

    def loading(self, current_a: Complexes) -> Floats:
        """Branch currents as shares of their ratings ``(b,)``; 0 where there is no rating."""
        return np.abs(current_a) / self.rating_a

    def beyond(self, state: AcState) -> tuple[Floats, Floats, Floats]:
        """How far a state is beyond the limits that it misses by more than their tolerances; 0 elsewhere.

        Returns
        -------
        tuple
            Voltage below and above the limits ``(n,)`` [pu], and current above the ratings as a share of them
            ``(b,)``.
        """
        under = _beyond(self.voltage_min_pu - state.v_pu, VOLTAGE_TOLERANCE_PU)
        over = _beyond(state.v_pu - self.voltage_max_pu, VOLTAGE_TOLERANCE_PU)
        loading = np.where(np.isfinite(self.rating_a), self.loading(state.current_a), 0.0)
        return under, over, _beyond(loading - 1.0, CURRENT_TOLERANCE_PCT / 100.0)


def _beyond(amount: Floats, tolerance: float) -> Floats:
    return np.where(amount > tolerance, amount, 0.0)
