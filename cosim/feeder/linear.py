"""The network as the wide-area market sees it: linear in the LAMs' net powers around one AC state.

Pure numpy. `network_rows` turns a linearisation and limits into the rows of the clearing; `check` lets the AC
power flow of the cleared dispatch confirm it, or says what is wrong with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cosim.feeder.circuit import AcState, Complexes, Floats
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

VOLTAGE_TOLERANCE_PU = 1e-4
CURRENT_TOLERANCE_PCT = 0.1
# Rows are kept unless they miss their limits by more than rounding could hide (pu or % of rating).
_SCREENING_MARGIN = 1e-9
# Conductors whose facets are looked at together, which bounds the memory that a large feeder takes.
_BLOCK = 256

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


@dataclass(frozen=True)
class NetworkRows:
    """Rows ``lower <= base + matrix @ net_kw <= upper`` of the clearing, r of them.

    Attributes
    ----------
    name, kind
        Such as ``"83.1"`` and ``"voltage"``, or ``"line.l115.1 +30"`` (degrees from the present direction of
        the current) and ``"congestion"``.
    matrix
        Change of the row's value per kW of each LAM ``(r, M)``.
    base, lower, upper
        Value at zero net power and limits ``(r,)``, in pu for voltage and % of rating for congestion.
    """

    name: tuple[str, ...]
    kind: tuple[Kind, ...]
    matrix: Floats
    base: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True)
class Violation:
    """A limit that AC breaks by more than the tolerance; ``amount`` beyond it in pu or % of rating."""

    name: str
    kind: Kind
    amount: float

    def __str__(self) -> str:
        if self.kind == "voltage":
            return f"voltage at {self.name} is {self.amount:.4f} pu beyond its limit"
        return f"current in {self.name} is {self.amount:.1f} % above its rating"


@dataclass(frozen=True)
class Judgement:
    """What the AC power flow says of a cleared dispatch.

    Attributes
    ----------
    confirmed
        AC within limits and the linear model true to it, both within tolerance.
    linear_error_pu
        Largest difference between predicted and AC voltage [pu]; ``None`` without a model.
    violations
        Broken limits, worst first (in units of the tolerance).
    voltage_violation_pu, congestion_violation_pct
        Their sums by kind.
    severity
        Sum of all violations in units of their tolerances; 0 where nothing is broken. Ranks candidates.
    """

    confirmed: bool
    linear_error_pu: float | None
    violations: tuple[Violation, ...]
    voltage_violation_pu: float
    congestion_violation_pct: float
    severity: float


def network_rows(
    lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats, facets: int = 12
) -> NetworkRows:
    """Rows of the network that some admissible trade can reach.

    A voltage magnitude is one row. A current magnitude has a kink where the flow turns round, so its complex
    value is bounded instead, by a polygon around the circle |I| = rating whose first facet is the tangent at
    the present direction; opposite facets share one row. Rows that stay within their limits all over the box
    are left out.

    Parameters
    ----------
    lin
        The model.
    limits
        Voltage and current limits.
    low_kw, high_kw
        Box of the LAMs' net powers ``(M,)``, finite [kW].
    facets
        Facets of the polygon, an even number; its corners lie 1 / cos(180 deg / facets) outside the circle.

    Returns
    -------
    NetworkRows
        Voltage rows, then congestion rows.

    Raises
    ------
    ValueError
        ``facets`` is odd or below 4.
    """
    if facets < 4 or facets % 2:
        raise ValueError(f"facets must be even and at least 4, not {facets}")
    return join_rows(
        [
            _voltage_rows(lin, limits, low_kw, high_kw),
            _current_rows(lin, limits, low_kw, high_kw, facets),
        ]
    )


def check(state: AcState, lin: Linearisation | None, limits: Limits) -> Judgement:
    """Hold the AC state of a dispatch against the limits and against the model that cleared it.

    Parameters
    ----------
    state
        AC power flow of the dispatch.
    lin
        The model under which it was cleared; without one, nothing is confirmed.
    limits
        Voltage and current limits.

    Returns
    -------
    Judgement
        Confirmed if AC keeps the limits within ``VOLTAGE_TOLERANCE_PU`` and ``CURRENT_TOLERANCE_PCT``, and
        the model's voltages lie within ``LINEAR_TOLERANCE_PU`` of AC.
    """
    error_pu = None
    if lin is not None:
        error = np.abs(lin.predict_v_pu(state.net_kw, state.net_kvar) - state.v_pu)
        # What no source feeds has no voltage.
        error_pu = float(np.max(error, initial=0.0, where=~np.isnan(error)))
    under, over, excess = limits.beyond(state)
    beyond_pu, beyond_pct = np.maximum(under, over), 100.0 * excess
    over_v, over_i = np.flatnonzero(beyond_pu), np.flatnonzero(beyond_pct)
    violations = [Violation(state.nodes[i], "voltage", float(beyond_pu[i])) for i in over_v] + [
        Violation(state.branches[i], "congestion", float(beyond_pct[i])) for i in over_i
    ]
    return Judgement(
        confirmed=not violations and error_pu is not None and error_pu <= LINEAR_TOLERANCE_PU,
        linear_error_pu=error_pu,
        violations=tuple(sorted(violations, key=_weight, reverse=True)),
        voltage_violation_pu=float(beyond_pu[over_v].sum()),
        congestion_violation_pct=float(beyond_pct[over_i].sum()),
        severity=sum(map(_weight, violations)),
    )


def _weight(violation: Violation) -> float:
    tolerance = VOLTAGE_TOLERANCE_PU if violation.kind == "voltage" else CURRENT_TOLERANCE_PCT
    return violation.amount / tolerance


def _reach(
    value: Floats,
    change: Floats,
    lower: Floats,
    upper: Floats,
    at_kw: Floats,
    low_kw: Floats,
    high_kw: Floats,
) -> NDArray[np.bool_]:
    """Which rows ``value + change @ (net_kw - at_kw)`` can leave their limits somewhere in the box."""
    down, up = low_kw - at_kw, high_kw - at_kw
    positive, negative = np.maximum(change, 0.0), np.minimum(change, 0.0)
    highest = value + positive @ up + negative @ down
    lowest = value + positive @ down + negative @ up
    return (highest > upper - _SCREENING_MARGIN) | (lowest < lower + _SCREENING_MARGIN)


def _voltage_rows(lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats) -> NetworkRows:
    lower = np.broadcast_to(limits.voltage_min_pu, lin.v_pu.shape)
    upper = np.broadcast_to(limits.voltage_max_pu, lin.v_pu.shape)
    reached = np.flatnonzero(_reach(lin.v_pu, lin.dv, lower, upper, lin.net_kw, low_kw, high_kw))
    matrix = lin.dv[reached]
    return NetworkRows(
        name=tuple(lin.nodes[i] for i in reached),
        kind=tuple("voltage" for _ in reached),
        matrix=matrix,
        base=lin.v_pu[reached] - matrix @ lin.net_kw,
        lower=lower[reached],
        upper=upper[reached],
    )


def _current_rows(
    lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats, facets: int
) -> NetworkRows:
    rated = _loadable(lin, limits, low_kw, high_kw)
    angles = 2.0 * np.pi * np.arange(facets // 2) / facets
    starts = range(0, max(len(rated), 1), _BLOCK)
    return join_rows(
        [_facet_rows(lin, limits, rated[at : at + _BLOCK], angles, low_kw, high_kw) for at in starts]
    )


def _facet_rows(
    lin: Linearisation,
    limits: Limits,
    rated: NDArray[np.intp],
    angles: Floats,
    low_kw: Floats,
    high_kw: Floats,
) -> NetworkRows:
    present = lin.current_a[rated]
    turn = (
        np.exp(-1j * (np.angle(present)[:, None] + angles[None, :]))
        * (100.0 / limits.rating_a[rated])[:, None]
    )
    value = np.real(turn * present[:, None]).ravel()
    change = np.real(turn[:, :, None] * lin.di[rated][:, None, :]).reshape(len(value), lin.di.shape[1])
    full = np.full(len(value), 100.0)
    reached = np.flatnonzero(_reach(value, change, -full, full, lin.net_kw, low_kw, high_kw))
    matrix = change[reached]
    return NetworkRows(
        name=tuple(
            f"{lin.branches[rated[row // len(angles)]]} +{np.degrees(angles[row % len(angles)]):.0f}"
            for row in reached
        ),
        kind=tuple("congestion" for _ in reached),
        matrix=matrix,
        base=value[reached] - matrix @ lin.net_kw,
        lower=-full[reached],
        upper=full[reached],
    )


def _loadable(lin: Linearisation, limits: Limits, low_kw: Floats, high_kw: Floats) -> NDArray[np.intp]:
    """Conductors whose current can come near its rating at all, whatever its direction."""
    farthest_kw = np.maximum(np.abs(low_kw - lin.net_kw), np.abs(high_kw - lin.net_kw))
    most_a = np.abs(lin.current_a) + np.abs(lin.di) @ farthest_kw
    return np.flatnonzero(np.isfinite(limits.rating_a) & (most_a > (1.0 - 1e-6) * limits.rating_a))


def join_rows(parts: Sequence[NetworkRows]) -> NetworkRows:
    """The rows of all parts, one part after the other."""
    if len(parts) == 1:
        return parts[0]
    return NetworkRows(
        name=tuple(name for part in parts for name in part.name),
        kind=tuple(kind for part in parts for kind in part.kind),
        matrix=np.concatenate([part.matrix for part in parts]),
        base=np.concatenate([part.base for part in parts]),
        lower=np.concatenate([part.lower for part in parts]),
        upper=np.concatenate([part.upper for part in parts]),
    )
