"""A scenario: everything that decides what a run is, put together from its sections."""

from typing import Annotated

from msgspec import Meta, Struct

from cosim.feeder.settings import Event
from cosim.scenario.faults import FaultOrder
from cosim.scenario.hardware import DeviceEntry
from cosim.scenario.live_section import Live
from cosim.scenario.market_section import MarketSection
from cosim.scenario.people import PopulationSection
from cosim.scenario.sections import (
    AlarmSection,
    BrokerSection,
    FeederSection,
    RecoverySection,
    Run,
    Site,
    Tables,
    Weather,
)
from sharegrid.errors import SharegridError


class ScenarioError(SharegridError):
    """A scenario file, an override or a user's table that cannot be used; one line with the remedy."""


class Scenario(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a run depends on; equal scenarios give equal runs."""

    run: Annotated[Run, Meta(description="Span of time and seed.")] = Run()
    feeder: Annotated[FeederSection, Meta(description="Network and limits.")] = FeederSection()
    site: Annotated[Site, Meta(description="Where the sun is seen from.")] = Site()
    population: Annotated[PopulationSection, Meta(description="Prosumers.")] = PopulationSection()
    weather: Annotated[Weather, Meta(description="Clouds.")] = Weather()
    market: Annotated[MarketSection, Meta(description="Rules of both layers.")] = MarketSection()
    live: Annotated[Live, Meta(description="Prosumers with devices.")] = Live()
    tables: Annotated[Tables, Meta(description="Users' own data.")] = Tables()
    events: Annotated[
        tuple[Event, ...], Meta(description="What happens to the feeder, one sub-table each.")
    ] = ()
    broker: Annotated[BrokerSection, Meta(description="Message bus.")] = BrokerSection()
    alarms: Annotated[AlarmSection, Meta(description="Who is told of alarms.")] = AlarmSection()
    recovery: Annotated[RecoverySection, Meta(description="Lost processes.")] = RecoverySection()
    devices: Annotated[tuple[DeviceEntry, ...], Meta(description="Devices outside the run.")] = ()
    faults: Annotated[tuple[FaultOrder, ...], Meta(description="Faults on demand.")] = ()
