"""Voltage unbalance of three-phase buses and neutral-to-earth voltages, and limits on them if asked for."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from cosim.feeder.circuit import AcState, Complexes, Floats, ThreePhase

UNBALANCE_TOLERANCE_PCT = 0.01
NEUTRAL_TOLERANCE_V = 0.05
_A = np.exp(2j * np.pi / 3.0)

Definition = Literal["vuf", "ieee"]


@dataclass(frozen=True)
class PowerQualityLimits:
    """Limits on unbalance and neutral voltage; infinite where there is none.

    Attributes
    ----------
    unbalance_pct
        Largest unbalance of a bus [%], by ``definition``.
    neutral_v
        Largest voltage between a neutral conductor and earth [V].
    three_phase, neutrals
        What is judged: buses, and names of neutrals.
    """

    unbalance_pct: float = np.inf
    definition: Definition = "vuf"
    neutral_v: float = np.inf
    three_phase: ThreePhase = field(default_factory=ThreePhase)
    neutrals: tuple[str, ...] = ()

    def unbalance(self, state: AcState) -> Floats:
        """Unbalance of each bus in a state ``(t,)`` [%]; NaN without source."""
        volts = state.v_pu.astype(np.complex128) * np.exp(1j * np.radians(state.angle_deg))
        around: Complexes = volts[self.three_phase.places] * self.three_phase.signs
        return unbalance_pct(around, self.definition)

    def beyond(self, state: AcState) -> tuple[dict[str, float], dict[str, float]]:
        """How far a state is beyond the limits: buses [%] and neutrals [V] that miss them."""
        if np.isinf(self.unbalance_pct) and np.isinf(self.neutral_v):
            return {}, {}
        over_pct = self.unbalance(state) - self.unbalance_pct
        over_v = state.neutral_v - self.neutral_v
        buses, neutrals = self.three_phase.buses, self.neutrals
        return (
            {buses[at]: float(over_pct[at]) for at in np.flatnonzero(over_pct > UNBALANCE_TOLERANCE_PCT)},
            {neutrals[at]: float(over_v[at]) for at in np.flatnonzero(over_v > NEUTRAL_TOLERANCE_V)},
        )


def unbalance_pct(volts: Complexes, definition: Definition) -> Floats:
    """Voltage unbalance ``(t,)`` [%] of three voltages each ``(t, 3)``.

    ``vuf`` is the negative over the positive sequence (IEC 61000-4-30; also the IEEE's true definition),
    ``ieee`` the largest deviation of a magnitude from their mean, over the mean (IEEE 141, phase voltage
    unbalance rate).
    """
    if definition == "ieee":
        sizes = np.abs(volts)
        mean = sizes.mean(axis=1, keepdims=True)
        return np.asarray(100.0 * np.abs(sizes - mean).max(axis=1) / mean[:, 0])
    one = np.abs(volts @ np.array([1.0, _A, _A**2]))
    other = np.abs(volts @ np.array([1.0, _A**2, _A]))
    # Which is positive depends on the order in which the phases are named.
    return np.asarray(100.0 * np.minimum(one, other) / np.maximum(one, other))
