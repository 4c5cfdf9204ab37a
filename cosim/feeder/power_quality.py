"""Voltage unbalance of three-phase buses and neutral-to-earth voltages, and limits on them if asked for."""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from cosim.feeder.circuit import Complexes, Floats, ThreePhase

UNBALANCE_TOLERANCE_PCT = 0.01
NEUTRAL_TOLERANCE_V = 0.05
_A = np.exp(2j * np.pi / 3.0)
_ONE_WAY, _OTHER_WAY = np.array([1.0, _A, _A**2]) / 3.0, np.array([1.0, _A**2, _A]) / 3.0

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
        What is judged: t buses, and names of z neutrals.
    """

    unbalance_pct: float = np.inf
    definition: Definition = "vuf"
    neutral_v: float = np.inf
    three_phase: ThreePhase = field(default_factory=ThreePhase)
    neutrals: tuple[str, ...] = ()

    @property
    def is_asked(self) -> bool:
        """Whether there is any limit."""
        return bool(np.isfinite(self.unbalance_pct) or np.isfinite(self.neutral_v))

    def unbalance(self, phasors: Complexes) -> Floats:
        """Unbalance of each bus ``(t,)`` [%], given `AcState.phasors`; NaN without source."""
        around: Complexes = phasors[self.three_phase.places] * self.three_phase.signs
        return unbalance_pct(around, self.definition)

    def shares(self, phasors: Complexes) -> Floats:
        """Parts of their limits that buses and neutrals take ``(t + z,)``, given `AcState.phasors`.

        NaN without source, 0 without limit.
        """
        neutrals = np.abs(phasors[len(phasors) - len(self.neutrals) :])
        return np.concatenate([self.unbalance(phasors) / self.unbalance_pct, neutrals / self.neutral_v])

    def beyond(self, phasors: Complexes) -> Floats:
        """How far buses [%] and neutrals [V] are beyond limits that they miss by more than their tolerances.

        Given `AcState.phasors`, ``(t + z,)``; 0 elsewhere.
        """
        over_pct = self.unbalance(phasors) - self.unbalance_pct
        over_v = np.abs(phasors[len(phasors) - len(self.neutrals) :]) - self.neutral_v
        return np.concatenate(
            [
                np.where(over_pct > UNBALANCE_TOLERANCE_PCT, over_pct, 0.0),
                np.where(over_v > NEUTRAL_TOLERANCE_V, over_v, 0.0),
            ]
        )


class Sequences(NamedTuple):
    """Positive and negative sequence ``(t,)`` of three voltages each, and their weights ``(t, 3)``."""

    positive: Complexes
    negative: Complexes
    of_positive: Complexes
    of_negative: Complexes


def sequences(volts: Complexes) -> Sequences:
    """Sequences of three voltages each ``(t, 3)``; the order in which phases are named does not matter."""
    one, other = volts @ _ONE_WAY, volts @ _OTHER_WAY
    swapped = np.abs(other) > np.abs(one)
    return Sequences(
        positive=np.where(swapped, other, one),
        negative=np.where(swapped, one, other),
        of_positive=np.where(swapped[:, None], _OTHER_WAY, _ONE_WAY),
        of_negative=np.where(swapped[:, None], _ONE_WAY, _OTHER_WAY),
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
    seen = sequences(volts)
    return np.asarray(100.0 * np.abs(seen.negative) / np.abs(seen.positive))
