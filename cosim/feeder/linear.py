"""The feeder's linear model around one AC state, and the limits it is held against.

Pure numpy. `cosim.feeder.network_rows` makes the rows of the clearing from both; `cosim.feeder.judgement`
lets the AC power flow of the cleared dispatch confirm it.
"""

from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

import numpy as np

from cosim.feeder.circuit import Complexes, Floats
from cosim.feeder.derivatives import Derivatives
from cosim.feeder.power_quality import PowerQualityLimits

VOLTAGE_TOLERANCE_PU = 1e-4
CURRENT_TOLERANCE_PCT = 0.1

Kind = Literal["voltage", "congestion", "unbalance", "neutral"]


class Limited(Protocol):
    """What limits are held against: voltages ``(n,)`` [pu] and complex branch currents ``(b,)`` [A]."""

    @property
    def v_pu(self) -> Floats:
        """Voltages."""

    @property
    def current_a(self) -> Complexes:
        """Currents."""


class Expected(NamedTuple):
    """What a model expects, as `Limited` has it."""

    v_pu: Floats
    current_a: Complexes


@dataclass(frozen=True)
class Linearisation:
    """First-order model of the feeder around an AC state, for M LAMs, n nodes and b branch conductors.

    Attributes
    ----------
    net_kw, net_kvar
        Net power of each LAM at the point of linearisation ``(M,)`` [kW, kvar].
    v_pu, current_a
        Node voltages ``(n,)`` [pu] and complex branch currents ``(b,)`` [A].
    derivatives
        Their change per kW and per kvar of each LAM.
    p0_kw
        Power from the feeder head [kW].
    nodes, branches
        Their names, as in `FeederLayout`.
    phasors
        Complex voltages there, as in `AcState` ``(n + z,)``.
    """

    net_kw: Floats
    net_kvar: Floats
    v_pu: Floats
    current_a: Complexes
    derivatives: Derivatives
    p0_kw: float
    nodes: tuple[str, ...]
    branches: tuple[str, ...]
    phasors: Complexes = field(default_factory=lambda: np.zeros(0, dtype=np.complex128))

    @property
    def dv(self) -> Floats:
        """Change of all voltages per kW ``(n, M)`` [pu/kW]; slow on a large feeder, as are the next three."""
        return self.derivatives.volts(np.arange(len(self.nodes)), len(self.net_kw))

    @property
    def dv_kvar(self) -> Floats:
        """Change of all voltages per kvar ``(n, M)`` [pu/kvar]."""
        return self.derivatives.volts(np.arange(len(self.nodes)))[:, len(self.net_kw) :]

    @property
    def di(self) -> Complexes:
        """Change of all currents per kW ``(b, M)`` [A/kW]."""
        return self.derivatives.currents(np.arange(len(self.branches)), len(self.net_kw))

    @property
    def di_kvar(self) -> Complexes:
        """Change of all currents per kvar ``(b, M)`` [A/kvar]."""
        return self.derivatives.currents(np.arange(len(self.branches)))[:, len(self.net_kw) :]

    @property
    def dp0(self) -> Floats:
        """Change of the head power per kW of each LAM, the marginal loss factors ``(M,)`` [1]."""
        return self.derivatives.head(len(self.net_kw))

    @property
    def dp0_kvar(self) -> Floats:
        """Change of the head power per kvar of each LAM ``(M,)`` [kW/kvar]."""
        return self.derivatives.head()[len(self.net_kw) :]

    @property
    def balance(self) -> tuple[Floats, float]:
        """Weights ``w`` ``(M,)`` and offset [kW] of the head power at held kvar, P0 = offset + w @ net_kw."""
        return self.balance_over(len(self.net_kw))

    def balance_over(self, count: int) -> tuple[Floats, float]:
        """The same over all net powers ``(M,)``, or over these and their kvar ``(2 M,)``."""
        weight = self.derivatives.head(count)
        return weight, self.p0_kw - float(weight @ np.concatenate([self.net_kw, self.net_kvar])[:count])

    def at_kvar(self, net_kvar: Floats) -> "Linearisation":
        """The same tangent, written around other reactive powers ``(M,)`` [kvar]; phasors stay."""
        if np.array_equal(net_kvar, self.net_kvar):
            return self
        p0_kw = self.p0_kw + float(self.dp0_kvar @ (net_kvar - self.net_kvar))
        v_pu, current_a = self.predict(self.net_kw, net_kvar)
        return replace(self, net_kvar=net_kvar, v_pu=v_pu, current_a=current_a, p0_kw=p0_kw)

    def predict(self, net_kw: Floats, net_kvar: Floats | None = None) -> Expected:
        """Voltages ``(n,)`` [pu] and currents ``(b,)`` [A] that the model expects for net powers ``(M,)``.

        Without ``net_kvar`` the kvar stay as they are.
        """
        kvar = np.zeros_like(self.net_kvar) if net_kvar is None else net_kvar - self.net_kvar
        dv, di = self.derivatives.along(np.concatenate([net_kw - self.net_kw, kvar]))
        return Expected(self.v_pu + dv, self.current_a + di)

    def predict_v_pu(self, net_kw: Floats, net_kvar: Floats | None = None) -> Floats:
        """Voltages of `predict`."""
        return self.predict(net_kw, net_kvar).v_pu


