"""What happens around live prosumers' devices: load and sun, sub-step by sub-step."""

from __future__ import annotations

from broker.snapshot import Values
from cosim.population.portfolios import ProfileCache
from cosim.population.voltage_response import VoltageResponse
from cosim.scenario.arrays import Floats, Indices


class LiveEnvironment:
    """What happens around live prosumers' devices (see `devices.emulation.service.Environment`)."""

    def __init__(
        self, cache: ProfileCache, members: Indices, tan_phi: Floats, response: VoltageResponse
    ) -> None:
        self.cache = cache
        self.members = members
        self.tan_phi = tan_phi[members]
        self.response = response

    def substeps(self, tick: int) -> tuple[Floats, Floats, Floats, float]:
        """Load [kW], its reactive power [kvar] and available PV [kW], ``(s, m)`` each, and a sub-step [s]."""
        actual = self.cache.sample(tick)
        load_kw = self.response.drawn(actual.load_kw)[:, self.members]
        timeline = self.cache.profiles.timeline
        return (
            load_kw,
            self.tan_phi * load_kw,
            actual.pv_kw[:, self.members],
            timeline.interval_h * 3600.0 / timeline.substeps,
        )

    def take_voltages(self, lam_v_pu: Floats) -> None:
        """Let demand follow these voltages, ``(M,)`` [pu], from the next interval on."""
        self.response.take(lam_v_pu)

    def snapshot(self) -> Values:
        """Voltages that demand goes by."""
        return self.response.snapshot()

    def restore(self, values: Values) -> None:
        """Go by the voltages of a snapshot."""
        self.response.restore(values)
