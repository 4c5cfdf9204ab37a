"""How prosumers' demand follows the voltage that the feeder told them last."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from broker.snapshot import Values, array_of
from cosim.population.profiles import Forecast
from cosim.scenario.arrays import Floats, Indices
from cosim.scenario.people import VoltageDependence
from devices.physics.demand import demand_factor


class VoltageResponse:
    """Demand of ``n`` prosumers at the voltages of their ``M`` LAMs, those of the last interval with source.

    A prosumer whose source comes back goes on from the voltage before the outage; that it uses nothing
    meanwhile is for its host, which knows it within the interval.

    Parameters
    ----------
    law
        Shares of the demand by how they vary.
    lam
        LAM of each prosumer, ``(n,)``.
    lams
        Number of LAMs.
    follows
        Whose demand follows the feeder's voltages, ``(n,)``.

    Attributes
    ----------
    v_pu
        Voltage that each LAM goes by, ``(M,)``; 1 before the first.
    """

    def __init__(
        self, law: VoltageDependence, lam: Indices, lams: int, follows: npt.NDArray[np.bool_]
    ) -> None:
        self.law = law
        self.lam = lam
        self.follows = follows
        self.v_pu = np.ones(lams)

    def take(self, lam_v_pu: Floats) -> None:
        """Go by the voltages with which an interval ended, ``(M,)`` [pu], 0 where there is no source."""
        self.v_pu = np.where(lam_v_pu > 0.0, lam_v_pu, self.v_pu)

    def drawn(self, load_kw: Floats) -> Floats:
        """Demand of all prosumers for what they would draw at 1 pu, ``(..., n)`` each [kW]."""
        factor = demand_factor(self.v_pu, self.law.constant_impedance, self.law.constant_current)
        return load_kw * np.where(self.follows, factor[self.lam], 1.0)

    def expected(self, forecast: Forecast) -> Forecast:
        """The same of a forecast."""
        return replace(forecast, load_kw=self.drawn(forecast.load_kw))

    def snapshot(self) -> Values:
        """Voltages to go by."""
        return {"v_pu": self.v_pu}

    def restore(self, values: Values) -> None:
        """Go on from a snapshot; raises ``ValueError`` where it is another feeder's."""
        self.v_pu = array_of(values, "v_pu", self.v_pu)
