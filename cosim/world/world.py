"""A run's world: everything about it that does not change while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cosim.feeder.circuit import FeederLayout
from cosim.feeder.dispatch import OperatingRules
from cosim.feeder.linear import Limits
from cosim.feeder.settings import Event
from cosim.population.envelopes import EnvelopeDoubt, envelope_doubts
from cosim.population.expectation import Expectation
from cosim.population.fleet import Fleet
from cosim.population.live_stores import LiveStores
from cosim.population.members import Population
from cosim.population.noise import generator
from cosim.population.placement import DevicePlacement
from cosim.population.profiles import Profiles
from cosim.population.voltage_response import VoltageResponse
from cosim.scenario import Extension, Scenario
from cosim.scenario.timeline import Timeline
from cosim.world.extensions import make
from cosim.world.names import (
    AUDITOR,
    DEVICE_HOST,
    EMULATORS,
    FEEDER,
    GATEWAY,
    LIVE_HOST,
    RECORDER,
    WAM,
    Role,
)
from cosim.world.told_prices import ToldPrices
from devices.faults.fault import Fault
from market.model.strategy import StrategyChoice, Truthful
from market.participants.roster import Roster, Rules


@dataclass(frozen=True)
class World:
    """Everything about a run that does not change while it runs.

    Attributes
    ----------
    digest
        Short hash of everything that the world is built from: processes of one run must have the same.
    inputs
        SHA-256 of the files that the scenario names, by key.
    reactive_ratio
        Reactive over active power of each prosumer's load, ``(n,)``.
    events
        What happens to the feeder, by tick.
    placement
        Devices outside the run.
    fleet
        Vehicles, heat pumps and appliances of prosumers without hardware.
    live_stores
        The same of live prosumers, whose chargers and loads are emulated.
    faults
        What goes wrong at emulated devices, and when.
    told_prices
        Prices that a co-simulation sets as the run goes on: the one part that is not known from the start.
    """

    scenario: Scenario
    digest: str
    layout: FeederLayout
    limits: Limits
    timeline: Timeline
    population: Population
    profiles: Profiles
    roster: Roster
    rules: Rules
    reactive_ratio: npt.NDArray[np.float64]
    placement: DevicePlacement
    fleet: Fleet
    live_stores: LiveStores
    told_prices: ToldPrices = field(default_factory=ToldPrices)
    inputs: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[int, tuple[Event, ...]] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()

    def operating_rules(self) -> OperatingRules:
        """What binds the feeder's operation."""
        feeder, people = self.scenario.feeder, self.population
        # A live inverter does what its own settings say; the feeder speaks for the others.
        rated_kw = np.where(people.live, 0.0, people.pv_kwp + people.battery_kw)
        return OperatingRules(
            limits=self.limits,
            interval_s=self.timeline.interval_h * 3600.0,
            limit_kvar=feeder.inverter_kvar_share
            * np.bincount(people.lam, rated_kw, minlength=len(self.layout.lams)).astype(np.float64),
            controls_act=feeder.regulators == "free",
            network=self.scenario.market.network,
            reactive=feeder.reactive,
            curve_pu=feeder.volt_var_pu,
            events=self.events,
        )

    @property
    def envelope_doubts(self) -> list[EnvelopeDoubt]:
        """What is likely not meant as it is written of the hardware's envelopes."""
        return list(envelope_doubts(self.placement, self.population, self.live_stores))

    @property
    def has_live(self) -> bool:
        """Whether any prosumer has devices of its own."""
        return bool(self.population.live.any())

    def voltage_response(self) -> VoltageResponse:
        """How demand follows the voltage, with a memory of its own for each host that asks.

        What stands behind a real meter is not on this feeder, so it is as its profile says.
        """
        people = self.population
        real = {device.entry.prosumer for device in self.placement.hardware}
        return VoltageResponse(
            self.scenario.population.voltage_dependence,
            people.lam,
            len(self.layout.lams),
            follows=np.array([name not in real for name in people.id]),
        )

    def strategy_choice(self) -> StrategyChoice:
        """How prosumers bid, with a strategy of its own for each host that asks.

        Raises
        ------
        ScenarioError
            The strategy that the scenario names cannot be made.
        """
        named = self.scenario.market.strategy
        if not named.use:
            return StrategyChoice(Truthful())
        return StrategyChoice(make(named, "market.strategy", "bid"), self._drawn("strategy", named))

    def expectation(self) -> Expectation | None:
        """The forecast that the scenario names, if it does; raises as `strategy_choice`."""
        named = self.scenario.population.forecast
        if not named.use:
            return None
        return Expectation(make(named, "population.forecast", "expect"), self._drawn("forecaster", named))

    def _drawn(self, purpose: str, named: Extension) -> npt.NDArray[np.bool_]:
        """Who goes by an extension, ``(n,)``."""
        draw = generator(self.scenario.run.seed, purpose).random(self.population.size)
        drawn: npt.NDArray[np.bool_] = draw < named.share
        return drawn

    @property
    def consumer_worth(self) -> dict[str, dict[str, float]]:
        """Chargers and loads of live prosumers by kind, and what a kWh is worth to each; 0 for retail."""
        stores, names = self.live_stores, self.population.id
        emulated = {
            names[owner]: {str(kind): 0.0 for kind in stores.kinds_of(owner)}
            for owner in np.unique(stores.fleet.owner).tolist()
        }
        return self.placement.worth | emulated

    @property
    def device_hosts(self) -> list[str]:
        """Names of the services that let emulated devices act."""
        apart = [EMULATORS] if self.placement.followers else []
        return [DEVICE_HOST, *apart] if self.has_live else []

    @property
    def position_hosts(self) -> list[str]:
        """Names of the services that publish prosumers' true positions."""
        return [*self.roster.hosts, *([LIVE_HOST] if self.has_live else [])]

    def services_of(self, role: Role) -> list[str]:
        """Names of the services of one role."""
        live = self.has_live
        apart = list(self.roster.lam_hosts) if self.scenario.market.lam_shares else []
        return {
            Role.MARKET: [
                *self.roster.hosts,
                *([] if apart else self.roster.lam_hosts),
                WAM,
                AUDITOR,
                *([LIVE_HOST] if live else []),
            ],
            Role.LAM: apart,
            Role.FEEDER: [FEEDER],
            Role.DEVICES: [GATEWAY, DEVICE_HOST] if live else [],
            Role.EMULATORS: [name for name in self.device_hosts if name == EMULATORS],
        }[role]

    def speakers(self, roles: Iterable[Role]) -> list[tuple[Role, str]]:
        """Who holds each role, in whichever process it is served: one of its services, for LAMs each."""
        found: list[tuple[Role, str]] = []
        for role in roles:
            # Devices that a scenario has none of are served by nobody; the feeder is always there.
            services = self.services_of(role) or [FEEDER]
            found += [(role, name) for name in (services if role is Role.LAM else services[:1])]
        return found

    @property
    def price_takers(self) -> frozenset[str]:
        """Names of the services that go by the grid's prices."""
        roster = self.roster
        return frozenset({*roster.hosts, *roster.lam_hosts, LIVE_HOST, WAM, AUDITOR, RECORDER})

    @property
    def services(self) -> list[str]:
        """Names of all services of the run but the clock."""
        live = [LIVE_HOST, GATEWAY, *self.device_hosts] if self.has_live else []
        return [*self.roster.hosts, *self.roster.lam_hosts, WAM, AUDITOR, FEEDER, RECORDER, *live]
