"""The feeder's voltages, told at the end of each interval to those who go by them in the next."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from broker.collector import Collector
from broker.messages import FeederState, Step, columns
from broker.participant.node import Node

_FEEDER = "feeder"


class FeederVoltages:
    """Hears the voltages with which intervals end, for one service.

    Parameters
    ----------
    node
        Participant on the bus; not open yet.
    take
        Called with the voltage of each LAM, ``(M,)`` [pu], 0 without source.
    """

    def __init__(self, node: Node, take: Callable[[npt.NDArray[np.float64]], None]) -> None:
        self.node = node
        self.take = take
        self._states: Collector[FeederState] = node.collector({_FEEDER: node.topics.feeder_state})
        node.on(node.topics.feeder_state, lambda state: self._states.add(_FEEDER, state.tick, state))

    async def settle(self, step: Step) -> None:
        """Wait for the voltages of an interval and take them; without any the last ones are kept, flagged."""
        states = await self._states.wait(step.tick, step.deadline)
        if _FEEDER not in states or not states[_FEEDER].solved:
            self.node.flag(f"no voltages for {self.node.name} in tick {step.tick}; it keeps the last ones")
            return
        self.take(columns.unpack(states[_FEEDER].lam_v_pu))
