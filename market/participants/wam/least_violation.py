"""When an interval whose limits no trade keeps has found the least violation, or as good as that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from broker.messages import NetworkModel
from market.model.arrays import Floats
from market.model.case import Grid, Network
from market.model.limits import grid_excess, row_excess
from market.participants.network_model import network_of
from market.solver.wam import WamClearing
from sharegrid.tolerances import LESS_ERROR, LINEAR_TOLERANCE_PU

NO_GAIN = 2e-3
"""A violation that a clearing lessens by no more than this part counts as the least, where models swing."""


def is_least_violation(relaxed: Mapping[str, float], linear_error_pu: float | None) -> bool:
    """Whether no clearing can violate the limits less: no trade keeps them, and the model saying so is true.

    Parameters
    ----------
    relaxed
        Limits that were relaxed.
    linear_error_pu
        Distance of the linear model from AC power flow [pu]; ``None`` where it is not known.
    """
    return bool(relaxed) and linear_error_pu is not None and linear_error_pu <= LINEAR_TOLERANCE_PU


@dataclass
class Swinging:
    """Tells, within one interval, when further rounds would only swing between violations of one size.

    The least violation of a linear model lies at a corner of what LAMs may trade. Where many corners are as
    good, each new model picks another one far from the last, is off there, and no model ever comes true. So
    rounds end once models do not become truer and a clearing violates limits hardly less than the dispatch
    before it, which AC power flow has solved, does by the same model.
    """

    _error_pu: float = np.inf
    _swings: bool = False

    def judged(self, linear_error_pu: float | None) -> None:
        """Take notice of how far a linear model was from AC power flow [pu], where that was asked."""
        if linear_error_pu is None:
            return
        self._swings |= linear_error_pu > LESS_ERROR * self._error_pu
        self._error_pu = linear_error_pu

    def gains_nothing(self, last_kw: Floats, clearing: WamClearing, model: NetworkModel, grid: Grid) -> bool:
        """Whether a clearing is not worth a round.

        Parameters
        ----------
        last_kw
            Flows of the dispatch that AC power flow solved last ``(M,)`` [kW].
        clearing, model, grid
            The clearing, and the limits that it was to keep.
        """
        # Where inverters are set as well, flows alone do not tell what rows would be.
        if not self._swings or not clearing.relaxed or model.reactive is not None:
            return False
        network, balance = network_of(model), np.array(model.balance)

        def violation_kw(flow_kw: Floats) -> float:
            return total_violation_kw(network, grid, flow_kw, model.offset_kw + float(balance @ flow_kw))

        least_kw = violation_kw(clearing.flow_kw)
        return violation_kw(last_kw) - least_kw <= NO_GAIN * least_kw


def total_violation_kw(network: Network, grid: Grid, flow_kw: Floats, grid_kw: float) -> float:
    """What flows ``(M,)`` [kW] miss all limits by, rows counted by their most sensitive LAM's power [kW]."""
    return float(np.abs(row_excess(network, flow_kw)).sum()) + abs(grid_excess(grid, grid_kw))
