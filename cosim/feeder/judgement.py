"""Whether AC power flow confirms a cleared dispatch, and what is wrong with it where it does not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cosim.feeder.circuit import AcState
from cosim.feeder.linear import CURRENT_TOLERANCE_PCT, VOLTAGE_TOLERANCE_PU, Kind, Limits, Linearisation
from cosim.feeder.power_quality import NEUTRAL_TOLERANCE_V, UNBALANCE_TOLERANCE_PCT, PowerQualityLimits
from sharegrid.tolerances import LINEAR_TOLERANCE_PU

_TOLERANCE: dict[Kind, float] = {
    "voltage": VOLTAGE_TOLERANCE_PU,
    "congestion": CURRENT_TOLERANCE_PCT,
    "unbalance": UNBALANCE_TOLERANCE_PCT,
    "neutral": NEUTRAL_TOLERANCE_V,
}


@dataclass(frozen=True)
class Violation:
    """A limit that AC breaks by more than the tolerance; ``amount`` beyond it in pu, % or V by its kind."""

    name: str
    kind: Kind
    amount: float

    def __str__(self) -> str:
        match self.kind:
            case "voltage":
                return f"voltage at {self.name} is {self.amount:.4f} pu beyond its limit"
            case "congestion":
                return f"current in {self.name} is {self.amount:.1f} % above its rating"
            case "unbalance":
                return f"voltage unbalance at bus {self.name} is {self.amount:.2f} % beyond its limit"
            case "neutral":
                return f"neutral {self.name} is {self.amount:.1f} V to earth beyond its limit"


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


MOST_NAMED = 100
"""Broken limits that are told by name. On a large feeder thousands are broken together, each a sentence that
many read."""


class Broken(NamedTuple):
    """Broken limits: the worst in words, and how many there are besides."""

    violations: tuple[str, ...] = ()
    unnamed: int = 0


def told(judged: Mapping[str, Judgement]) -> Broken:
    """What several judgements found broken, given what to say after the sentences of each."""
    found = [(violation, after) for after, each in judged.items() for violation in each.violations]
    if len(judged) > 1 and len(found) > MOST_NAMED:
        found.sort(key=lambda each: _weight(each[0]), reverse=True)
    named = tuple(f"{violation}{after}" for violation, after in found[:MOST_NAMED])
    return Broken(named, len(found) - len(named))


def check(state: AcState, lin: Linearisation | None, limits: Limits) -> Judgement:
    """Hold the AC state of a dispatch against the limits and against the model that cleared it.

    Parameters
    ----------
    state
        AC power flow of the dispatch.
    lin
        The model under which it was cleared; without one, nothing is confirmed.
    limits
        Limits on voltages, currents, and on unbalance and neutrals where asked for.

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
    under, over, excess = limits.beyond(state.v_pu, state.current_a)
    beyond_pu, beyond_pct = np.maximum(under, over), 100.0 * excess
    over_v, over_i = np.flatnonzero(beyond_pu), np.flatnonzero(beyond_pct)
    violations = [Violation(state.nodes[i], "voltage", float(beyond_pu[i])) for i in over_v] + [
        Violation(state.branches[i], "congestion", float(beyond_pct[i])) for i in over_i
    ]
    violations += _quality_violations(state, limits.power_quality)
    return Judgement(
        confirmed=not violations and error_pu is not None and error_pu <= LINEAR_TOLERANCE_PU,
        linear_error_pu=error_pu,
        violations=tuple(sorted(violations, key=_weight, reverse=True)),
        voltage_violation_pu=float(beyond_pu[over_v].sum()),
        congestion_violation_pct=float(beyond_pct[over_i].sum()),
        severity=sum(map(_weight, violations)),
    )


def _quality_violations(state: AcState, limits: PowerQualityLimits) -> list[Violation]:
    if not limits.is_asked:
        return []
    judged: list[tuple[str, Kind]] = [(bus, "unbalance") for bus in limits.three_phase.buses]
    judged += [(neutral, "neutral") for neutral in limits.neutrals]
    beyond = limits.beyond(state.phasors)
    return [Violation(*judged[at], float(beyond[at])) for at in np.flatnonzero(beyond)]


def _weight(violation: Violation) -> float:
    return violation.amount / _TOLERANCE[violation.kind]