@dataclass(frozen=True)
class Limits:
    """What the network may carry.

    Attributes
    ----------
    voltage_min_pu, voltage_max_pu
        Voltage limits, one for all nodes or one for each ``(n,)`` [pu].
    rating_a
        Current limits of the branch conductors ``(b,)`` [A]; infinite where there is none.
    power_quality
        Limits on unbalance and neutral voltage, where asked for.
    """

    voltage_min_pu: float | Floats
    voltage_max_pu: float | Floats
    rating_a: Floats
    power_quality: PowerQualityLimits = field(default_factory=PowerQualityLimits)

    def loading(self, current_a: Complexes) -> Floats:
        """Branch currents as shares of their ratings ``(b,)``; 0 where there is no rating."""
        return np.abs(current_a) / self.rating_a

    def beyond(self, v_pu: Floats, current_a: Complexes) -> tuple[Floats, Floats, Floats]:
        """How far a state is beyond the limits that it misses by more than their tolerances; 0 elsewhere.

        Parameters
        ----------
        v_pu, current_a
            Its voltages ``(n,)`` [pu] and currents ``(b,)`` [A].

        Returns
        -------
        tuple
            Voltage below and above the limits ``(n,)`` [pu], and current above the ratings as a share of them
            ``(b,)``.
        """
        under = _beyond(self.voltage_min_pu - v_pu, VOLTAGE_TOLERANCE_PU)
        over = _beyond(v_pu - self.voltage_max_pu, VOLTAGE_TOLERANCE_PU)
        loading = np.where(np.isfinite(self.rating_a), self.loading(current_a), 0.0)
        return under, over, _beyond(loading - 1.0, CURRENT_TOLERANCE_PCT / 100.0)

    def worst(self, v_pu: Floats, current_a: Complexes) -> float:
        """The most that `beyond` comes to, in units of the tolerances."""
        under, over, excess = self.beyond(v_pu, current_a)
        most_pu = max(float(np.max(each, initial=0.0)) for each in (under, over))
        most_pct = 100.0 * float(np.max(excess, initial=0.0))
        return max(most_pu / VOLTAGE_TOLERANCE_PU, most_pct / CURRENT_TOLERANCE_PCT)

    def broken(self, state: Limited) -> int:
        """How many limits a state breaks; of unbalance and neutrals nothing is asked."""
        return sum(int(np.count_nonzero(each)) for each in self.beyond(state.v_pu, state.current_a))

    def part_within(self, start: Limited, end: Limited) -> float:
        """The part of the straight way from one state to another that keeps the limits, at most 1.

        0 where the first one does not. Of unbalance and neutrals nothing is asked.
        """
        if self.worst(start.v_pu, start.current_a) > 0.0:
            return 0.0
        moved = end.v_pu - start.v_pu
        room = np.where(moved > 0.0, self.voltage_max_pu - start.v_pu, start.v_pu - self.voltage_min_pu)
        load, room_a = np.abs(start.current_a), self.rating_a - np.abs(start.current_a)
        moved = np.concatenate([np.abs(moved), np.abs(end.current_a) - load])
        room = np.concatenate([room, room_a])
        # What no source feeds has no voltage, and compares with nothing.
        met = moved > room
        return float(np.min(np.maximum(room[met], 0.0) / moved[met], initial=1.0))


def _beyond(amount: Floats, tolerance: float) -> Floats:
    return np.where(amount > tolerance, amount, 0.0)
