"""Sections of the stores that prosumers own beside batteries."""

from typing import Annotated

from msgspec import Meta, Struct

from cosim.scenario.units import HOUR, KW, KWH, ONE, Above, NotNegative, Share

Hour = Annotated[float, Meta(ge=0.0, le=24.0)]
Celsius = Annotated[float, Meta(ge=-60.0, le=100.0)]

DEG_C = {"unit": "degC"}

Performance = Annotated[float, Meta(gt=0.0, le=100.0)]
"""Carnot's bound on heat at 20 degrees Celsius is 100 where it is 3 K colder outside."""


class Ev(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.ev]: vehicles that charge at home and make a trip a day; emulated where live."""

    share: Annotated[Share, Meta(description="Share of prosumers with a vehicle.", extra=ONE)] = 0.0
    kwh_min: Annotated[
        Above, Meta(description="Smallest capacity; sizes are uniform up to `kwh_max`.", extra=KWH)
    ] = 40.0
    kwh_max: Annotated[Above, Meta(description="Largest capacity.", extra=KWH)] = 80.0
    kw: Annotated[Above, Meta(description="Rating of the charger.", extra=KW)] = 11.0
    efficiency: Annotated[
        float, Meta(gt=0.5, le=1.0, description="Energy stored per energy drawn.", extra=ONE)
    ] = 0.92
    leaves_h: Annotated[
        Hour, Meta(description="Mean hour of the day at which vehicles leave.", extra=HOUR)
    ] = 7.5
    comes_h: Annotated[Hour, Meta(description="Mean hour of the day at which they are back.", extra=HOUR)] = (
        17.5
    )
    hours_sigma: Annotated[
        Annotated[float, Meta(ge=0.0, le=4.0)],
        Meta(description="Standard deviation of both, cut at twice as much.", extra=HOUR),
    ] = 1.0
    trip_kwh_min: Annotated[
        NotNegative,
        Meta(description="Least energy of a trip; uniform up to `trip_kwh_max`.", extra=KWH),
    ] = 4.0
    trip_kwh_max: Annotated[
        NotNegative, Meta(description="Most energy of a trip, at most `kwh_min`.", extra=KWH)
    ] = 12.0
    reserve: Annotated[
        Share,
        Meta(description="Part of the capacity wanted at departure beside the trip's energy.", extra=ONE),
    ] = 0.3
    gives_back: Annotated[bool, Meta(description="Whether vehicles may discharge at home.")] = False


class HeatPump(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.heat_pump]: houses kept within a band of temperatures; emulated where live."""

    share: Annotated[Share, Meta(description="Share of prosumers with a heat pump.", extra=ONE)] = 0.0
    low_c: Annotated[Celsius, Meta(description="Lower end of the comfort band.", extra=DEG_C)] = 20.0
    high_c: Annotated[Celsius, Meta(description="Upper end of the comfort band.", extra=DEG_C)] = 22.0
    w_per_k_min: Annotated[
        Above, Meta(description="Least heat losses; uniform up to `w_per_k_max`.", extra={"unit": "W/K"})
    ] = 80.0
    w_per_k_max: Annotated[Above, Meta(description="Most heat losses.", extra={"unit": "W/K"})] = 160.0
    time_constant_h: Annotated[Above, Meta(description="Heat capacity over losses.", extra=HOUR)] = 60.0
    performance: Annotated[Performance, Meta(description="Heat per electric energy.", extra=ONE)] = 3.2
    kw: Annotated[Above, Meta(description="Most that a heat pump draws.", extra=KW)] = 2.5
    outside_c: Annotated[Celsius, Meta(description="Mean outside temperature.", extra=DEG_C)] = 5.0
    outside_swing_c: Annotated[
        NotNegative, Meta(description="How far it goes up and down over a day.", extra=DEG_C)
    ] = 4.0


class Appliance(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """[population.appliance]: a day's work that may wait and be done in parts; emulated where live."""

    share: Annotated[Share, Meta(description="Share of prosumers with such work.", extra=ONE)] = 0.0
    kwh_min: Annotated[
        NotNegative, Meta(description="Least energy of a day's work; uniform up to `kwh_max`.", extra=KWH)
    ] = 0.8
    kwh_max: Annotated[NotNegative, Meta(description="Most energy of a day's work.", extra=KWH)] = 2.0
    kw: Annotated[Above, Meta(description="Most that it draws.", extra=KW)] = 2.0
    begins_h: Annotated[Hour, Meta(description="Hour of the day at which it may begin.", extra=HOUR)] = 8.0
    ends_h: Annotated[Hour, Meta(description="Hour of the day by which it must be done.", extra=HOUR)] = 20.0
