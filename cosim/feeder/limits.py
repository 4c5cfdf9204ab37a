"""Limits of a feeder as a scenario sets them: voltages by class of node, normal or emergency ratings."""

from typing import Literal, Protocol

import numpy as np

from cosim.feeder.circuit import AcState, FeederLayout
from cosim.feeder.linear import Limits
from cosim.feeder.power_quality import Definition, PowerQualityLimits
from cosim.feeder.settings import VoltageClass


class LimitSettings(Protocol):
    """Limits as a user sets them; the keys of the same names in a scenario's [feeder] settings."""

    @property
    def voltage_min_pu(self) -> float:
        """Lower voltage limit [pu]."""

    @property
    def voltage_max_pu(self) -> float:
        """Upper voltage limit [pu]."""

    @property
    def voltage_classes(self) -> tuple[VoltageClass, ...]:
        """Other voltage limits for classes of nodes."""

    @property
    def current_limits(self) -> bool:
        """Whether ratings limit currents."""

    @property
    def rating(self) -> Literal["normal", "emergency"]:
        """Which ratings."""

    @property
    def rating_factor(self) -> float:
        """Factor on every rating."""

    @property
    def unbalance_max_pct(self) -> float:
        """Largest voltage unbalance [%]; 0 for no limit."""

    @property
    def unbalance(self) -> Definition:
        """What unbalance means."""

    @property
    def neutral_max_v(self) -> float:
        """Largest voltage of a neutral to earth [V]; 0 for no limit."""


def limits_of(settings: LimitSettings, layout: FeederLayout) -> Limits:
    """Voltage limits of every node and current limits of every branch conductor.

    Parameters
    ----------
    settings
        What the user sets.
    layout
        The feeder's nodes and ratings.
    """
    lower = np.full(len(layout.nodes), settings.voltage_min_pu)
    upper = np.full(len(layout.nodes), settings.voltage_max_pu)
    # The lowest class that holds a node is the last to speak.
    for each in sorted(settings.voltage_classes, key=lambda each: -each.up_to_kv):
        mine = layout.node_base_kv <= each.up_to_kv * (1.0 + 1e-9)
        lower[mine], upper[mine] = each.min_pu, each.max_pu
    rating_a = layout.rating_a if settings.rating == "normal" else layout.emergency_a
    return Limits(
        voltage_min_pu=lower,
        voltage_max_pu=upper,
        rating_a=rating_a * settings.rating_factor
        if settings.current_limits
        else np.full_like(layout.rating_a, np.inf),
        power_quality=PowerQualityLimits(
            unbalance_pct=settings.unbalance_max_pct or np.inf,
            definition=settings.unbalance,
            neutral_v=settings.neutral_max_v or np.inf,
            three_phase=layout.three_phase,
            neutrals=layout.neutrals,
        ),
    )


def beyond_at_start(state: AcState, limits: Limits) -> list[str]:
    """A sentence on voltages that a feeder breaks already at its own loads; none where it keeps them."""
    under, over, _ = limits.beyond(state.v_pu, state.current_a)
    broken = np.flatnonzero((under > 0) | (over > 0))
    if not broken.size:
        return []
    worst = int(np.argmax(under + over))
    count = f"{broken.size:,} of {len(state.nodes):,}"
    where = f"{state.v_pu[worst]:.4f} pu at {state.nodes[worst]}"
    beyond_them = f"{count} node voltages are beyond their limits, worst {where}"
    return [f"at its own loads {beyond_them}: dispatches may be impossible to confirm"]
